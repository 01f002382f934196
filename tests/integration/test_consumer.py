"""A worker's connection to a broker that dies is let go of, whatever kombu makes of that."""

from pathlib import Path

import pytest
from kombu import Connection

from tests.stack import wait_for
from worker.dispatch.celery_app import make_app
from worker.dispatch.consumer import Consumer
from worker.embedded import EmbeddedRedis
from worker.settings import load_settings


@pytest.fixture
def redis(tmp_path: Path) -> EmbeddedRedis:
    redis = EmbeddedRedis(tmp_path)
    redis.part.start()
    wait_for(redis.part.is_ready, "Redis")
    return redis


@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
def test_a_broker_that_dies_with_messages_unacknowledged_does_not_end_the_consumer(
    redis: EmbeddedRedis,
) -> None:
    consumer = Consumer.__new__(Consumer)
    consumer.app = make_app(load_settings(broker_url=redis.url))
    consumer.connection = Connection(redis.url)
    queue = consumer.app.amqp.queues["triage.live"](consumer.connection.default_channel)
    queue.declare()
    with consumer.connection.Producer() as producer:
        producer.publish({}, routing_key="triage.live")
    wait_for(lambda: queue.get(no_ack=False), "a message that stays unacknowledged")
    redis.part.end()

    consumer.on_connection_error_after_connected(ConnectionError("the broker died"))

    assert consumer.connection is None
    redis.clean_up()
