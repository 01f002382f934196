"""What goes back to helpdesks: ordered, taken, ended; each reply once, each source for itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, aliased

from schemas.reply import FIELDS, LABELS
from worker.tickets.rows import Correction, Reply, Ticket, Writeback
from worker.tickets.states import State, WritebackState
from worker.tickets.store.among import among
from worker.tickets.store.newer import has_newer_message, is_newer, same_conversation

ERASED = "erased"
NOT_SHOWN = "the ticket shows another reply now"
"""Why what waited was skipped."""


@dataclass(frozen=True, slots=True)
class Job:
    """One reply on its way back. `attempt` numbers the tries; who has an older number has lost it.

    `labels` hold what people corrected. `is_current` is False once the ticket shows another reply
    or its text was erased, `is_last` until the customer has written more. The message was
    `written_at`, by the helpdesk's clock, if that told; it `came_at`, by ours. `disposition` says
    whether a person has to look at the reply, `was_sent` whether another that nobody had to look at
    has answered this message. `auto` are the replies of the whole conversation
    that nobody had to look at, each with its id; `earlier` the labels of all its replies, by name
    and value, people's words for them too. `overtaken_by` are the labels of a newer message
    of the conversation whose reply is over there already.
    """

    id: int
    attempt: int
    reply_id: int
    ticket_id: int
    external_id: str
    labels: Mapping[str, str]
    summary: str
    reply: str
    is_current: bool
    is_last: bool
    written_at: datetime | None
    came_at: datetime
    disposition: str
    was_sent: bool
    overtaken_by: Mapping[str, str] | None
    auto: Sequence[tuple[int, str]]
    earlier: Collection[tuple[str, str]]


def order_write_back(session: Session, ticket_id: int, reply_id: int) -> None:
    """Have a reply written back, unless it was or will be: one that was skipped is looked at anew,
    as the ticket may show it again.
    """
    order(session, literal(reply_id), Ticket.id == ticket_id)


def order_write_backs(
    session: Session, ticket_ids: Collection[int], sources: Collection[str]
) -> None:
    """Have the replies that these tickets show written back, as far as they are of these sources
    and no person has to look first.
    """
    if sources:
        order(
            session,
            Ticket.reply_id,
            among(Ticket.id, ticket_ids),
            Ticket.source.in_(sources),
            Ticket.state == State.REPLIED,
            Ticket.reply_id.is_not(None),
        )


def order(session: Session, reply_id: Any, *which: ColumnElement[bool]) -> None:
    rows = select(Ticket.id, reply_id, Ticket.source, literal(WritebackState.WAITING)).where(*which)
    columns = ["ticket_id", "reply_id", "source", "state"]
    session.execute(
        upsert(Writeback)
        .from_select(columns, rows)
        .on_conflict_do_update(
            index_elements=[Writeback.reply_id],
            set_={"state": WritebackState.WAITING, "reason": None, "attempts": 0,
                  "not_before": func.now(), "ended_at": None},
            where=Writeback.state == WritebackState.SKIPPED,
        )
    )  # fmt: skip


def order_those_not_shown(session: Session, ticket_ids: Collection[int]) -> None:
    """Have the replies that these tickets show again written back, as far as they were skipped
    while the tickets showed others.
    """
    was_skipped = exists().where(
        Writeback.reply_id == Ticket.reply_id, Writeback.reason == NOT_SHOWN
    )
    order(session, Ticket.reply_id, among(Ticket.id, ticket_ids), was_skipped)


def take_write_back(session: Session, source: str, *, lease_s: float) -> Job | None:
    """The next reply of this source that is due, for so many seconds; None if there is none."""
    due = (
        select(Writeback.id)
        .where(
            Writeback.source == source,
            Writeback.state == WritebackState.WAITING,
            Writeback.not_before <= func.now(),
        )
        .order_by(Writeback.not_before)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    row = session.scalars(
        update(Writeback)
        .where(Writeback.id == due)
        .values(attempts=Writeback.attempts + 1, not_before=func.now() + timedelta(seconds=lease_s))
        .returning(Writeback)
    ).one_or_none()
    return None if row is None else job_of(session, row)


def job_of(session: Session, row: Writeback) -> Job:
    ticket, reply = session.execute(
        select(Ticket, Reply)
        .join(Reply, Reply.ticket_id == Ticket.id)
        .where(Reply.id == row.reply_id)
    ).one()
    said = said_of(session, ticket, reply)
    return Job(
        id=row.id,
        attempt=row.attempts,
        reply_id=reply.id,
        ticket_id=ticket.id,
        external_id=ticket.external_id,
        labels=labels_of(ticket, said),
        summary=said["summary"],
        reply=said["reply"],
        is_current=ticket.reply_id == reply.id and ticket.erased_at is None,
        is_last=not session.execute(
            select(has_newer_message()).where(Ticket.id == ticket.id)
        ).scalar_one(),
        written_at=ticket.source_updated_at,
        came_at=ticket.received_at,
        disposition=reply.disposition,
        was_sent=bool(session.scalar(select(other_was_sent(row)))),
        overtaken_by=newer_labels(session, ticket),
        auto=auto_replies(session, ticket),
        earlier=earlier_labels(session, ticket),
    )


def other_was_sent(row: Writeback) -> ColumnElement[bool]:
    """Whether another reply to the same message, which needed nobody, was written back before, or
    may have been: a try that began may have come to its end over there.
    """
    return exists().where(
        Writeback.ticket_id == row.ticket_id,
        Writeback.id != row.id,
        Writeback.state != WritebackState.SKIPPED,
        Writeback.attempts > 0,
        Reply.id == Writeback.reply_id,
        Reply.disposition == "auto",
    )


def said_of(session: Session, ticket: Ticket, reply: Reply) -> dict[str, str]:
    """A reply's labels and texts, as people corrected them."""
    corrected = dict(
        session.execute(
            select(Correction.field, Correction.value)
            .where(Correction.ticket_id == ticket.id)
            .order_by(Correction.id)
        ).all()
    )
    return {name: corrected.get(name, getattr(reply, name)) for name in FIELDS}


