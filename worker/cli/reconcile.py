"""`triage reconcile`: asks a helpdesk for tickets whose webhooks never came."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from schemas.ticket import IncomingTicket
from worker import helpdesk, logs
from worker.cli import compose, process
from worker.cli.options import AsJson
from worker.database import UNAVAILABLE, Sessions, opened, reason, transaction
from worker.dispatch.publish import Publisher
from worker.errors import OutletError, TriageError, UnusableBody
from worker.helpdesk import HELPDESKS, Webhook, freescout, helpscout, threads
from worker.local import with_running_stack
from worker.queues import Queue
from worker.settings import Settings, load_settings
from worker.tickets import store

BATCH = 100
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
EVENT = "reconcile"
"""No webhook's: a source that only this still finds tickets of is silent (`ops_sources_v1`)."""
OF_NEW_TICKETS = {helpscout.EVENT: threads.CREATED, freescout.EVENT: threads.CREATED}
log = logs.get(__name__)


def reconcile(
    source: Annotated[str, typer.Argument(help="A helpdesk, or helpdesk/desk.")],
    *,
    since: Annotated[str, typer.Option(help="An age such as 90m, 24h or 7d.")] = "24h",
    every: Annotated[
        str | None, typer.Option(help="Ask again each so often, such as 15m, until stopped.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what is missing; keep nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a helpdesk for its tickets and take those whose webhooks never came.

    Needs TRIAGE_HELPDESKS__{SOURCE}__URL and __TOKEN. What came already is recognised by its text.
    Exit code 1 if a ticket could not be read.
    """
    settings = with_running_stack(load_settings())
    logs.configure("WARNING")
    age, pause = age_of(since), age_of(every) if every else None
    with opened(settings.database_url, pool_size=2) as sessions:
        publisher = compose.make_publisher(settings, sessions)
        stopped = process.until_signalled() if pause else None
        if pause is None or stopped is None:
            counts = ask(settings, source, age, sessions, publisher, dry_run=dry_run)
            tell(counts, as_json=as_json)
            raise typer.Exit(1 if counts["unreadable"] else 0)
        while True:
            try:
                counts = ask(settings, source, age, sessions, publisher, dry_run=dry_run)
                tell(counts, as_json=as_json)
            except (OutletError, *UNAVAILABLE) as error:
                log.warning("not_reconciled", source=source, reason=reason(error))
            if stopped(pause.total_seconds()):
                return


def ask(
    settings: Settings,
    source: str,
    age: timedelta,
    sessions: Sessions,
    publisher: Publisher,
    *,
    dry_run: bool,
) -> dict[str, int]:
    """One round; how many tickets were new, known, no customer's message, unreadable."""
    counts = dict.fromkeys(("new", "known", "ignored", "unreadable"), 0)
    found = tickets(settings, source, datetime.now(UTC) - age, counts)
    for batch in batches(found):
        new = []
        with transaction(sessions) as session:
            for ticket in sorted(batch, key=lambda one: one.external_id):  # as in imports
                received = store.receive(session, ticket, Queue.LIVE)
                what = "known" if not received.is_new else "new"
                counts["ignored" if received.is_ignored else what] += 1
                if received.is_new and not received.is_ignored:
                    new.append(received.ticket_id)
            if dry_run:
                session.rollback()
        if not dry_run:
            publisher.announce([(ticket_id, Queue.LIVE) for ticket_id in new])
    return counts


def batches(found: Iterator[IncomingTicket]) -> Iterator[list[IncomingTicket]]:
    """What a helpdesk gave before it failed is kept all the same."""
    batch = list[IncomingTicket]()
    try:
        for ticket in found:
            batch.append(ticket)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except OutletError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def tickets(
    settings: Settings, source: str, since: datetime, counts: dict[str, int]
) -> Iterator[IncomingTicket]:
    name, _, desk = source.partition("/")
    if name not in HELPDESKS:
        raise TriageError(f"there is no helpdesk {name}; there are {', '.join(HELPDESKS)}")
    webhook = Webhook(b"", OF_NEW_TICKETS, received_at=datetime.now(UTC))
    for payload in compose.outlet_of(settings, source).recent(since):
        try:
            ticket = helpdesk.read(HELPDESKS[name], payload, webhook, desk=desk)
        except UnusableBody as error:
            counts["unreadable"] += 1
            log.warning("ticket_unreadable", source=source, reason=str(error))
            continue
        key = f"reconciled:{ticket.external_id}:{ticket.content_key}"
        yield ticket.model_copy(update={"delivery_key": key[:200], "event": EVENT})


def tell(counts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(counts))
        return
    Console(highlight=False).print(
        f"{counts['new']:,} were missing, {counts['known']:,} were known, "
        f"{counts['ignored']:,} are no customer's message, {counts['unreadable']:,} unreadable."
    )


def age_of(given: str) -> timedelta:
    """
    Raises:
        TriageError: it is no such age.
    """
    found = re.fullmatch(r"(\d{1,6})([mhd])", given)
    if not found:
        raise TriageError(f"{given!r} is no age: minutes, hours or days such as 90m, 24h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})
