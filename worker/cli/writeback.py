"""`triage writeback`: replies on their way back to helpdesks."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from worker import logs, metrics
from worker.cli import compose, process
from worker.cli.options import AsJson
from worker.cli.services import StopOnEof
from worker.cli.tables import plain_table
from worker.database import opened
from worker.dispatch.writeback import WriteBack, run_all
from worker.local import with_running_stack
from worker.settings import load_settings
from worker.tickets import read, store
from worker.tickets.states import WritebackState

app = typer.Typer(no_args_is_help=True)


@app.command()
def run(
    once: Annotated[bool, typer.Option(help="Write back what is due, then exit.")] = False,
    stop_on_eof: StopOnEof = False,
) -> None:
    """Write replies back, for every source with TRIAGE_HELPDESKS__{SOURCE}__WRITE_BACK=true."""
    settings = with_running_stack(load_settings())
    logs.configure(settings.log_level)
    if stop_on_eof:
        process.stop_on_eof()
    destinations = compose.make_destinations(settings)
    with opened(settings.database_url, pool_size=len(destinations) + 1) as sessions:
        compose.require_schema(sessions)
        if once:
            for source, to in destinations.items():
                one = WriteBack(sessions, source, to)
                while one.once() == 0:
                    pass
            return
        metrics.serve(settings.metrics_host, settings.writeback_metrics_port)
        stopped = process.shown_alive(process.until_signalled(), settings.alive_file)
        if not run_all(sessions, destinations, stopped):
            raise typer.Exit(1)


@app.command("list")
def list_(
    state: Annotated[WritebackState | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what was written back, newest first, and why it was not."""
    with compose.one_transaction() as session:
        found = read.write_backs(session, state=state, limit=limit)
    if as_json:
        for one in found:
            typer.echo(json.dumps(one, ensure_ascii=False, default=str))
        return
    table = plain_table("ticket", "source", "state", "tries", "since", "reason")
    for one in found:
        table.add_row(
            str(one["ticket_id"]), Text(f"{one['source']} {one['external_id']}"), one["state"],
            str(one["attempts"]), f"{one['created_at']:%Y-%m-%d %H:%M}", Text(one["reason"] or ""),
        )  # fmt: skip
    Console().print(table)


@app.command()
def retry(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
) -> None:
    """Have what failed tried again."""
    with compose.one_transaction() as session:
        count = store.retry_write_backs(session, source)
    Console().print(f"{count:,} will be tried again.")
