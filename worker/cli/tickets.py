"""`triage ticket`: look at tickets in the database."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.json import JSON

from worker.cli import compose
from worker.cli.options import AsJson
from worker.cli.tables import ticket_table
from worker.errors import TriageError
from worker.tickets import read
from worker.tickets.states import State

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(ticket_id: Annotated[int, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Show one ticket: reply, findings, engine figures. ID is ours, not the helpdesk's."""
    with compose.one_transaction() as session:
        found = read.reports(session, [ticket_id])
    if not found:
        raise TriageError(f"there is no ticket {ticket_id}; `triage ticket list` shows the newest")
    if as_json:
        typer.echo(json.dumps(found[0], ensure_ascii=False))
    else:
        Console().print(
            JSON(json.dumps(found[0], ensure_ascii=False), ensure_ascii=False), soft_wrap=True
        )


@app.command("list")
def list_(
    state: Annotated[State | None, typer.Option(help="Only tickets in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest tickets."""
    with compose.one_transaction() as session:
        reports = read.latest(session, state=state, limit=limit)
    if as_json:
        for one in reports:
            typer.echo(json.dumps(one, ensure_ascii=False))
    else:
        console = Console()
        console.print(ticket_table(reports, width=console.width))
