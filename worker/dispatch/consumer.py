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

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], Any]:
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Message) -> Any:
            reason = why_unusable(message)
            return put_aside(self.app, message, reason) if reason else handle(message)

        return on_message

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a broken connection, then connect again.

        With messages unacknowledged, kombu's Redis transport wants to give them back over the
        connection that it has just let go of, and fails with an AttributeError, which would end
        the worker and its engine. The rows know what is to be done; nothing has to be given back.
        """
        try:
            super().on_connection_error_after_connected(exc)
        except AttributeError as error:
            log.warning("broken_connection_left", error=str(error))
