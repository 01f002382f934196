"""Finds rows the queue forgot and nudges again: what makes a lost message cost only seconds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from worker import logs
from worker.database import UNAVAILABLE, Sessions, reason, transaction
from worker.dispatch.publish import BROKER_DOWN, Publisher
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
COUNT_DAYS_S = 600.0
BATCH = 1000


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
        self._frees_from = self._counts_days_from = 0.0

    def once(self) -> Swept | None:
        """Sweep once; None if another sweep is at work or Postgres is unavailable."""
        try:
            return self._sweep()
        except UNAVAILABLE as error:
            log.warning("postgres_unavailable", error=reason(error))
            self._frees_from = time.monotonic() + self._lease_s
            return None

    def until(self, stopped: Callable[[float], bool], *, interval_s: float) -> None:
        """Sweep every `interval_s` seconds until `stopped(interval_s)`, which waits, says so."""
        while True:
            self.once()
            if stopped(interval_s):
                return

    def _sweep(self) -> Swept | None:
        freed: list[int] = []
        depths = self._depths()
        empty = {queue for queue, count in depths.items() if count == 0}
        with transaction(self._sessions) as session:
            if not store.is_ours(session):
                return None
            if time.monotonic() >= self._frees_from:
                freed = store.free_expired(session, max_crashes=self._max_crashes)
            store.take_back_long(session, older_than_s=UNSERVED_S)
            waiting = [
                *store.unannounced(session, older_than_s=UNANNOUNCED_S, limit=BATCH),
                *store.announced_long_ago(
                    session, older_than_s=OVERDUE_S, queues=empty, limit=BATCH
                ),
                *store.announced_long_ago(
                    session, older_than_s=LOST_S, queues=short(session, depths) - empty, limit=BATCH
                ),
            ]
            self._count_days(session)
        announced = self._publisher.announce(waiting)
        if freed or waiting:
            log.info("swept", freed=len(freed), waiting=len(waiting), announced=announced)
        return Swept(len(freed), announced)

    def _count_days(self, session: Session) -> None:
        """Now and then count the days that are over, for the views."""
        if time.monotonic() >= self._counts_days_from:
            store.count_days(session)
            self._counts_days_from = time.monotonic() + COUNT_DAYS_S

    def _depths(self) -> dict[str, int]:
        try:
            return self._publisher.depths()
        except BROKER_DOWN as error:
            log.warning("broker_unreachable", error=str(error))
            return {}


def short(session: Session, depths: Mapping[str, int]) -> set[str]:
    """The queues with fewer messages than tickets that were announced and wait."""
    waiting = store.announced_counts(session)
    return {queue for queue, depth in depths.items() if depth < waiting.get(queue, 0)}
