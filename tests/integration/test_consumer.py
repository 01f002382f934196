"""A worker's connection to a broker that dies is let go of, whatever kombu makes of that."""

import logging
from pathlib import Path

import pytest
from kombu import Connection, Message

from tests.stack import wait_for
from worker.dispatch.celery_app import make_app
from worker.dispatch.consumer import Consumer, if_connected
from worker.embedded import EmbeddedRedis
from worker.settings import load_settings

pytestmark = pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")


@pytest.fixture
def redis(tmp_path: Path) -> EmbeddedRedis:
    redis = EmbeddedRedis(tmp_path)
    redis.part.start()
    wait_for(redis.part.is_ready, "Redis")
    return redis


@pytest.fixture
def consumer(redis: EmbeddedRedis) -> Consumer:
    """A consumer that is connected, without a worker around it."""
    consumer = Consumer.__new__(Consumer)
    consumer.app = make_app(load_settings(broker_url=redis.url))
    consumer.connection = Connection(redis.url)
    return consumer


@pytest.fixture
def unacknowledged(consumer: Consumer) -> Message:
    queue = consumer.app.amqp.queues["triage.live"](consumer.connection.default_channel)
    queue.declare()
    with consumer.connection.Producer() as producer:
        producer.publish({}, routing_key="triage.live")
    found: list[Message] = []
    wait_for(lambda: found.append(queue.get(no_ack=False)) or found[-1], "a message")
    return found[-1]


def test_a_broker_that_dies_with_messages_unacknowledged_does_not_end_the_consumer(
    redis: EmbeddedRedis, consumer: Consumer, unacknowledged: Message
) -> None:
    redis.part.end()

    consumer.on_connection_error_after_connected(ConnectionError("the broker died"))

    assert consumer.connection is None
    redis.clean_up()


def test_a_message_of_a_connection_that_is_gone_is_settled_without_an_error(
    redis: EmbeddedRedis, consumer: Consumer, unacknowledged: Message
) -> None:
    redis.part.end()
    consumer.on_connection_error_after_connected(ConnectionError("the broker died"))
    unacknowledged.channel._disconnect_pools()  # as its close does, sooner or later
    log, errors = logging.getLogger(), (OSError,)

    with pytest.raises(AttributeError):
        unacknowledged.ack_log_error(log, errors)
    if_connected(unacknowledged.ack_log_error)(log, errors)

    redis.clean_up()