def labels_of(ticket: Ticket, said: Mapping[str, str]) -> dict[str, str]:
    return {**{name: said[name] for name in LABELS}, "language": ticket.language or ""}


def earlier_labels(session: Session, ticket: Ticket) -> set[tuple[str, str]]:
    conversation = same_conversation(Ticket, ticket)
    columns = [Ticket.language, *(getattr(Reply, name) for name in LABELS)]
    names = ("language", *LABELS)
    replies = session.execute(
        select(*columns).join(Reply, Reply.ticket_id == Ticket.id).where(conversation)
    )
    said = session.execute(
        select(Correction.field, Correction.value)
        .join(Ticket, Ticket.id == Correction.ticket_id)
        .where(conversation, Correction.field.in_(LABELS))
    )
    found = {pair for row in replies for pair in zip(names, row, strict=True) if pair[1]}
    return found | {(field, value) for field, value in said}


def newer_labels(session: Session, ticket: Ticket) -> dict[str, str] | None:
    older = aliased(Ticket)
    newest = session.execute(
        select(Ticket, Reply)
        .join(older, is_newer(Ticket, older))
        .join(Writeback, Writeback.ticket_id == Ticket.id)
        .join(Reply, Reply.id == Writeback.reply_id)
        .where(older.id == ticket.id, Writeback.state == WritebackState.DONE)
        .order_by(Ticket.source_updated_at.desc().nulls_last(), Writeback.id.desc())
        .limit(1)
    ).one_or_none()
    return newest and labels_of(newest[0], said_of(session, *newest))


def auto_replies(session: Session, ticket: Ticket) -> list[tuple[int, str]]:
    rows = session.execute(
        select(Reply.id, Reply.reply)
        .join(Ticket, Ticket.id == Reply.ticket_id)
        .where(same_conversation(Ticket, ticket), Reply.disposition == "auto")
    )
    return [(id_, reply) for id_, reply in rows]


def end_write_back(
    session: Session,
    job: Job,
    state: WritebackState,
    *,
    reason: str | None = None,
    remote_id: str = "",
) -> None:
    """Note that a reply is `done`, `skipped` or `failed`, if this try still holds it; that it is
    `done` also if it was erased meanwhile.
    """
    holds = Writeback.attempts == job.attempt
    if state == WritebackState.DONE:
        holds |= (Writeback.attempts == job.attempt + 1) & (Writeback.reason == ERASED)
    session.execute(
        update(Writeback)
        .where(Writeback.id == job.id, holds)
        .values(
            state=state, reason=reason, remote_id=remote_id or None, ended_at=func.clock_timestamp()
        )
    )


def put_off_write_back(
    session: Session, job: Job, *, reason: str, wait_s: float, most_attempts: int
) -> None:
    """Try again in `wait_s` seconds; after so many attempts it has failed."""
    is_last = Writeback.attempts >= most_attempts
    session.execute(
        update(Writeback)
        .where(Writeback.id == job.id, Writeback.attempts == job.attempt)
        .values(
            state=case((is_last, WritebackState.FAILED), else_=WritebackState.WAITING),
            ended_at=case((is_last, func.clock_timestamp()), else_=None),
            reason=reason,
            not_before=func.now() + timedelta(seconds=wait_s),
        )
    )


def forget_write_backs(session: Session, ticket_ids: Collection[int]) -> None:
    """End what waits of erased tickets, for a try that is under way, too; and forget what their
    helpdesks answered.
    """
    waits = Writeback.state == WritebackState.WAITING
    session.execute(
        update(Writeback)
        .where(among(Writeback.ticket_id, ticket_ids))
        .values(
            state=case((waits, WritebackState.SKIPPED), else_=Writeback.state),
            reason=case((waits, ERASED), else_=None),
            attempts=case((waits, Writeback.attempts + 1), else_=Writeback.attempts),
            ended_at=case((waits, func.now()), else_=Writeback.ended_at),
        )
    )


def retry_write_backs(session: Session, source: str | None) -> int:
    """Have what failed tried again, of one source or of all; how many."""
    again = update(Writeback).where(Writeback.state == WritebackState.FAILED)
    if source:
        again = again.where(Writeback.source == source)
    changed: Sequence[int] = session.scalars(
        again.values(
            state=WritebackState.WAITING, attempts=0, not_before=func.now(), ended_at=None
        ).returning(Writeback.id)
    ).all()
    return len(changed)
