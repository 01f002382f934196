"""`triage enqueue`: put many tickets on the bulk queue."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from schemas.ticket import GenericTicket, IncomingTicket
from worker.cli.lines import read_tickets
from worker.cli.progress import counting
from worker.database import Sessions, opened, transaction
from worker.dispatch.celery_app import make_app
from worker.dispatch.publish import Publisher
from worker.helpdesk import text
from worker.local import addresses
from worker.settings import load_settings
from worker.tickets import store
from worker.tickets.states import Queue

BATCH = 200
SOURCE = "import"


def enqueue(
    file: Annotated[Path, typer.Argument(help="JSONL tickets; - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON.")] = False,
) -> None:
    """Put the tickets of a JSONL file on the bulk queue. Known tickets are not triaged again."""
    settings = addresses(load_settings())
    tickets = list(read_tickets(file))
    console = Console(stderr=True)
    with opened(settings.database_url, pool_size=2) as sessions:
        publisher = Publisher(make_app(settings), sessions)
        new = keep_all(tickets, sessions, publisher)
    known = len(tickets) - new
    if as_json:
        typer.echo(json.dumps({"new": new, "known": known}))
    else:
        console.print(f"{new} new tickets on {Queue.BULK}, {known} known ones left alone.")


def keep_all(tickets: Sequence[GenericTicket], sessions: Sessions, publisher: Publisher) -> int:
    """Keep and announce all tickets under a progress bar; how many were new."""
    new = 0
    with counting("Enqueueing", len(tickets)) as advance:
        for batch in batches(tickets):
            new += keep(batch, sessions, publisher)
            advance(len(batch))
    return new


def keep(batch: Iterable[GenericTicket], sessions: Sessions, publisher: Publisher) -> int:
    """Commit one batch, then announce it; how many tickets were new."""
    with transaction(sessions) as session:
        received = [store.receive(session, incoming(one), Queue.BULK) for one in batch]
    new = [one.ticket_id for one in received if one.is_new]
    publisher.announce((ticket_id, Queue.BULK) for ticket_id in new)
    return len(new)


def incoming(ticket: GenericTicket) -> IncomingTicket:
    read = IncomingTicket(
        source=SOURCE,
        external_id=ticket.id,
        delivery_key="unknown",
        message_id=ticket.message_id,
        event="import",
        subject=text.one_line(ticket.subject),
        body=text.clean(ticket.body),
        locale=ticket.locale,
        requester=ticket.requester,
    )
    key = ticket.delivery_id or f"{ticket.id[:100]}:{read.content_key}"
    return read.model_copy(update={"delivery_key": key})


def batches(tickets: Iterable[GenericTicket]) -> Iterator[list[GenericTicket]]:
    remaining = iter(tickets)
    while batch := list(islice(remaining, BATCH)):
        yield batch
