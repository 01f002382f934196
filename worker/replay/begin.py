"""Begins a replay: what it is to do is checked first against what there is."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker.errors import TriageError
from worker.queues import Queue
from worker.tickets import store
from worker.tickets.rows import Rerun
from worker.tickets.store import Order

ROUTES = (Queue.LONG, Queue.REPLAY)
"""Where a worker can be reached with a replay; the later one is preferred."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A replay that has begun, and how many of the chosen tickets are not in it."""

    replay_id: int
    tickets: int
    left_out: int


def begin(session: Session, order: Order, chosen: Select[int, int | None]) -> Begun:
    """Begin a replay over the chosen tickets; one of none is for the caller to take back.

    Left out are, of a replay as it was, those whose attempt is from before desks were kept or
    from a profile that no worker has.

    Raises:
        TriageError: no worker can do it, or another replay holds some of the tickets.
    """
    queues = served_profiles(session)
    refuse_unserved(order, queues)
    refuse_held(session, chosen)
    try:
        replay_id = store.begin_replay(session, order, chosen, queues=queues)
    except IntegrityError as error:
        raise TriageError("another replay has just taken some of these tickets") from error
    tickets = session.execute(select(func.count()).where(Rerun.replay_id == replay_id)).scalar_one()
    left_out = 0
    if order.as_it_was:  # counted a moment later: tickets that were done meanwhile are not meant
        wanted = session.execute(select(func.count()).select_from(chosen.subquery())).scalar_one()
        left_out = max(0, wanted - tickets)
    return Begun(replay_id, tickets, left_out)


def served_profiles(session: Session) -> Mapping[str, Queue]:
    """Each profile of the workers that take replays, with the queue that they take them from."""
    return {
        profile: queue for queue in ROUTES for profile in store.profiles_serving(session, queue)
    }


def refuse_unserved(order: Order, queues: Mapping[str, Queue]) -> None:
    needs_its_own_profile = order.as_it_was or order.profile
    if not queues or (Queue.REPLAY not in queues.values() and not needs_its_own_profile):
        raise TriageError(
            f"no worker takes {Queue.REPLAY} now: start one (TRIAGE_QUEUES has to name the queue)"
        )
    if order.profile and order.profile not in queues:
        raise TriageError(
            f"no worker with profile {order.profile!r} takes {' or '.join(ROUTES)} now; "
            f"there are {', '.join(sorted(queues))}"
        )


def refuse_held(session: Session, chosen: Select[int, int | None]) -> None:
    held = store.held_by_others(session, chosen)
    if held:
        by = ", ".join(f"{count:,} by replay {replay_id}" for replay_id, count in held)
        raise TriageError(
            f"tickets of this selection are held: {by}; wait until it is done, or cancel it"
        )
