"""`triage replay plan`: which tickets a selection chooses, and what running them would cost."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from sqlalchemy.orm import Session

from schemas.selection import Plan, Selection
from worker.cli import compose, process
from worker.cli.filters import with_filters
from worker.cli.options import NOTHING_FOUND, AsJson
from worker.cli.tables import plain_table
from worker.queues import Queue
from worker.replay import select
from worker.tickets import read as tickets
from worker.tickets import store


@with_filters
def plan(
    *,
    output: Annotated[
        Path | None, typer.Option(help="Write a plan that `replay run --plan` takes.")
    ] = None,
    as_json: AsJson = False,
    selection: Selection,
) -> None:
    """Say which tickets would be run and what that would cost; changes nothing.

    Tokens and time are estimated from the last attempts of some of them. Exit code 3: none match.
    """
    with compose.one_transaction() as session:
        found = select.look(session, selection)
        told = {
            "tickets": found.count,
            "selection": selection.described(),
            **estimate(session, found),
            "examples": tickets.reports(session, found.examples),
        }
        if output and found.count:
            ids = [row.ticket_id for row in session.execute(select.chosen(selection))]
            with process.output(output) as file:
                file.write(Plan(selection=selection, ticket_ids=ids).model_dump_json())
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        show_plan(told)
    if not found.count:
        raise typer.Exit(NOTHING_FOUND)


def estimate(session: Session, found: select.Found) -> dict[str, Any]:
    """Tokens and seconds of all the tickets; None where nothing is known."""
    places = store.slots(session, [(Queue.REPLAY, None)])
    tokens = {
        f"{name}_tokens": None if mean is None else round(mean * found.count)
        for name, mean in (("prompt", found.prompt_tokens), ("output", found.output_tokens))
    }
    seconds = None
    if places and found.engine_ms is not None:
        seconds = found.count * found.engine_ms / 1000 / places
    return {**tokens, "seconds": seconds, "places": places}


def show_plan(told: Mapping[str, Any]) -> None:
    console = Console(highlight=False)
    if not told["tickets"]:
        console.print("No ticket matches.")
        return
    console.print(f"[bold]{told['tickets']:,} tickets[/]")
    if told["prompt_tokens"] is not None:
        console.print(
            f"about {told['prompt_tokens']:,} tokens read, {told['output_tokens']:,} written"
        )
    if told["seconds"] is not None:
        console.print(
            f"about {duration(told['seconds'])} with all {told['places']} places of the workers"
        )
    if not told["places"]:
        console.print(f"[yellow]no worker takes {Queue.REPLAY} now[/]")
    table = plain_table("id", "ticket", "lang", "category", "conf.", "reason")
    for one in told["examples"]:
        sure = min(one["confidence"].values(), default=None)
        table.add_row(
            str(one["id"]), Text(one["external_id"]), one["language"] or "–",
            one["category"] or "–", "–" if sure is None else f"{sure:.2f}",
            Text(one["reason"] or one["disposition_reason"] or ""),
        )  # fmt: skip
    console.print("\nfor example", table)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
