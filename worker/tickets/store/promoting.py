"""What a replay came to becomes what its tickets show; and back again.

The reply a ticket had stays, and `reruns.replaced` says which it was. Nobody is overruled: a
ticket that a person corrected, that has a newer result or a newer message, is left as it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    case,
    exists,
    func,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from worker.tickets.rows import Attempt, Correction, Rerun, Ticket
from worker.tickets.states import ANSWERED
from worker.tickets.store.among import among
from worker.tickets.store.by_hand import act
from worker.tickets.store.newer import has_newer_message
from worker.tickets.store.writebacks import order_those_not_shown, order_write_backs

CORRECTED = "a person corrected it"
NEWER_RESULT = "it has a newer result"
NEWER_MESSAGE = "the helpdesk has a newer message of it"
ERASED = "its text was erased"
AWAY = "it waits, is in work, or was put away"


@dataclass(frozen=True, slots=True)
class Promoted:
    """The ids of the tickets that changed, and of those that did not, with why."""

    ticket_ids: Sequence[int]
    skipped: Sequence[tuple[int, str]]


def promote(
    session: Session,
    replay_id: int,
    ticket_ids: Sequence[int] | None,
    *,
    by: str,
    reason: str | None,
    write_back: Collection[str] = (),
) -> Promoted:
    """Make the new replies of a replay current: of these tickets, or of all (None).

    Those of tickets of the sources `write_back` that need no person go back to their helpdesks.
    """
    candidates = [
        Rerun.replay_id == replay_id,
        Rerun.reply_id.is_not(None),
        Rerun.state.in_(ANSWERED),
        Rerun.promoted_at.is_(None),
        *of_these(ticket_ids),
    ]
    seen = lock(session, candidates, why_not(Rerun.base_attempt_id))
    free = [ticket_id for ticket_id, why in seen if why is None]
    before = func.jsonb_build_object(
        "reply_id", Ticket.reply_id, "attempt_id", Ticket.attempt_id, "state", Ticket.state,
        "reason", Ticket.reason, "language", Ticket.language, type_=JSONB,
    )  # fmt: skip
    theirs = (Rerun.replay_id == replay_id, Rerun.ticket_id == Ticket.id)
    session.execute(
        update(Rerun)
        .where(*theirs, among(Ticket.id, free))
        .values(promoted_at=func.now(), replaced=before)
    )
    session.execute(
        update(Ticket)
        .where(*theirs, among(Ticket.id, free))
        .values(
            reply_id=Rerun.reply_id,
            attempt_id=Rerun.attempt_id,
            state=Rerun.state,
            reason=Rerun.reason,
            language=select(Attempt.language)
            .where(Attempt.id == Rerun.attempt_id)
            .scalar_subquery(),
            updated_at=func.now(),
        )
    )
    order_write_backs(session, free, write_back)
    return told(session, "replay promote", replay_id, seen, by=by, reason=reason)


def undo_promotion(
    session: Session,
    replay_id: int,
    ticket_ids: Sequence[int] | None,
    *,
    by: str,
    reason: str | None,
) -> Promoted:
    """Give tickets back what they had before the promotion: these, or all (None)."""
    candidates = [
        Rerun.replay_id == replay_id,
        Rerun.promoted_at.is_not(None),
        *of_these(ticket_ids),
    ]
    seen = lock(session, candidates, why_not(Rerun.attempt_id))
    free = [ticket_id for ticket_id, why in seen if why is None]
    theirs = (Rerun.replay_id == replay_id, Rerun.ticket_id == Ticket.id)
    had = Rerun.replaced
    session.execute(
        update(Ticket)
        .where(*theirs, among(Ticket.id, free))
        .values(
            reply_id=had["reply_id"].as_integer(),
            attempt_id=had["attempt_id"].as_integer(),
            state=had["state"].as_string(),
            reason=had["reason"].as_string(),
            language=func.coalesce(had["language"].as_string(), Ticket.language),
            updated_at=func.now(),
        )
    )
    session.execute(
        update(Rerun)
        .where(Rerun.replay_id == replay_id, among(Rerun.ticket_id, free))
        .values(promoted_at=None, replaced=null())
    )
    order_those_not_shown(session, free)
    return told(session, "replay undo", replay_id, seen, by=by, reason=reason)


def of_these(ticket_ids: Sequence[int] | None) -> list[ColumnElement[bool]]:
    return [] if ticket_ids is None else [among(Rerun.ticket_id, ticket_ids)]


def why_not(must_be_current: Any) -> ColumnElement[str | None]:
    """Why a ticket that should show the attempt `must_be_current` is left as it is, else None."""
    return case(
        (exists().where(Correction.ticket_id == Ticket.id), literal(CORRECTED)),
        (Ticket.attempt_id.is_distinct_from(must_be_current), literal(NEWER_RESULT)),
        (has_newer_message(), literal(NEWER_MESSAGE)),
        (Ticket.erased_at.is_not(None), literal(ERASED)),
        (Ticket.state.not_in(ANSWERED), literal(AWAY)),
        else_=null(),
    )


def lock(
    session: Session, candidates: Sequence[ColumnElement[bool]], why: ColumnElement[str | None]
) -> Sequence[tuple[int, str | None]]:
    """Each candidate's ticket, locked, with why it is left as it is.

    In two statements: the second sees what was written until the first had its locks.
    """
    session.execute(text("set local statement_timeout = 0"))  # a million may take a minute
    theirs = select(Ticket.id).join(Rerun, Rerun.ticket_id == Ticket.id).where(*candidates)
    locked = session.scalars(
        theirs.order_by(Ticket.id).with_for_update(
            of=Ticket, key_share=True
        )  # deliveries of these tickets still come in
    ).all()
    rows = session.execute(
        theirs.add_columns(why).where(among(Ticket.id, locked)).order_by(Ticket.id)
    )
    return [(ticket_id, why_not) for ticket_id, why_not in rows]


def told(
    session: Session,
    action: str,
    replay_id: int,
    seen: Sequence[tuple[int, str | None]],
    *,
    by: str,
    reason: str | None,
) -> Promoted:
    """Note in the audit what came of it."""
    done = [ticket_id for ticket_id, why in seen if why is None]
    skipped = [(ticket_id, why) for ticket_id, why in seen if why is not None]
    act(session, action, by=by, reason=reason,
        selection={"replay": replay_id},
        result={"tickets": len(done), "skipped": dict(skipped)})  # fmt: skip
    return Promoted(done, skipped)
