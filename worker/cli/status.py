"""`triage status`: how the service is."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.cli import compose
from worker.cli.options import AsJson
from worker.ops.status import status as status_of

UNHEALTHY = 4
NUMBERS = (int, float)


def status(as_json: AsJson = False) -> None:
    """Say how the service is: queues, workers, sources, the last day.

    Exit code 4: something needs attention, which is said first.
    """
    with compose.one_transaction() as session:
        found = status_of(session)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, default=str))
    else:
        show(found)
    if found["problems"]:
        raise typer.Exit(UNHEALTHY)


def show(found: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    for problem in found["problems"]:
        console.print(Text.assemble(("! ", "bold red"), problem))
    if not found["problems"]:
        console.print("[green]Healthy.[/]")
    for name in ("queues", "workers", "sources", "write_back", "last_24h"):
        console.print(f"\n[bold]{name.replace('_', ' ')}[/]")
        if found[name]:
            console.print(table_of(found[name]))
        else:
            console.print("none")


def table_of(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, value in rows[0].items():
        table.add_column(
            name.replace("_", " "), justify="right" if isinstance(value, NUMBERS) else "left"
        )
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row.values()))
    return table


def shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,.0f}" if isinstance(value, NUMBERS) else str(value)
