"""The Celery application: queues and settings, each with its reason. No tasks, no engine."""

from celery import Celery
from kombu import Queue as KombuQueue

from worker.errors import SettingsError
from worker.queues import QUEUES
from worker.settings import Settings

TASK = "triage.ticket"
REDIS = ("redis", "rediss", "sentinel")


def make_app(settings: Settings) -> Celery:
    """A Celery application for this broker; connects when first used.

    Raises:
        SettingsError: no broker is set.
    """
    if not settings.broker_url:
        raise SettingsError(
            "TRIAGE_BROKER_URL is empty: set it to a RabbitMQ (amqp://…) or Redis (redis://…), "
            "or run `triage up`, which brings a broker"
        )
    app = Celery("triage", broker=settings.broker_url, set_as_current=False)
    is_redis = settings.broker_url.startswith(REDIS)
    app.conf.update(
        task_queues=[quorum_queue(name) for name in QUEUES],
        task_default_queue=QUEUES[0],
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # results are rows
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,  # a message outlives the worker that holds it
        task_acks_on_failure_or_timeout=True,  # but not its own failure: the row has the retry
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # what waits should wait where every worker sees it
        worker_detect_quorum_queues=True,  # they know no prefetch limit over several queues
        worker_consumer="worker.dispatch.consumer:Consumer",
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a claim makes doubles harmless
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_channel_error_retry=True,  # as when a message was held for half an hour
        broker_connection_timeout=4,
        broker_transport_options=redis_options(settings) if is_redis else AMQP_OPTIONS,
        task_publish_retry=True,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
    )
    return app


AMQP_OPTIONS = {"confirm_publish": True, "max_retries": 1}


def quorum_queue(name: str) -> KombuQueue:
    """A queue that on RabbitMQ survives the loss of a broker's node; Redis ignores the argument."""
    return KombuQueue(
        name, routing_key=name, durable=True, queue_arguments={"x-queue-type": "quorum"}
    )


DEAD = quorum_queue("triage.dead")
"""Where messages go that no worker can read. Nobody consumes it."""


def redis_options(settings: Settings) -> dict[str, object]:
    return {
        # Redis hands a message out again after this; it should outlast the longest ticket.
        "visibility_timeout": int(2 * settings.deadline_s),
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,  # look each time, not each tenth
        "queue_order_strategy": "priority",  # live before bulk before replay
        "socket_timeout": 10,
        "socket_connect_timeout": 4,
        "max_retries": 1,
    }
