"""`triage enqueue`: put many tickets on the bulk queue, of our format or a helpdesk's export."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any

import orjson
import typer
from rich.console import Console

from schemas.ticket import GenericTicket, IncomingTicket
from worker.cli import compose, process
from worker.cli.lines import raw_lines, read_tickets
from worker.cli.progress import counting
from worker.database import Sessions, opened, transaction
from worker.dispatch.publish import Publisher
from worker.errors import TriageError, UnusableBody
from worker.helpdesk import HELPDESKS, text
from worker.helpdesk.exports import exported
from worker.local import with_running_stack
from worker.queues import Queue
from worker.settings import load_settings
from worker.tickets import store

BATCH = 200
SOURCE = "import"
LONGEST_FIELD = 16_000_000
"""Characters of a field in CSV; a ticket may have a whole mail thread in one."""
LISTS = ("tickets", "conversations", "issues", "results", "data")
"""Under which of these a JSON export keeps its list, where it is not the whole document."""


@dataclass(frozen=True, slots=True)
class Row:
    """One ticket of a file, or why there is none; `number` counts from 1."""

    number: int
    ticket: GenericTicket | None
    reason: str = ""


def enqueue(
    file: Annotated[Path, typer.Argument(help="JSONL tickets; - for standard input.")],
    *,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="The file is this helpdesk's export: .csv, .json or .jsonl."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be new; keep nothing.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Write what became of each line, as JSONL; - to see it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON.")] = False,
) -> None:
    """Put the tickets of a file on the bulk queue. Known tickets are not triaged again.

    Stopped halfway, the same command goes on. Exit code 1: some lines of an export were unusable.
    """
    settings = with_running_stack(load_settings())
    rows = list(islice(read_rows(file, from_), limit))
    with ExitStack() as stack:
        sessions = stack.enter_context(opened(settings.database_url, pool_size=2))
        written = stack.enter_context(process.output(results)) if results else None
        publisher = None if dry_run else compose.make_publisher(settings, sessions)
        counts = keep_all(rows, from_ or SOURCE, sessions, publisher, written)
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        tell(counts, dry_run=dry_run)
    if counts["unusable"]:
        raise typer.Exit(1)


def tell(counts: dict[str, int], *, dry_run: bool) -> None:
    would_be = " (nothing was kept)" if dry_run else ""
    Console(stderr=True).print(
        f"{counts['new']} new tickets on {Queue.BULK}, {counts['known']} known ones left alone"
        + (f", {counts['unusable']} unusable" if counts["unusable"] else "")
        + f"{would_be}.",
        soft_wrap=True,
    )


def read_rows(file: Path, source: str | None) -> Iterator[Row]:
    """The tickets of a file.

    Raises:
        TriageError: the file cannot be read, a line of ours is no ticket, or there is no such
            helpdesk.
    """
    if source is None:
        for number, ticket in enumerate(read_tickets(file), start=1):
            yield Row(number, ticket)
        return
    if source not in HELPDESKS:
        raise TriageError(f"there is no helpdesk {source}; there are {', '.join(HELPDESKS)}")
    for number, row in enumerate(export_rows(file), start=1):
        try:
            if not isinstance(row, bytes):
                yield Row(number, exported(source, row))
            elif row.strip():
                yield Row(number, exported(source, orjson.loads(row)))
        except UnusableBody as error:
            yield Row(number, None, str(error))
        except orjson.JSONDecodeError as error:
            yield Row(number, None, f"not JSON: {error}")


def export_rows(file: Path) -> Iterator[Any]:
    """Its tickets; of JSONL the lines, as bytes.

    Raises:
        TriageError: the file cannot be read as what its name says.
    """
    if file.suffix.lower() == ".csv":
        csv.field_size_limit(LONGEST_FIELD)
        lines = (line.decode("utf-8") for line in raw_lines(file))
        try:
            yield from csv.DictReader(lines)
        except (csv.Error, UnicodeDecodeError) as error:
            raise TriageError(f"{file}: no CSV in UTF-8: {error}") from error
        return
    if file.suffix.lower() != ".json":
        yield from raw_lines(file)
        return
    try:
        yield from listed(orjson.loads(b"".join(raw_lines(file))))
    except orjson.JSONDecodeError as error:
        raise TriageError(f"{file}: not JSON: {error}") from error


def listed(document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise TriageError("the file has neither a list of tickets nor an object with one")
    found = [document[name] for name in LISTS if isinstance(document.get(name), list)]
    return found[0] if found else [document]


def keep_all(
    rows: Sequence[Row],
    source: str,
    sessions: Sessions,
    publisher: Publisher | None,
    results: IO[str] | None,
) -> dict[str, int]:
    """Keep and announce all tickets under a progress bar; how many were what.

    Without a publisher nothing is kept.
    """
    counts = {"new": 0, "known": 0, "unusable": 0}
    with counting("Enqueueing", len(rows)) as advance:
        for batch in batches(rows):
            for row, status, ticket_id in keep(batch, source, sessions, publisher):
                counts[status] += 1
                if results:
                    told = {"line": row.number, "status": status, "ticket_id": ticket_id}
                    results.write(json.dumps(told | ({"reason": row.reason} if row.reason else {})))
                    results.write("\n")
            advance(len(batch))
    return counts


def keep(
    batch: Sequence[Row], source: str, sessions: Sessions, publisher: Publisher | None
) -> list[tuple[Row, str, int | None]]:
    """Commit one batch, then announce it; what became of each row, and the ticket's id.

    Sorted, so that two imports of the same tickets wait for each other and never both ways.
    """
    outcomes: list[tuple[Row, str, int | None]] = []
    not_kept: set[int] = set()
    with transaction(sessions) as session:
        ids = [row.ticket.id for row in batch if row.ticket]
        known = store.known(session, source, ids) if source != SOURCE else {}
        for row in sorted(batch, key=ticket_of):
            if row.ticket is None:
                outcomes.append((row, "unusable", None))
            elif row.ticket.id in known:
                outcomes.append((row, "known", known[row.ticket.id]))
            else:
                received = store.receive(session, incoming(row.ticket, source), Queue.BULK)
                status = "new" if received.is_new else "known"
                if received.is_new and publisher is None:
                    not_kept.add(received.ticket_id)
                told = None if received.ticket_id in not_kept else received.ticket_id
                outcomes.append((row, status, told))
        if publisher is None:
            session.rollback()
    if publisher:
        new = [id_ for _, status, id_ in outcomes if status == "new" and id_]
        publisher.announce((ticket_id, Queue.BULK) for ticket_id in new)
    return sorted(outcomes, key=lambda outcome: outcome[0].number)


def ticket_of(row: Row) -> str:
    return row.ticket.id if row.ticket else ""


def incoming(ticket: GenericTicket, source: str = SOURCE) -> IncomingTicket:
    message = text.message(ticket.body)
    read = IncomingTicket(
        source=source,
        external_id=ticket.id,
        delivery_key="unknown",
        message_id=ticket.message_id,
        event=store.IMPORT,
        subject=text.one_line(ticket.subject),
        body=message.body,
        cut=message.cut,
        locale=ticket.locale,
        requester=ticket.requester,
    )
    key = ticket.delivery_id or f"{ticket.id[:100]}:{read.content_key}"
    return read.model_copy(update={"delivery_key": key})


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, BATCH)):
        yield batch
