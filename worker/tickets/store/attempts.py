"""The row of an attempt: what it came to, written once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, func, insert, select, update
from sqlalchemy.orm import Session

from worker.tickets.rows import Attempt, Finding, Ticket, table_of
from worker.tickets.states import Outcome, State
from worker.tickets.store.claims import Claim

ATTEMPTS = table_of(Attempt).c
CLOSE = (
    update(table_of(Attempt))
    .where(
        ATTEMPTS.id == bindparam("this"),
        ATTEMPTS.outcome.in_([Outcome.RUNNING, Outcome.LOST]),
    )
    .values(finished_at=func.clock_timestamp())
    .returning(ATTEMPTS.id)
)


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt came to, as columns. `reply` is None if nothing usable was written."""

    outcome: Outcome
    reason: str | None
    attempt: dict[str, Any] = field(default_factory=dict)
    reply: dict[str, Any] | None = None
    findings: Sequence[tuple[str, str]] = ()


def finish_attempt(session: Session, claim: Claim, result: Result, *, owned: bool) -> bool:
    """Close the attempt's row; False if an earlier try has closed it already."""
    written = result.attempt if owned else without_erased(session, claim, result.attempt)
    if owned:
        written = {**written, "outcome": result.outcome, "reason": result.reason}
    elif not was_given_up(session, claim):
        written = {**written, "outcome": Outcome.SUPERSEDED, "reason": result.reason}
    is_closed = session.execute(CLOSE, {"this": claim.attempt_id, **written}).scalar()
    if is_closed and owned and result.findings:
        session.execute(
            insert(Finding),
            [
                {"attempt_id": claim.attempt_id, "check_name": check, "detail": detail}
                for check, detail in result.findings
            ],
        )
    return is_closed is not None


def was_given_up(session: Session, claim: Claim) -> bool:
    """Whether the ticket went to a person with this attempt as the last one, which was lost: it
    stays so, though it reports late.
    """
    way = claim.way
    is_its_last = exists().where(
        way.id == claim.way_id,
        way.attempt_id == claim.attempt_id,
        way.state == State.NEEDS_HUMAN,
    )
    return bool(session.scalar(select(is_its_last)))


def lose_attempts(session: Session, which: ColumnElement[bool], *, reason: str) -> None:
    """End those of these attempts that run: their claims are lost, whether or not a worker that
    lives still tells what came of them.
    """
    session.execute(
        update(Attempt)
        .where(which, Attempt.outcome == Outcome.RUNNING)
        .values(outcome=Outcome.LOST, reason=reason, finished_at=func.clock_timestamp())
    )


def without_erased(session: Session, claim: Claim, columns: dict[str, Any]) -> dict[str, Any]:
    """What a worker wrote whose ticket was erased meanwhile, or is just now, without the text."""
    erased_at = session.execute(
        select(Ticket.erased_at).where(Ticket.id == claim.ticket_id).with_for_update(read=True)
    ).scalar()
    return {**columns, "raw_output": None} if erased_at and columns else columns
