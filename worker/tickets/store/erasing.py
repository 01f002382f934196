"""Removes what people wrote, and keeps what is counted.

Erasing takes subject, text, requester, raw outputs, replies, summaries, entities, what findings
quote, what helpdesks answered to write-backs, and notes (the audit's too); ids, times, labels,
states and token counts stay. The key that tells an edited message from a repeat is a hash and stays
too, so that a helpdesk's repeat does not bring the text back.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, text, true, update
from sqlalchemy.orm import Session, aliased

from schemas.reply import TEXTS
from worker.tickets.rows import Act, Attempt, Correction, Finding, Reply, Rerun, Ticket
from worker.tickets.states import FINAL, State
from worker.tickets.store.among import among
from worker.tickets.store.attempts import lose_attempts
from worker.tickets.store.intake import as_kept
from worker.tickets.store.newer import same_conversation, was_message
from worker.tickets.store.writebacks import forget_write_backs

ERASED = "(erased)"
ERASING_LOCK = 0x6572_6173  # "eras": nothing begins to read texts again while some are erased


def erase(session: Session, which: ColumnElement[bool]) -> dict[str, int]:
    """Erase the tickets that match; how many rows of each table held something.

    One that waits or is in work is ended as ignored: a worker that holds it has lost its claim.
    """
    session.execute(text("set local statement_timeout = 0"))  # years of tickets may take a minute
    session.execute(select(func.pg_advisory_xact_lock(ERASING_LOCK)))
    ids = session.scalars(
        select(Ticket.id)
        .where(which, Ticket.erased_at.is_(None))
        .with_for_update(key_share=True)  # deliveries of these tickets still come in
    ).all()
    for way, ticket_id in ((Ticket, Ticket.id), (Rerun, Rerun.ticket_id)):
        session.execute(
            update(way)
            .where(among(ticket_id, ids), way.state.not_in(FINAL))
            .values(state=State.IGNORED, reason="erased", claimed_by=None, claimed_until=None)
        )
    lose_attempts(session, among(Attempt.ticket_id, ids), reason="erased")
    attempts = select(Attempt.id).where(among(Attempt.ticket_id, ids))
    counts = {
        "attempts": changed(session, update(Attempt).where(among(Attempt.ticket_id, ids)).values(
            raw_output=None)),
        "replies": changed(session, update(Reply).where(among(Reply.ticket_id, ids)).values(
            summary=ERASED, reply=ERASED, entities=[])),
        "findings": changed(session, update(Finding).where(Finding.attempt_id.in_(attempts)).values(
            detail=ERASED)),
        "corrections": changed(session, update(Correction).where(
            among(Correction.ticket_id, ids), or_(Correction.field.in_(TEXTS),
            Correction.note.is_not(None))).values(erased_correction())),
    }  # fmt: skip
    session.execute(update(Act).where(among(Act.ticket_id, ids)).values(reason=None))
    forget_write_backs(session, ids)
    session.execute(
        update(Ticket)
        .where(among(Ticket.id, ids))
        .values(subject="", body="", cut="", requester=None, erased_at=func.now())
    )
    return {"tickets": len(ids), **counts}


def erased_correction() -> dict[Any, Any]:
    """A label that a person gave stays; text and notes go."""
    is_text = Correction.field.in_(TEXTS)
    return {
        Correction.note: None,
        Correction.value: case((is_text, ERASED), else_=Correction.value),
        Correction.model_value: case((is_text, ERASED), else_=Correction.model_value),
    }


def hold_off_erasing(session: Session) -> None:
    """Wait until nothing is being erased, and keep it so until this transaction ends."""
    session.execute(select(func.pg_advisory_xact_lock_shared(ERASING_LOCK)))


def changed(session: Session, statement: Any) -> int:
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]  # a CursorResult


def of_requester(requester: str, source: str | None = None) -> ColumnElement[bool]:
    """All tickets that this requester wrote, on any helpdesk or on one, and what quotes them: what
    else was kept of their conversations and is no customer's message.
    """
    name = as_kept(requester)
    of_source = true() if source is None else Ticket.source == source
    return of_source & (
        (Ticket.requester == name) | quotes(lambda theirs: theirs.requester == name)
    )


def of_conversation(external_id: str, source: str) -> ColumnElement[bool]:
    """One ticket of a helpdesk, all its messages."""
    return (Ticket.source == source) & (Ticket.external_id == external_id)


def ended_before(age: timedelta) -> ColumnElement[bool]:
    """Tickets that came in longer ago than this and are done, and what quotes them or what was
    erased before: an agent's answer is younger than what it answers.
    """

    def is_old(ticket: Any) -> ColumnElement[bool]:
        return and_(ticket.received_at < func.now() - age, ticket.state.in_(FINAL))

    return is_old(Ticket) | quotes(lambda theirs: is_old(theirs) | theirs.erased_at.is_not(None))


def quotes(which: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    """What is no customer's message, in a conversation with something such as `which` says."""
    theirs = aliased(Ticket)
    return ~was_message(Ticket) & exists().where(
        same_conversation(theirs, Ticket),
        which(theirs),
    )


def nameless(session: Session, source: str | None = None) -> int:
    """How many tickets have text and no requester: erasing a person cannot find theirs."""
    of_source = true() if source is None else Ticket.source == source
    return session.scalars(
        select(func.count()).where(
            of_source, Ticket.requester.is_(None), Ticket.erased_at.is_(None), was_message(Ticket)
        )
    ).one()
