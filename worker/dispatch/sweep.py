"""Finds rows the queue forgot and nudges again: what makes a lost message cost only seconds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from worker import logs
from worker.database import UNAVAILABLE, Sessions, reason, transaction
from worker.dispatch.publish import BROKER_DOWN, Publisher
from worker.queues import QUEUES
from worker.tickets import store

log = logs.get(__name__)

UNANNOUNCED_S = 10.0
"""A ticket that just came in is about to be announced by the gateway itself."""
OVERDUE_S = 30.0
"""Announced this long ago, still waiting and its queue empty: the broker lost the message."""
LOST_S = 3600.0
"""Announced this long ago, it is announced again even though its queue still has messages, unless
it has one for each ticket that waits."""
UNSERVED_S = 900.0
"""So long a ticket waits for a worker with room for it to come back; then it is shortened."""
SELDOM_S = 60.0
"""So often is done what looks at many tickets, each in a transaction of its own: if it takes too
long, what every sweep does is done all the same."""
COUNT_S = 10.0
"""So long, and the day that was begun, days are counted in one go."""
BATCH = 1000
"""Tickets of a queue that one sweep announces."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did, in tickets."""

    freed: int
    announced: int


class Sweep:
    """Frees tickets whose worker died and announces what waits without a message.

    While Postgres was away no worker could renew its leases: a lease that ran out proves nothing
    until `lease_s` seconds later, so that results which waited for Postgres are still recorded.
    """

    def __init__(
        self, sessions: Sessions, publisher: Publisher, *, max_crashes: int, lease_s: float
    ) -> None:
        self._sessions, self._publisher = sessions, publisher
        self._max_crashes, self._lease_s = max_crashes, lease_s
        self._frees_from = self._seldom_from = 0.0

    def once(self) -> Swept | None:
        """Sweep once; None if another sweep is at work.

        Raises:
            One of `worker.database.UNAVAILABLE`.
        """
        swept = self._sweep()
        if swept and time.monotonic() >= self._seldom_from:
            self._seldom_from = time.monotonic() + SELDOM_S
            for task in (self._announce_lost, self._count_days):
                try:
                    task()
                except UNAVAILABLE as error:
                    log.warning("not_swept", what=task.__name__, error=reason(error))
        return swept

    def until(self, stopped: Callable[[float], bool], *, interval_s: float) -> None:
        """Sweep every `interval_s` seconds until `stopped(interval_s)`, which waits, says so.

        Nothing is freed in the first `lease_s` seconds: Postgres may have been away until now.
        """
        self._frees_from = time.monotonic() + self._lease_s
        while True:
            try:
                self.once()
            except UNAVAILABLE as error:
                log.warning("postgres_unavailable", error=reason(error))
                self._frees_from = time.monotonic() + self._lease_s
            if stopped(interval_s):
                return

    def _sweep(self) -> Swept | None:
        freed: list[int] = []
        depths = self._depths()
        empty = {queue for queue, count in depths.items() if count == 0}
        with transaction(self._sessions) as session:
            if not store.take_sweep_lock(session):
                return None
            if time.monotonic() >= self._frees_from:
                freed = store.free_expired(session, max_crashes=self._max_crashes)
            store.take_back_long(session, older_than_s=UNSERVED_S)
            waiting = [  # of each queue some, the live ones first
                one
                for queue in QUEUES
                for one in (
                    *store.unannounced(session, queue, older_than_s=UNANNOUNCED_S, limit=BATCH),
                    *(overdue(session, queue, older_than_s=OVERDUE_S) if queue in empty else ()),
                )
            ]
        announced = self._publisher.announce(waiting)
        if freed or waiting:
            log.info("swept", freed=len(freed), waiting=len(waiting), announced=announced)
        return Swept(len(freed), announced)

    def _announce_lost(self) -> None:
        """Of queues that have messages, but not one for each ticket."""
        depths = self._depths()
        with transaction(self._sessions) as session:
            lost = [
                one
                for queue in sorted(short(session, depths), key=QUEUES.index)
                for one in overdue(session, queue, older_than_s=LOST_S)
            ]
        if lost:
            log.info("lost", waiting=len(lost), announced=self._publisher.announce(lost))

    def _count_days(self) -> None:
        """For the views, the days that are over: many, where they were not counted for long."""
        enough = time.monotonic() + COUNT_S
        while time.monotonic() < enough:
            with transaction(self._sessions) as session:
                if not store.count_day(session):
                    return

    def _depths(self) -> dict[str, int]:
        try:
            return self._publisher.depths()
        except BROKER_DOWN as error:
            log.warning("broker_unreachable", error=str(error))
            return {}


overdue = partial(store.announced_long_ago, limit=BATCH)


def short(session: Session, depths: Mapping[str, int]) -> set[str]:
    """The queues with fewer messages than tickets and reruns that were announced and wait."""
    waiting = store.announced_counts(session)
    return {queue for queue, depth in depths.items() if depth < waiting.get(queue, 0)}
