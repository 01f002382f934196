"""How an attempt ends: by the claim's holder alone, whatever came of it.

Every end may be written twice with the same effect: a commit whose answer was lost on the way is
simply tried again.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Update, bindparam, case, func, insert, literal, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from worker.queues import Queue
from worker.tickets.rows import Attempt, Reply, Ticket, table_of
from worker.tickets.states import Outcome, State
from worker.tickets.store.attempts import Result, finish_attempt
from worker.tickets.store.claims import Claim, Way
from worker.tickets.store.writebacks import order_write_back

KEEP_REPLY = insert(table_of(Reply)).returning(table_of(Reply).c.id)


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


def record(
    session: Session, claim: Claim, result: Result, *, writes_back: bool = False
) -> State | None:
    """Keep what an attempt came to and move the ticket to its end state, which is returned.

    A reply that nobody has to look at first is ordered to be written back, if its source wants
    that. None if the lease was lost meanwhile: then the attempt is kept and the reply dropped.
    """
    state = leave(
        session,
        claim,
        state=State(result.outcome),
        reason=result.reason,
        **language_of_ticket(claim, result),
    )
    if not finish_attempt(session, claim, result, owned=state is not None):
        return repeated(session, claim, result)
    if state is not None and result.reply is not None:
        reply_id = keep_reply(session, claim, result.reply)
        if writes_back and state is State.REPLIED:
            order_write_back(session, claim.ticket_id, reply_id)
    return state


def language_of_ticket(claim: Claim, result: Result) -> dict[str, Any]:
    return {"language": result.attempt.get("language")} if claim.way is Ticket else {}


def give_back(session: Session, claim: Claim, result: Result, policy: RetryPolicy) -> State | None:
    """After a failure that a retry can help: wait and try again, or hand over to a person.

    The delay is drawn between 0 and `base_s` × 2^failures, at most `cap_s` (full jitter).
    Returns the ticket's new state, None if the lease was lost meanwhile.
    """
    row = table_of(claim.way).c
    longest_s = func.least(literal(policy.cap_s), policy.base_s * func.power(2, row.failures))
    return end(
        session,
        claim,
        result,
        state=waiting_unless(row.failures + 1 >= policy.max_attempts),
        failures=row.failures + 1,
        not_before=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, func.random() * longest_s),
        announced_at=None,
    )


def crashed(session: Session, claim: Claim, result: Result, policy: RetryPolicy) -> State | None:
    """After the engine died over this ticket: try again at once, or hand a poison to a person.

    Returns the ticket's new state, None if the lease was lost meanwhile.
    """
    row = table_of(claim.way).c
    return end(
        session,
        claim,
        result,
        state=waiting_unless(row.crashes + 1 >= policy.max_crashes),
        crashes=row.crashes + 1,
        announced_at=None,
    )


def repair(session: Session, claim: Claim, result: Result) -> State | None:
    """After an answer that failed a check: ask once more at once, with the findings named."""
    return end(
        session,
        claim,
        result,
        state=State.RECEIVED,
        repairs=table_of(claim.way).c.repairs + 1,
        announced_at=None,
    )


def move(session: Session, claim: Claim, result: Result, queue: Queue) -> State | None:
    """Hand a ticket over to the workers of another queue."""
    return end(
        session,
        claim,
        result,
        state=State.RECEIVED,
        queue=queue,
        announced_at=None,
    )


def release(session: Session, claim: Claim, reason: str) -> State | None:
    """Give a ticket back untouched, for a reason that is not its own; no try is used up."""
    return end(
        session,
        claim,
        Result(Outcome.RELEASED, reason),
        state=State.RECEIVED,
        announced_at=None,
        attempt_id=table_of(claim.way).c.attempt_id,
    )


def end(session: Session, claim: Claim, result: Result, **values: Any) -> State | None:
    """End a claim without a reply and close its attempt; the new state, None if it was lost."""
    state = leave(session, claim, reason=result.reason, **values)
    if not finish_attempt(session, claim, result, owned=state is not None):
        return repeated(session, claim, result)
    return state


def repeated(session: Session, claim: Claim, result: Result) -> State | None:
    """The state of a row whose claim ended just so before, by a commit whose answer was lost; None
    if it ended otherwise.
    """
    way = claim.way
    state = session.scalars(
        select(way.state)
        .join(Attempt, Attempt.id == claim.attempt_id)
        .where(way.id == claim.way_id, Attempt.outcome == result.outcome)
    ).one_or_none()
    return None if state is None else State(state)


@cache
def leaving(way: Way) -> ReturningUpdate[Any]:
    """The statement that ends a claim. The fence: a worker that lost its lease matches no row."""
    columns = table_of(way).c
    return (
        update(table_of(way))
        .where(
            columns.id == bindparam("this"),
            columns.state == State.TRIAGING,
            columns.attempts == bindparam("its_attempt"),
            columns.claimed_by == bindparam("its_worker"),
        )
        .values(claimed_by=None, claimed_until=None, updated_at=func.now())
        .returning(columns.state)
    )


def leave(session: Session, claim: Claim, **values: Any) -> State | None:
    """End a claim with these column values, if it still holds; the new state.

    A value may be one that Postgres makes of the row.
    """
    given = {"attempt_id": claim.attempt_id, **values}
    made = {name: value for name, value in given.items() if isinstance(value, ColumnElement)}
    statement = leaving(claim.way)
    state = session.execute(
        statement.values(made) if made else statement,
        {
            "this": claim.way_id,
            "its_attempt": claim.attempt,
            "its_worker": claim.worker,
            **{name: value for name, value in given.items() if name not in made},
        },
    ).scalar()
    return None if state is None else State(state)


def waiting_unless(is_last: ColumnElement[bool]) -> ColumnElement[str]:
    """Back to waiting, or to a person if this try was the last."""
    return case((is_last, State.NEEDS_HUMAN.value), else_=State.RECEIVED.value)


def keep_reply(session: Session, claim: Claim, reply: dict[str, Any]) -> int:
    reply_id: int = session.execute(
        KEEP_REPLY, {"ticket_id": claim.ticket_id, "attempt_id": claim.attempt_id, **reply}
    ).scalar_one()
    session.execute(showing(claim.way), {"this": claim.way_id, "reply_id": reply_id})
    return reply_id


@cache
def showing(way: Way) -> Update:
    """The statement that has a row show another reply."""
    return update(table_of(way)).where(table_of(way).c.id == bindparam("this"))
