"""The way in: helpdesks' deliveries become tickets, each once, many in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from schemas.ticket import IncomingTicket
from worker.queues import Queue
from worker.tickets.rows import Refusal, Ticket
from worker.tickets.states import State
from worker.tickets.store.newer import was_message


@dataclass(frozen=True, slots=True)
class Arrival:
    """A ticket on its way in, and the span that brought it."""

    ticket: IncomingTicket
    traceparent: str | None = None

    @property
    def delivery(self) -> tuple[str, str]:
        """The same again is a re-delivery."""
        return self.ticket.source, self.ticket.delivery_key

    @property
    def content(self) -> tuple[str, str, str]:
        """The same again is the same message."""
        return self.ticket.source, self.ticket.external_id, self.ticket.content_key


@dataclass(frozen=True, slots=True)
class Received:
    ticket_id: int
    is_new: bool
    is_ignored: bool


IMPORT = "import"
"""The event of what `triage enqueue` brings."""


def receive(session: Session, new: IncomingTicket, queue: Queue) -> Received:
    """Keep a delivery and its ticket, unless either is known already."""
    [received] = receive_all(session, [Arrival(new)], queue)
    return received


def receive_all(session: Session, arrivals: Sequence[Arrival], queue: Queue) -> list[Received]:
    """Keep deliveries and their tickets, except for what is known, in the order given.

    No two of them may be the same delivery or the same message.
    """
    session.execute(LOCK, {"keys": sorted({one.ticket.delivery_key for one in arrivals})})
    repeated = repeat(session, arrivals)
    fresh = [one for one in arrivals if one.delivery not in repeated]
    tickets = insert_tickets(session, fresh, queue)
    insert_deliveries(session, fresh, {content: id_ for content, (id_, _) in tickets.items()})
    outcomes = [
        (repeated[one.delivery], False) if one.delivery in repeated else tickets[one.content]
        for one in arrivals
    ]
    return [
        Received(ticket_id, is_new=is_new, is_ignored=one.ticket.ignore_reason is not None)
        for one, (ticket_id, is_new) in zip(arrivals, outcomes, strict=True)
    ]


LOCK = text(
    "select pg_advisory_xact_lock(hashtextextended(key, 0))"
    " from unnest(cast(:keys as text[])) as key"
)
"""One delivery at a time, whichever gateway it came to; sorted, so that none waits for another
that waits for it."""
REPEAT = text(
    "update deliveries set repeats = repeats + 1"
    " from unnest(cast(:sources as text[]), cast(:keys as text[])) as given(source, key)"
    " where deliveries.source = given.source and deliveries.delivery_key = given.key"
    " returning deliveries.source, deliveries.delivery_key, deliveries.ticket_id"
)
COLUMNS = {
    "source": "text", "external_id": "text", "content_key": "text", "subject": "text",
    "body": "text", "cut": "text", "locale": "text", "requester": "text",
    "source_updated_at": "timestamptz", "state": "text", "reason": "text", "traceparent": "text",
}  # fmt: skip
INSERT_TICKETS = text(
    f"insert into tickets ({', '.join(COLUMNS)}, queue)"  # noqa: S608  # names of ours
    " select given.*, :queue"
    f" from unnest({', '.join(f'cast(:{name} as {kind}[])' for name, kind in COLUMNS.items())})"
    f" as given({', '.join(COLUMNS)})"
    " order by source, external_id, content_key"
    " on conflict do nothing"
    " returning id, source, external_id, content_key"
)
KNOWN_TICKETS = text(
    "select id, tickets.source, tickets.external_id, tickets.content_key"
    " from tickets join unnest("
    "cast(:source as text[]), cast(:external_id as text[]), cast(:content_key as text[])"
    ") as given(source, external_id, content_key) using (source, external_id, content_key)"
)
INSERT_DELIVERIES = text(
    "insert into deliveries (source, delivery_key, event, ticket_id) select * from unnest("
    "cast(:source as text[]), cast(:key as text[]), cast(:event as text[]), cast(:id as bigint[]))"
)


def repeat(session: Session, arrivals: Sequence[Arrival]) -> dict[tuple[str, str], int]:
    """Count the repeats among them; the ticket's id of each known delivery."""
    found = session.execute(
        REPEAT,
        {
            "sources": [one.ticket.source for one in arrivals],
            "keys": [one.ticket.delivery_key for one in arrivals],
        },
    )
    return {(source, key): ticket_id for source, key, ticket_id in found}


def insert_tickets(
    session: Session, arrivals: Sequence[Arrival], queue: Queue
) -> dict[tuple[str, str, str], tuple[int, bool]]:
    """The id of each message's ticket, and whether it is new."""
    if not arrivals:
        return {}
    rows = [as_row(one) for one in arrivals]
    new = session.execute(INSERT_TICKETS, {**columns(rows, COLUMNS), "queue": queue.value})
    tickets = {(row[1], row[2], row[3]): (row[0], True) for row in new}
    known = [row for row, one in zip(rows, arrivals, strict=True) if one.content not in tickets]
    if known:
        found = session.execute(
            KNOWN_TICKETS, columns(known, ("source", "external_id", "content_key"))
        )
        tickets |= {(row[1], row[2], row[3]): (row[0], False) for row in found}
    return tickets


def as_row(one: Arrival) -> dict[str, Any]:
    new = one.ticket
    return {
        "source": new.source,
        "external_id": new.external_id,
        "content_key": new.content_key,
        "subject": new.subject if new.is_message else "",
        "body": new.body if new.is_message else "",
        "cut": new.cut if new.is_message else "",
        "locale": new.locale,
        "requester": as_kept(new.requester) if new.requester else None,
        "source_updated_at": new.source_updated_at,
        "state": (State.IGNORED if new.ignore_reason else State.RECEIVED).value,
        "reason": new.ignore_reason,
        "traceparent": one.traceparent,
    }


def columns(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


def insert_deliveries(
    session: Session, arrivals: Sequence[Arrival], ids: Mapping[tuple[str, str, str], int]
) -> None:
    if arrivals:
        session.execute(
            INSERT_DELIVERIES,
            {
                "source": [one.ticket.source for one in arrivals],
                "key": [one.ticket.delivery_key for one in arrivals],
                "event": [one.ticket.event for one in arrivals],
                "id": [ids[one.content] for one in arrivals],
            },
        )


def known(session: Session, source: str, external_ids: Sequence[str]) -> dict[str, int]:
    """Those of a source's tickets of which a message is here already, each with an id of ours.

    Of what was erased or discarded a message was here, though it is ignored now.
    """
    rows = session.execute(
        select(Ticket.external_id, Ticket.id).where(
            Ticket.source == source,
            Ticket.external_id.in_(external_ids),
            was_message(Ticket) | Ticket.erased_at.is_not(None),
        )
    )
    return dict(rows.all())


def add_refusals(session: Session, counts: Mapping[tuple[str, str], int]) -> None:
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


def note_announced(session: Session, ticket_ids: Sequence[int], *, within_s: float) -> None:
    """Note that a message for each of these tickets has reached the broker in so many seconds.

    A ticket that was taken and given back meanwhile has none any more.
    """
    session.execute(
        update(Ticket)
        .where(
            Ticket.id.in_(ticket_ids),
            Ticket.updated_at <= func.now() - timedelta(seconds=within_s),
        )
        .values(announced_at=func.now())
    )


def as_kept(requester: str) -> str:
    """A helpdesk's name for a person, as it is kept and looked for."""
    return requester.strip().lower()
