"""Celery's consumer, made to survive what it does not: unreadable messages, a broker that dies."""

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Message

from worker import logs
from worker.dispatch.dead_letters import put_aside, why_unusable

log = logs.get(__name__)


class Consumer(CeleryConsumer):  # type: ignore[misc]  # Celery has no types
    """Reads each message fully before it goes to the pool, and outlives its broker.

    Celery itself reads a message's body in the pool, where a failure would leave the message
    unacknowledged, to come back for ever.
    """

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        """Celery's steps, but for the one that gives RabbitMQ 28 queues for messages with a delay.

        None has one here: a ticket's row says when it is due again.
        """

        default_steps = tuple(
            step
            for step in CeleryConsumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        )

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], Any]:
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Message) -> Any:
            message.ack_log_error = if_connected(message.ack_log_error)
            message.reject_log_error = if_connected(message.reject_log_error)
            reason = why_unusable(message)
            return put_aside(self.app, message, reason) if reason else handle(message)

        return on_message

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a broken connection, then connect again.

        With messages unacknowledged, kombu's Redis transport wants to give them back over the
        connection that it has just let go of.
        """
        if_connected(super().on_connection_error_after_connected)(exc)


def if_connected(step: Callable[..., None]) -> Callable[..., None]:
    """`step`, where a Redis connection that was let go of meanwhile is no error.

    kombu then fails with an AttributeError, which Celery takes for the end of the worker, engine
    and all. The broker will hand the message out again, and the row knows what was done.
    """

    def try_step(*args: Any, **kwargs: Any) -> None:
        try:
            step(*args, **kwargs)
        except AttributeError as error:
            log.warning("connection_was_gone", error=str(error))

    return try_step
