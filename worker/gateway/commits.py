"""Keeps deliveries in few transactions: what arrives while one commits goes into the next.

A commit is what a webhook costs most. Alone, a delivery is committed at once; in a rush up to
`BATCH` share one commit. Nobody is answered before the commit that holds his delivery.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.exc import TimeoutError as PoolTimeout

from worker.database import UNAVAILABLE, Sessions, transaction
from worker.dispatch.publish import Announcer, Publisher
from worker.queues import Queue
from worker.tickets import store
from worker.tickets.store import Arrival, Received

BATCH = 64
THREADS = 2
"""One prepares while the other waits for Postgres to write."""
MOST_WAITING = 2000
"""More than these are not taken: Postgres does not keep up, and the helpdesk sends again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery, and who waits for it to be kept."""

    arrival: Arrival
    kept: asyncio.Future[Received]


class GroupCommit:
    """Safe to use from one event loop; commits in threads of its own."""

    def __init__(self, sessions: Sessions, announcer: Announcer | Publisher) -> None:
        self._sessions, self._announcer = sessions, announcer
        self._waiting: deque[Waiting] = deque()
        self._arrived = threading.Condition()
        self._in_work: set[tuple[str, ...]] = set()
        for number in range(THREADS):
            threading.Thread(target=self._run, name=f"commit-{number}", daemon=True).start()

    async def keep(self, arrival: Arrival) -> Received:
        """Keep a delivery and its ticket; returns when both are committed.

        Raises:
            One of `worker.database.UNAVAILABLE`: Postgres is away or does not keep up.
        """
        waiting = Waiting(arrival, asyncio.get_running_loop().create_future())
        with self._arrived:
            if len(self._waiting) >= MOST_WAITING:
                raise PoolTimeout(f"{MOST_WAITING} webhooks wait for Postgres already")
            self._waiting.append(waiting)
            self._arrived.notify()
        return await waiting.kept

    def _run(self) -> None:
        while True:
            batch = self._next()
            try:
                self._commit(batch)
            except Exception as error:  # noqa: BLE001  # it goes to those who wait
                answer(batch, [error] * len(batch))
            finally:
                with self._arrived:
                    for one in batch:
                        self._in_work -= keys(one.arrival)
                    self._arrived.notify()

    def _next(self) -> list[Waiting]:
        """What waits, up to a batch; what shares `keys` with others is left for the next."""
        with self._arrived:
            while True:
                batch: list[Waiting] = []
                left: deque[Waiting] = deque()
                while self._waiting and len(batch) < BATCH:
                    one = self._waiting.popleft()
                    if self._in_work & keys(one.arrival):
                        left.append(one)
                        continue
                    self._in_work |= keys(one.arrival)
                    batch.append(one)
                self._waiting.extendleft(reversed(left))
                if batch:
                    return batch
                self._arrived.wait()

    def _commit(self, batch: Sequence[Waiting]) -> None:
        try:
            received = self._keep([one.arrival for one in batch])
        except UNAVAILABLE:
            raise
        except Exception:  # one of them is not to Postgres's taste: only that one shall fail
            if len(batch) == 1:
                raise
            for one in batch:
                self._commit_alone(one)
            return
        answer(batch, received)

    def _commit_alone(self, one: Waiting) -> None:
        try:
            self._commit([one])
        except Exception as error:  # noqa: BLE001  # it goes to the one who waits
            answer([one], [error])

    def _keep(self, arrivals: Sequence[Arrival]) -> list[Received]:
        with transaction(self._sessions) as session:
            received = store.receive_all(session, arrivals, Queue.LIVE)
        new = [one.ticket_id for one in received if one.is_new and not one.is_ignored]
        if new:
            self._announcer.announce([(ticket_id, Queue.LIVE) for ticket_id in new])
        return received


def keys(arrival: Arrival) -> set[tuple[str, ...]]:
    """What no two deliveries of one batch share: messages of a conversation are kept as they came,
    the newer one later.
    """
    return {arrival.delivery, ("conversation", arrival.ticket.source, arrival.ticket.external_id)}


def answer(batch: Sequence[Waiting], outcomes: Sequence[Received | Exception]) -> None:
    """Wake up who waits, on their own event loop; nobody does once that has ended."""
    with contextlib.suppress(RuntimeError):
        batch[0].kept.get_loop().call_soon_threadsafe(resolve, batch, outcomes)


def resolve(batch: Sequence[Waiting], outcomes: Sequence[Received | Exception]) -> None:
    for one, outcome in zip(batch, outcomes, strict=True):
        if one.kept.done():  # who waited has hung up; what he sent is kept all the same
            continue
        if isinstance(outcome, Exception):
            one.kept.set_exception(outcome)
        else:
            one.kept.set_result(outcome)
