"""An attempt on a ticket: claimed, kept alive, then ended by the claim's holder alone.

Every end may be written twice with the same effect: a commit whose answer was lost on the way is
simply tried again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, insert, literal, select, update
from sqlalchemy.orm import Session

from worker.tickets.rows import Attempt, Finding, Reply, Ticket
from worker.tickets.states import Outcome, Queue, State


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one ticket until the lease ends. `attempt` is its number.

    `faults` are what the checks found in the answer that this attempt has to repair.
    """

    ticket_id: int
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


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt came to, as columns. `reply` is None if nothing usable was written."""

    outcome: Outcome
    reason: str | None
    attempt: dict[str, Any] = field(default_factory=dict)
    reply: dict[str, Any] | None = None
    findings: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how late a ticket is tried again; delays in seconds.

    After `max_attempts` failures, or `max_crashes` deaths of what worked on it, a person gets it.
    An answer that fails a check is asked for again `max_repairs` times.
    """

    max_repairs: int
    max_attempts: int
    max_crashes: int
    base_s: float
    cap_s: float


def claim(session: Session, ticket_id: int, *, worker: str, lease_s: float) -> Claim | None:
    """Take a waiting ticket for this worker; None if there is nothing to take."""
    row = session.execute(
        update(Ticket)
        .where(
            Ticket.id == ticket_id,
            Ticket.state == State.RECEIVED,
            Ticket.not_before <= func.now(),
        )
        .values(
            state=State.TRIAGING,
            attempts=Ticket.attempts + 1,
            claimed_by=worker,
            claimed_until=lease_end(lease_s),
            updated_at=func.now(),
        )
        .returning(
            Ticket.attempts,
            Ticket.queue,
            Ticket.subject,
            Ticket.body,
            Ticket.locale,
            Ticket.crashes,
            Ticket.repairs,
            func.extract("epoch", func.now() - Ticket.received_at),
        )
    ).one_or_none()
    if row is None:
        return None
    number, queue, subject, body, locale, crashes, repairs, waited_s = row
    faults = faults_to_repair(session, ticket_id) if repairs else ()
    session.execute(
        insert(Attempt).values(
            ticket_id=ticket_id, number=number, worker=worker, outcome=Outcome.RUNNING
        )
    )
    return Claim(
        ticket_id, number, worker, queue, subject, body, locale, crashes, repairs, faults,
        waited_ms=int(waited_s * 1000),
    )  # fmt: skip


