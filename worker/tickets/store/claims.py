"""The right to work on a ticket: claimed, and kept alive until `endings` gives it up.

What every ticket needs, here and in `endings`, are statements on tables that are built once and run
with the ticket's values: built for each ticket, on a row's class, they cost the worker three times
the processor time.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Interval, Row, bindparam, func, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from worker.tickets.rows import Attempt, Finding, Rerun, Ticket, table_of
from worker.tickets.states import Outcome, State
from worker.tickets.store.settings import Setting

Way = type[Ticket] | type[Rerun]
"""Whose journey it is: a ticket's own, or that of its rerun in a replay."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one ticket until the lease ends.

    `way` and `way_id` are the row that is claimed; `attempt_id` is the attempt's row, `attempt`
    its number. `faults` are what the checks found in the answer that this attempt has to repair.
    `traceparent` is the span that received the ticket, None where there was no trace.
    `setting` is what a replay wants otherwise than the worker has it.
    """

    way: Way
    way_id: int
    ticket_id: int
    source: str
    attempt_id: int
    attempt: int
    worker: str
    queue: str
    subject: str
    body: str
    locale: str | None
    crashes: int
    repairs: int
    faults: tuple[str, ...]
    waited_ms: int
    traceparent: str | None = None
    setting: Setting | None = None


def taking(way: Way) -> ReturningUpdate[Any]:
    """The statement that makes a waiting row `claimed_by` a worker, for the time of `lease`."""
    columns = table_of(way).c
    return (
        update(table_of(way))
        .where(columns.state == State.RECEIVED, columns.not_before <= func.now())
        .values(
            state=State.TRIAGING,
            attempts=columns.attempts + 1,
            claimed_until=func.clock_timestamp() + bindparam("lease", type_=Interval),
            updated_at=func.now(),
        )
        .returning(*columns)
    )


TAKE_TICKET = taking(Ticket).where(table_of(Ticket).c.id == bindparam("this_ticket"))
BEGIN = insert(table_of(Attempt)).returning(table_of(Attempt).c.id)


def claim(session: Session, ticket_id: int, *, worker: str, lease_s: float) -> Claim | None:
    """Take a waiting ticket for this worker; None if there is nothing to take."""
    ticket = take(session, TAKE_TICKET, this_ticket=ticket_id, worker=worker, lease_s=lease_s)
    if ticket is None:
        return None
    return begin(session, Ticket, ticket, ticket, waits_since=ticket.received_at)


def take(
    session: Session, take_one: ReturningUpdate[Any], *, worker: str, lease_s: float, **which: Any
) -> Row[Any] | None:
    """The waiting row that matches, now this worker's; None if there is none."""
    return session.execute(
        take_one, {"claimed_by": worker, "lease": timedelta(seconds=lease_s), **which}
    ).one_or_none()


def begin(
    session: Session,
    way: Way,
    taken: Row[Any],
    ticket: Row[Any] | Ticket,
    *,
    waits_since: datetime,
    setting: Setting | None = None,
) -> Claim:
    """Open the attempt of a row that was just taken."""
    replay_id = taken.replay_id if way is Rerun else None
    attempt_id = session.execute(
        BEGIN,
        {
            "ticket_id": ticket.id,
            "replay_id": replay_id,
            "number": taken.attempts,
            "worker": taken.claimed_by,
            "outcome": Outcome.RUNNING,
        },
    ).scalar_one()
    return Claim(
        way=way,
        way_id=taken.id,
        ticket_id=ticket.id,
        source=ticket.source,
        attempt_id=attempt_id,
        attempt=taken.attempts,
        worker=taken.claimed_by,
        queue=taken.queue,
        subject=ticket.subject,
        body=ticket.body,
        locale=ticket.locale,
        crashes=taken.crashes,
        repairs=taken.repairs,
        faults=faults_before(session, ticket.id, replay_id, taken.attempts)
        if taken.repairs
        else (),
        waited_ms=int((taken.updated_at - waits_since).total_seconds() * 1000),
        traceparent=None if replay_id else ticket.traceparent,
        setting=setting,
    )


def faults_before(
    session: Session, ticket_id: int, replay_id: int | None, number: int
) -> tuple[str, ...]:
    """What the checks found in the answer that attempt `number` had, or has, to repair."""
    last = (
        select(Attempt.id)
        .where(
            Attempt.ticket_id == ticket_id,
            Attempt.replay_id.is_not_distinct_from(replay_id),
            Attempt.number < number,
            Attempt.outcome == Outcome.REPAIR,
        )
        .order_by(Attempt.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = session.scalars(select(Finding).where(Finding.attempt_id == last).order_by(Finding.id))
    return tuple(f"{one.check_name}: {one.detail}" for one in found)


def extend(session: Session, claims: Sequence[Claim], *, lease_s: float) -> None:
    """Keep what these claims are for, as far as they still hold.

    A row that somebody has locked is left for the next time: it must not keep the others waiting,
    and `free` passes it over, too.
    """
    held: dict[Way, list[Claim]] = defaultdict(list)
    for one in claims:
        held[one.way].append(one)
    for way, of_it in held.items():
        theirs = unlocked(
            way,
            way.id.in_([one.way_id for one in of_it]),
            way.state == State.TRIAGING,
            way.claimed_by.in_({one.worker for one in of_it}),
        )
        until = func.clock_timestamp() + timedelta(seconds=lease_s)  # it may have waited
        session.execute(update(way).where(theirs).values(claimed_until=until))


def unlocked(way: Way, *which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Those of these rows that no other transaction changes just now."""
    found = select(way.id).where(*which).with_for_update(skip_locked=True, key_share=True)
    return way.id.in_(select(found.cte("unlocked").c.id))
