"""Announces tickets to the queue. A failure is no loss: the sweep announces again."""

import time
from collections.abc import Iterable

from celery import Celery
from kombu.exceptions import OperationalError

from schemas.message import TicketMessage
from worker import logs
from worker.database import Sessions, transaction
from worker.dispatch.celery_app import TASK
from worker.tickets import store

log = logs.get(__name__)

PAUSE_S = 5.0
"""After a failure nothing is sent for so long: a webhook must not wait for a dead broker."""


class Publisher:
    """Sends nudges, then notes in the rows that they were sent. Safe to share between threads."""

    def __init__(self, app: Celery, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions
        self._paused_until = 0.0

    def announce(self, tickets: Iterable[tuple[int, str]]) -> int:
        """Announce tickets, given as (id, queue), whose rows are committed; how many were sent.

        Stops at the first message that the broker does not take.
        """
        if time.monotonic() < self._paused_until:
            return 0
        sent: list[int] = []
        for ticket_id, queue in tickets:
            try:
                self._send(ticket_id, queue)
            except (OperationalError, ConnectionError, TimeoutError) as error:
                self._paused_until = time.monotonic() + PAUSE_S
                log.warning("broker_unreachable", error=str(error), sent=len(sent))
                break
            sent.append(ticket_id)
        if sent:
            with transaction(self._sessions) as session:
                store.announced(session, sent)
        return len(sent)

    def _send(self, ticket_id: int, queue: str) -> None:
        message = TicketMessage(ticket_id=ticket_id)
        self._app.send_task(TASK, kwargs=message.model_dump(), queue=queue)
