"""Announces tickets to the queue. A failure is no loss: the sweep announces again."""

import contextlib
import threading
import time
from collections.abc import Iterable
from queue import Empty, Full, Queue

from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from schemas.message import TicketMessage
from worker import logs
from worker.database import UNAVAILABLE, Sessions, reason, transaction
from worker.dispatch.celery_app import TASK
from worker.queues import QUEUES
from worker.tickets import store

log = logs.get(__name__)

Announced = tuple[int, str]
"""A ticket's id and the queue it goes to."""
MOST_WAITING, BATCH = 10_000, 100
MOST_PER_S = 400
"""By one gateway: more than workers take. In a rush of webhooks the processor is theirs."""

BROKER_DOWN = (OperationalError, OSError, AMQPError, MessageNacked, RedisError)
"""What kombu raises when a broker refuses, hangs or is gone."""
SEND_TIMEOUT_S = 3.0
"""For the broker to take a message and to confirm that it has it."""
PAUSE_S = 5.0
"""After a failure nothing is sent for so long: a webhook must not wait for a dead broker. To a
queue that takes no more, either."""


class Publisher:
    """Sends nudges, then notes in the rows that they were sent. Safe to share between threads."""

    def __init__(self, app: Celery, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions
        self._paused_until = 0.0
        self._full_until: dict[str, float] = {}

    def announce(self, tickets: Iterable[Announced]) -> int:
        """Announce tickets, given as (id, queue), whose rows are committed; how many were sent.

        Stops where the broker is away; what a queue does not take is passed over.
        """
        began = time.monotonic()
        sent = self.send(tickets)
        if sent:
            self._note(sent, began)
        return len(sent)

    def send(self, tickets: Iterable[Announced]) -> list[int]:
        """The same without a note in the rows; the ids of those that were sent."""
        sent: list[int] = []
        if self.is_paused:
            return sent
        for ticket_id, queue in tickets:
            if time.monotonic() < self._full_until.get(queue, 0.0):
                continue
            try:
                self._send(ticket_id, queue)
            except MessageNacked:  # other queues may have room
                self._full_until[queue] = time.monotonic() + PAUSE_S
                log.warning("queue_takes_no_more", queue=queue)
                continue
            except BROKER_DOWN as error:
                self._paused_until = time.monotonic() + PAUSE_S
                log.warning("broker_unreachable", error=str(error), sent=len(sent))
                break
            sent.append(ticket_id)
        return sent

    @property
    def is_paused(self) -> bool:
        """Whether the broker was away a moment ago: nothing is sent then."""
        return time.monotonic() < self._paused_until

    def depths(self) -> dict[str, int]:
        """How many messages wait in each queue.

        Raises:
            One of BROKER_DOWN: the broker cannot be reached.
        """
        with self._app.connection_or_acquire() as connection:
            connection.ensure_connection(max_retries=1)
            with connection.channel() as channel:
                return {
                    name: self._app.amqp.queues[name](channel).queue_declare().message_count
                    for name in QUEUES
                }

    def _note(self, sent: list[int], began: float) -> None:
        try:
            with transaction(self._sessions) as session:
                session.connection()  # to have one may take seconds: they count
                store.note_announced(session, sent, within_s=time.monotonic() - began)
        except UNAVAILABLE as error:  # the sweep will announce them once more, which does no harm
            log.warning("postgres_unavailable", error=reason(error))

    def _send(self, ticket_id: int, queue: str) -> None:
        message = TicketMessage(ticket_id=ticket_id)
        self._app.send_task(
            TASK,
            kwargs=message.model_dump(),
            queue=queue,
            timeout=SEND_TIMEOUT_S,
            confirm_timeout=SEND_TIMEOUT_S,
        )


class Announcer:
    """Announces in a thread of its own: a webhook is answered however slow the broker is."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._waiting: Queue[Announced] = Queue(MOST_WAITING)
        threading.Thread(target=self._run, name="announcer", daemon=True).start()

    def announce(self, tickets: Iterable[Announced]) -> None:
        """Have tickets announced soon; what is too much is left to the sweep."""
        for ticket in tickets:
            with contextlib.suppress(Full):
                self._waiting.put_nowait(ticket)

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            with contextlib.suppress(Empty):
                while len(batch) < BATCH:
                    batch.append(self._waiting.get_nowait())
            try:
                self._publisher.announce(batch)
            except Exception:  # one failure must not end all announcing
                log.exception("announcing_failed", tickets=len(batch))
            time.sleep(len(batch) / MOST_PER_S)
