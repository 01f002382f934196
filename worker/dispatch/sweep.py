"""Finds rows the queue forgot and nudges again: what makes a lost message cost only seconds."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from worker import logs
from worker.database import Sessions, transaction
from worker.dispatch.publish import Publisher
from worker.tickets import store

log = logs.get(__name__)

UNANNOUNCED_S = 10.0
"""A ticket that just came in is about to be announced by the gateway itself."""
ANNOUNCED_S = 900.0
"""Announced this long ago and still waiting: the message may be lost, or the backlog is long."""
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did, in tickets."""

    freed: int
    announced: int


def sweep(sessions: Sessions, publisher: Publisher, *, max_attempts: int) -> Swept | None:
    """Sweep once; None if another sweep is at work."""
    with transaction(sessions) as session:
        if not store.is_ours(session):
            return None
        freed = store.free_expired(session, max_attempts=max_attempts)
        waiting = store.waiting(
            session, unannounced_s=UNANNOUNCED_S, announced_s=ANNOUNCED_S, limit=BATCH
        )
    announced = publisher.announce(waiting)
    if freed or waiting:
        log.info("swept", freed=len(freed), waiting=len(waiting), announced=announced)
    return Swept(len(freed), announced)


def sweep_until(
    stopped: Callable[[float], bool],
    sessions: Sessions,
    publisher: Publisher,
    *,
    interval_s: float,
    max_attempts: int,
) -> None:
    """Sweep every `interval_s` seconds until `stopped(interval_s)`, which waits, says so."""
    while True:
        try:
            sweep(sessions, publisher, max_attempts=max_attempts)
        except OperationalError as error:
            log.warning("postgres_unreachable", error=str(error.orig))
        if stopped(interval_s):
            return
