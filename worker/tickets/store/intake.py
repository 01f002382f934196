"""The way in: a helpdesk's delivery becomes a ticket, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from schemas.ticket import IncomingTicket
from worker.tickets.rows import Delivery, Refusal, Ticket
from worker.tickets.states import Queue, State


@dataclass(frozen=True, slots=True)
class Received:
    ticket_id: int
    is_new: bool
    is_ignored: bool


def receive(
    session: Session, new: IncomingTicket, queue: Queue, *, traceparent: str | None = None
) -> Received:
    """Keep a delivery and its ticket, unless either is known already."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(new.delivery_key, 0))))
    known = session.execute(
        update(Delivery)
        .where(Delivery.source == new.source, Delivery.delivery_key == new.delivery_key)
        .values(repeats=Delivery.repeats + 1)
        .returning(Delivery.ticket_id)
    ).scalar()
    if known is not None:
        return Received(known, is_new=False, is_ignored=new.ignore_reason is not None)
    ticket_id, is_new = insert_ticket(session, new, queue, traceparent)
    session.execute(
        insert(Delivery).values(
            source=new.source,
            delivery_key=new.delivery_key,
            event=new.event,
            ticket_id=ticket_id,
        )
    )
    return Received(ticket_id, is_new=is_new, is_ignored=new.ignore_reason is not None)


def insert_ticket(
    session: Session, new: IncomingTicket, queue: Queue, traceparent: str | None
) -> tuple[int, bool]:
    same = (
        Ticket.source == new.source,
        Ticket.external_id == new.external_id,
        Ticket.content_key == new.content_key,
    )
    ticket_id = session.execute(
        upsert(Ticket)
        .values(
            source=new.source,
            external_id=new.external_id,
            content_key=new.content_key,
            subject=new.subject,
            body=new.body,
            cut=new.cut,
            locale=new.locale,
            requester=new.requester.lower() if new.requester else None,
            source_updated_at=new.source_updated_at,
            queue=queue,
            state=State.IGNORED if new.ignore_reason else State.RECEIVED,
            reason=new.ignore_reason,
            traceparent=traceparent,
        )
        .on_conflict_do_nothing()
        .returning(Ticket.id)
    ).scalar()
    if ticket_id is not None:
        return ticket_id, True
    return session.execute(select(Ticket.id).where(*same)).scalar_one(), False


def known(session: Session, source: str, external_ids: Sequence[str]) -> dict[str, int]:
    """Those of a source's tickets that are here already, each with an id of ours."""
    rows = session.execute(
        select(Ticket.external_id, Ticket.id).where(
            Ticket.source == source, Ticket.external_id.in_(external_ids)
        )
    )
    return dict(rows.all())


def refused(session: Session, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to the refused webhooks of this hour, counted by (source, kind)."""
    hour = func.date_trunc("hour", func.now())
    rows = [
        {"hour": hour, "source": source, "kind": kind, "refused": count}
        for (source, kind), count in sorted(counts.items())
    ]
    new = upsert(Refusal).values(rows)
    session.execute(
        new.on_conflict_do_update(
            index_elements=[Refusal.hour, Refusal.source, Refusal.kind],
            set_={"refused": Refusal.refused + new.excluded.refused},
        )
    )


def announced(session: Session, ticket_ids: Sequence[int]) -> None:
    """Note that a message for each of these tickets has reached the broker."""
    session.execute(update(Ticket).where(Ticket.id.in_(ticket_ids)).values(announced_at=func.now()))