def faults_to_repair(session: Session, ticket_id: int) -> tuple[str, ...]:
    """What the checks found in the last answer that was to be repaired."""
    last = (
        select(Attempt.id)
        .where(Attempt.ticket_id == ticket_id, Attempt.outcome == Outcome.REPAIR)
        .order_by(Attempt.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = session.scalars(select(Finding).where(Finding.attempt_id == last).order_by(Finding.id))
    return tuple(f"{one.check_name}: {one.detail}" for one in found)


def extend(session: Session, ticket_ids: Sequence[int], *, worker: str, lease_s: float) -> None:
    """Keep these tickets for this worker, as far as it still holds them."""
    session.execute(
        update(Ticket)
        .where(
            Ticket.id.in_(ticket_ids),
            Ticket.state == State.TRIAGING,
            Ticket.claimed_by == worker,
        )
        .values(claimed_until=lease_end(lease_s))
    )


def record(session: Session, claim: Claim, result: Result) -> State | None:
    """Keep what an attempt came to and move the ticket to its end state, which is returned.

    None if the lease was lost meanwhile: then the attempt is kept and the reply dropped.
    """
    state = leave(
        session,
        claim,
        state=State(result.outcome),
        reason=result.reason,
        language=result.attempt.get("language"),
    )
    attempt_id = finish_attempt(session, claim, result, owned=state is not None)
    if attempt_id is None:
        return State(result.outcome)
    if state is None:
        return None
    if result.reply is not None:
        keep_reply(session, claim, attempt_id, result.reply)
    return state


def give_back(session: Session, claim: Claim, result: Result, policy: RetryPolicy) -> State | None:
    """After a failure that a retry can help: wait and try again, or hand over to a person.

    The delay is drawn between 0 and `base_s` × 2^failures, at most `cap_s` (full jitter).
    Returns the ticket's new state, None if the lease was lost meanwhile.
    """
    longest_s = func.least(literal(policy.cap_s), policy.base_s * func.power(2, Ticket.failures))
    state = leave(
        session,
        claim,
        state=waiting_unless(Ticket.failures + 1 >= policy.max_attempts),
        reason=result.reason,
        failures=Ticket.failures + 1,
        not_before=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, func.random() * longest_s),
        announced_at=None,
    )
    finish_attempt(session, claim, result, owned=state is not None)
    return state


def crashed(session: Session, claim: Claim, result: Result, policy: RetryPolicy) -> State | None:
    """After the engine died over this ticket: try again at once, or hand a poison to a person.

    Returns the ticket's new state, None if the lease was lost meanwhile.
    """
    state = leave(
        session,
        claim,
        state=waiting_unless(Ticket.crashes + 1 >= policy.max_crashes),
        reason=result.reason,
        crashes=Ticket.crashes + 1,
        announced_at=None,
    )
    finish_attempt(session, claim, result, owned=state is not None)
    return state


def repair(session: Session, claim: Claim, result: Result) -> State | None:
    """After an answer that failed a check: ask once more at once, with the findings named."""
    state = leave(
        session,
        claim,
        state=State.RECEIVED,
        reason=result.reason,
        repairs=Ticket.repairs + 1,
        announced_at=None,
    )
    finish_attempt(session, claim, result, owned=state is not None)
    return state


def move(session: Session, claim: Claim, result: Result, queue: Queue) -> State | None:
    """Hand a ticket over to the workers of another queue."""
    state = leave(
        session,
        claim,
        state=State.RECEIVED,
        reason=result.reason,
        queue=queue,
        announced_at=None,
    )
    finish_attempt(session, claim, result, owned=state is not None)
    return state


def release(session: Session, claim: Claim, reason: str) -> State | None:
    """Give a ticket back untouched, for a reason that is not its own; no try is used up."""
    state = leave(session, claim, state=State.RECEIVED, reason=reason, announced_at=None)
    finish_attempt(session, claim, Result(Outcome.RELEASED, reason), owned=state is not None)
    return state


def leave(session: Session, claim: Claim, **values: Any) -> State | None:
    """End a claim with these column values, if it still holds; the ticket's new state."""
    state = session.execute(
        update(Ticket)
        .where(*held_by(claim))
        .values(claimed_by=None, claimed_until=None, updated_at=func.now(), **values)
        .returning(Ticket.state)
    ).scalar()
    return None if state is None else State(state)


def held_by(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """The fence: a worker that lost its lease matches no row."""
    return (
        Ticket.id == claim.ticket_id,
        Ticket.state == State.TRIAGING,
        Ticket.attempts == claim.attempt,
        Ticket.claimed_by == claim.worker,
    )


def lease_end(lease_s: float) -> ColumnElement[Any]:
    return func.now() + timedelta(seconds=lease_s)


def waiting_unless(is_last: ColumnElement[bool]) -> ColumnElement[str]:
    """Back to waiting, or to a person if this try was the last."""
    return case((is_last, State.NEEDS_HUMAN.value), else_=State.RECEIVED.value)


def finish_attempt(session: Session, claim: Claim, result: Result, *, owned: bool) -> int | None:
    """Close the attempt's row; its id, None if an earlier try has closed it already."""
    written = result.attempt if owned else without_erased(session, claim, result.attempt)
    attempt_id = session.execute(
        update(Attempt)
        .where(
            Attempt.ticket_id == claim.ticket_id,
            Attempt.number == claim.attempt,
            Attempt.outcome.in_([Outcome.RUNNING, Outcome.LOST]),
        )
        .values(
            outcome=result.outcome if owned else Outcome.SUPERSEDED,
            reason=result.reason,
            finished_at=func.clock_timestamp(),
            **written,
        )
        .returning(Attempt.id)
    ).scalar()
    if attempt_id is not None and owned and result.findings:
        session.execute(
            insert(Finding),
            [
                {"attempt_id": attempt_id, "check_name": check, "detail": detail}
                for check, detail in result.findings
            ],
        )
    return attempt_id


def without_erased(session: Session, claim: Claim, columns: dict[str, Any]) -> dict[str, Any]:
    """What a worker wrote whose ticket was erased meanwhile, without the text."""
    erased_at = session.execute(
        select(Ticket.erased_at).where(Ticket.id == claim.ticket_id)
    ).scalar()
    return {**columns, "raw_output": None} if erased_at and columns else columns


def keep_reply(session: Session, claim: Claim, attempt_id: int, reply: dict[str, Any]) -> None:
    reply_id = session.execute(
        insert(Reply)
        .values(ticket_id=claim.ticket_id, attempt_id=attempt_id, **reply)
        .returning(Reply.id)
    ).scalar_one()
    session.execute(update(Ticket).where(Ticket.id == claim.ticket_id).values(reply_id=reply_id))
