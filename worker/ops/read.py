"""What the pages show, as JSON. Writes nothing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select, table, text, true
from sqlalchemy import column as sql_column
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker.ops.filters import Filters
from worker.tickets import read
from worker.tickets.rows import Attempt, Refusal, Reply, Ticket, Worker, Writeback
from worker.tickets.states import State

PAGE = 50


def counts(session: Session, filters: Filters) -> dict[str, int]:
    """Tickets by state."""
    rows = session.execute(
        select(Ticket.state, func.count()).where(*filters.conditions()).group_by(Ticket.state)
    )
    return dict.fromkeys(State, 0) | {row[0]: row[1] for row in rows}


def refused(session: Session, filters: Filters) -> int:
    """Webhooks that were refused in the hours of the period."""
    given = select(func.coalesce(func.sum(Refusal.refused), 0)).where(Refusal.hour >= filters.since)
    if filters.source:
        given = given.where(Refusal.source == filters.source)
    return int(session.execute(given).scalar_one())


def oldest_wait_s(session: Session) -> float:
    """How long the oldest ticket that is due has waited, in seconds."""
    waited = select(func.extract("epoch", func.now() - func.min(Ticket.not_before))).where(
        Ticket.state == State.RECEIVED, Ticket.not_before <= func.now()
    )
    return float(session.execute(waited).scalar() or 0)


def bad_kinds(session: Session, filters: Filters) -> Sequence[tuple[str, int]]:
    """Kinds of bad outputs among the results that tickets show, most frequent first."""
    bad = table("bad_attempts_v1", sql_column("attempt_id"), sql_column("kind"))
    of_ticket = (
        select(bad.c.kind)
        .where(bad.c.attempt_id == Ticket.attempt_id)
        .offset(0)  # as in ops_worst_v1: so that one attempt is looked up, not all listed
        .lateral()
    )
    rows = session.execute(
        select(of_ticket.c.kind, func.count(Ticket.id.distinct()))
        .join_from(Ticket, of_ticket, true())
        .where(*filters.conditions())
        .group_by(of_ticket.c.kind)
        .order_by(func.count(Ticket.id.distinct()).desc())
    )
    return [(kind, count) for kind, count in rows]


def flow(session: Session, filters: Filters) -> Sequence[Any]:
    """Tickets received by hour or day, as (at, received, replied, needs a person)."""
    unit = "hour" if filters.is_hourly else "day"
    at = func.date_trunc(text(f"'{unit}'"), Ticket.received_at)
    return session.execute(
        select(
            at,
            func.count(),
            func.count().filter(Ticket.state == State.REPLIED),
            func.count().filter(Ticket.state == State.NEEDS_HUMAN),
        )
        .where(*filters.conditions())
        .group_by(at)
        .order_by(at)
    ).all()


def values_of(session: Session, column: InstrumentedAttribute[Any]) -> Sequence[str]:
    """Every value of a column that an index begins with, each found by one step in the index."""
    first = select(func.min(column).label("value")).cte("found", recursive=True)
    further = select(func.min(column)).where(column > first.c.value)
    every = first.union_all(
        select(further.correlate(first).scalar_subquery()).where(first.c.value.is_not(None))
    )
    return session.scalars(select(every.c.value).where(every.c.value.is_not(None))).all()


def newest(session: Session, filters: Filters) -> list[dict[str, Any]]:
    """A page of tickets, newest first, as `tickets.read.reports` gives them."""
    ids: Select[int] = select(Ticket.id).where(*filters.conditions())
    if filters.state:
        ids = ids.where(Ticket.state == filters.state)
    if filters.before:
        ids = ids.where(Ticket.id < filters.before)
    found = session.scalars(ids.order_by(Ticket.id.desc()).limit(PAGE)).all()
    return read.reports(session, found)


def workers(session: Session) -> Sequence[Worker]:
    return session.scalars(select(Worker).order_by(Worker.started_at)).all()


def ticket(session: Session, ticket_id: int) -> dict[str, Any] | None:
    """One ticket with all that was made of it; None if there is no such ticket."""
    found = session.get(Ticket, ticket_id)
    if found is None:
        return None
    [report] = read.reports(session, [ticket_id])
    tries = session.execute(
        select(Attempt, Reply)
        .outerjoin(Reply, Reply.attempt_id == Attempt.id)
        .where(Attempt.ticket_id == ticket_id)
        .order_by(Attempt.id)
    ).all()
    findings = read.findings_of(session, [attempt.id for attempt, _ in tries])
    written_back = session.scalars(
        select(Writeback).where(Writeback.ticket_id == ticket_id).order_by(Writeback.id)
    ).all()
    return {
        "row": found,
        "written_back": written_back,
        "report": report,
        "tries": [
            {"attempt": attempt, "reply": reply, "findings": findings.get(attempt.id, [])}
            for attempt, reply in tries
        ],
    }
