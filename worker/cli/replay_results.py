"""`triage replay`: what came of replays, and what becomes of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from schemas.reply import FIELDS, LABELS
from worker.cli import compose, process
from worker.cli.options import NOTHING_FOUND, AsJson
from worker.cli.replay import ReplayId, existing
from worker.cli.tables import plain_table
from worker.replay import compare as comparing
from worker.replay import diff, read
from worker.replay.compare import Change, Pair
from worker.replay.page import page

STATE_STYLE = {"running": "cyan", "paused": "yellow", "done": "green", "cancelled": "red"}
CHANGE_STYLE = {Change.IMPROVED: "green", Change.REGRESSED: "red", Change.CHANGED: "yellow"}
TicketIds = Annotated[list[int] | None, typer.Option("--ticket", help="Only this ticket.")]


def list_(limit: Annotated[int, typer.Option(min=1)] = 20, as_json: AsJson = False) -> None:
    """List replays, newest first."""
    with compose.one_transaction() as session:
        found = read.replays(session, limit=limit)
    if as_json:
        for one in found:
            typer.echo(json.dumps(one, ensure_ascii=False))
        return
    table = plain_table("id", "state", "begun", "by", "how", "done", "promoted", "reason")
    for one in found:
        table.add_row(
            str(one["id"]), Text(one["state"], STATE_STYLE[one["state"]]),
            one["created_at"][:16].replace("T", " "), Text(one["by"]), Text(one["how"]),
            f"{one['done']:,} of {one['tickets']:,}", f"{one['promoted']:,}",
            Text(one["reason"] or ""),
        )  # fmt: skip
    Console().print(table)


def show(replay_id: ReplayId, as_json: AsJson = False) -> None:
    """Show one replay: what it runs, how far it is, who did what with it."""
    with compose.one_transaction() as session:
        found = existing(session, replay_id)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(
        f"[bold]Replay {replay_id}[/] ", Text(found["state"], STATE_STYLE[found["state"]]),
        Text(f" · {found['how']} · by {found['by']}"),
        Text(f": {found['reason']}" if found["reason"] else ""), sep="",
    )  # fmt: skip
    console.print(f"{found['done']:,} of {found['tickets']:,} done, {found['promoted']:,} promoted")
    console.print("selection", Text(json.dumps(found["selection"], ensure_ascii=False)))
    states = plain_table("tickets", "state", "reason")
    for one in found["states"]:
        states.add_row(f"{one['tickets']:,}", one["state"], Text(one["reason"] or ""))
    acts = plain_table("when", "who", "what", "why")
    for one in found["acts"]:
        acts.add_row(
            one["at"][:16].replace("T", " "),
            Text(one["by"]),
            one["action"],
            Text(one["reason"] or ""),
        )
    console.print(Group("", states, "", acts))


def compare(
    replay_id: ReplayId,
    *,
    ticket: TicketIds = None,
    examples: Annotated[
        int, typer.Option(min=0, help="Show so many changed tickets side by side.")
    ] = 3,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write a page.")] = None,
) -> None:
    """Compare new results with old ones, field by field.

    Improved and regressed are told where a person gave the true value. With --json the first line
    is the summary, then a line for each ticket. Exit code 3: nothing is done yet.
    """
    with compose.one_transaction() as session:
        replay = existing(session, replay_id)
        measured = comparing.summary(comparing.pairs(session, replay_id, ticket))
        if not measured["tickets"]:
            Console(stderr=True).print(
                "Nothing of these tickets is done in it."
                if ticket
                else "Nothing of it is done yet."
            )
            raise typer.Exit(NOTHING_FOUND)
        if html:
            on_page = comparing.changed(session, replay_id, ticket, most=PAGE_EXAMPLES)
            with process.output(html) as file:
                file.write(page(replay, measured, on_page))
        if as_json:
            typer.echo(json.dumps({"replay": replay_id, **measured}, ensure_ascii=False))
            for pair in comparing.pairs(session, replay_id, ticket):
                typer.echo(json.dumps(comparing.side_by_side(pair), ensure_ascii=False))
            return
        most = len(ticket) if ticket else examples
        shown = comparing.changed(session, replay_id, ticket, most=most)
        console = Console(highlight=False)
        console.print(*summary_tables(replay, measured), sep="\n")
        for pair in shown:
            console.print(side_by_side(pair))
        if html:
            console.print(Text(f"\nThe page is {html}."))


PAGE_EXAMPLES = 100


def summary_tables(replay: Mapping[str, Any], measured: Mapping[str, Any]) -> list[Any]:
    tickets = measured["tickets"]
    fields = plain_table("field", *Change)
    for field in FIELDS:
        counts = measured["fields"][field]
        fields.add_row(
            field, *(f"{counts[change]:,}" if counts[change] else "·" for change in Change)
        )
    told: list[Any] = [
        Text.assemble(
            (f"Replay {replay['id']}", "bold"),
            f", {replay['how']}: {tickets:,} tickets compared, {measured['changed']:,} changed",
        ),
        same_output(measured),
        "",
        fields,
    ]
    for field in LABELS:
        if (rows := moved(measured["confusion"][field])).row_count:
            told += ["", f"[bold]{field}[/]: old → new", rows]
    told += ["", old_and_new("outcome", measured["outcomes"])]
    if any(measured["checks"].values()):
        told += ["", old_and_new("failed check", measured["checks"])]
    return told


def same_output(measured: Mapping[str, Any]) -> str:
    """Whether the model wrote the same again, and if not, what was different."""
    told = (
        f"{measured['same_output']:,} of {measured['tickets']:,} outputs are the same byte for byte"
    )
    if not measured["differed_in"]:
        return told
    why = ", ".join(f"{name} ({count:,})" for name, count in measured["differed_in"].items())
    return f"{told}; the others differed in {why}"


def moved(confusion: Mapping[str, Mapping[str, int]]) -> Table:
    """The labels that changed, most frequent first."""
    table = plain_table("old", "new", "tickets")
    pairs = [
        (count, old, new)
        for old, row in confusion.items()
        for new, count in row.items()
        if old != new
    ]
    for count, old, new in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
        table.add_row(old, new, f"{count:,}")
    return table


def old_and_new(what: str, counts: Mapping[str, Mapping[str, int]]) -> Table:
    table = plain_table(what, "old", "new")
    for name in sorted({*counts["old"], *counts["new"]}):
        table.add_row(name, *(f"{counts[when].get(name, 0):,}" for when in ("old", "new")))
    return table


def side_by_side(pair: Pair) -> Group:
    """One ticket's fields, old and new beside each other, with what differs marked."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    table.add_column("")
    table.add_column("old", ratio=1)
    table.add_column("new", ratio=1)
    for field in FIELDS:
        change = pair.change(field)
        old, new = diff.side_by_side(*(value or "" for value in pair.values(field)))
        table.add_row(
            Text(field, CHANGE_STYLE.get(change, "")), marked(old, "red"), marked(new, "green")
        )
    title = Text.assemble(
        "\n", (f"Ticket {pair.ticket.id}", "bold"),
        f" · {pair.ticket.source} {pair.ticket.external_id} · {pair.ticket.subject}",
    )  # fmt: skip
    return Group(title, table)


def marked(pieces: Sequence[diff.Piece], style: str) -> Text:
    return Text.assemble(
        *((text, f"bold {style}" if is_other else "") for text, is_other in pieces)
    )
