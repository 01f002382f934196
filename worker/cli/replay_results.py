"""`triage replay`: what came of replays, and what becomes of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from schemas.reply import LABELS
from worker.cli import compose
from worker.cli.by_hand import NOTHING_FOUND, AsJson, By
from worker.cli.replay import Note, ReplayId, existing
from worker.cli.tables import plain_table
from worker.errors import TriageError
from worker.replay import compare as comparing
from worker.replay import diff, read
from worker.replay.compare import FIELDS, Change, Pair
from worker.replay.page import page
from worker.settings import load_settings
from worker.tickets import store
from worker.tickets.store import Promoted

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
            one["created_at"][:16].replace("T", " "), one["by"], one["how"],
            f"{one['done']:,} of {one['tickets']:,}", f"{one['promoted']:,}", one["reason"] or "",
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
        f" · {found['how']} · by {found['by']}", f": {found['reason']}" if found["reason"] else "",
        sep="",
    )  # fmt: skip
    console.print(f"{found['done']:,} of {found['tickets']:,} done, {found['promoted']:,} promoted")
    console.print("selection", json.dumps(found["selection"], ensure_ascii=False))
    states = plain_table("tickets", "state", "reason")
    for one in found["states"]:
        states.add_row(f"{one['tickets']:,}", one["state"], Text(one["reason"] or ""))
    acts = plain_table("when", "who", "what", "why")
    for one in found["acts"]:
        acts.add_row(
            one["at"][:16].replace("T", " "), one["by"], one["action"], one["reason"] or ""
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
            Console(stderr=True).print("Nothing of it is done yet.")
            raise typer.Exit(NOTHING_FOUND)
        if as_json:
            typer.echo(json.dumps({"replay": replay_id, **measured}, ensure_ascii=False))
            for pair in comparing.pairs(session, replay_id, ticket):
                typer.echo(json.dumps(comparing.side_by_side(pair), ensure_ascii=False))
            return
        most = len(ticket) if ticket else examples
        shown = comparing.changed(session, replay_id, ticket, most=most)
        if html:
            on_page = comparing.changed(session, replay_id, ticket, most=PAGE_EXAMPLES)
            with compose.output(html) as file:
                file.write(page(replay, measured, on_page))
        console = Console(highlight=False)
        console.print(*summary_tables(replay, measured), sep="\n")
        for pair in shown:
            console.print(side_by_side(pair))
        if html:
            console.print(f"\nThe page is {html}.")


PAGE_EXAMPLES = 100


def summary_tables(replay: Mapping[str, Any], measured: Mapping[str, Any]) -> list[Any]:
    tickets = measured["tickets"]
    fields = plain_table("field", *Change)
    for field in FIELDS:
        counts = measured["fields"][field]
        fields.add_row(
            field, *(f"{counts[change]:,}" if counts[change] else "·" for change in Change)
        )
    told = [
        f"[bold]Replay {replay['id']}[/], {replay['how']}: {tickets:,} tickets compared, "
        f"{measured['changed']:,} changed",
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


def promote(
    replay_id: ReplayId,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that have a reply.")] = False,
    ticket: TicketIds = None,
    change: Annotated[
        list[Change] | None, typer.Option(help="Only tickets with a field that did so.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="The field that --change looks at; else any.")
    ] = None,
    language: Annotated[list[str] | None, typer.Option()] = None,
    write_back: Annotated[
        bool, typer.Option(help="Send them to their helpdesks too, where those are written to.")
    ] = False,
    by: By,
    note: Note = None,
) -> None:
    """Make new replies current; the old ones stay, and `undo` brings them back.

    Skipped, and named, are tickets that a person corrected, or that have a newer result or message.
    """
    refuse_unclear(all_, ticket, change or language)
    to = compose.written_back(load_settings()) if write_back else frozenset()
    if write_back and not to:
        raise TriageError("no source is written to: set TRIAGE_HELPDESKS__{SOURCE}__WRITE_BACK")
    with compose.one_transaction() as session:
        existing(session, replay_id)
        ids = ticket
        if change or language:
            wanted = chosen_by(change or list(Change), field or list(FIELDS), language)
            pairs = comparing.pairs(session, replay_id)
            ids = [pair.ticket.id for pair in pairs if wanted(pair)]
        done = store.promote(session, replay_id, ids, by=by, reason=note, write_back=to)
    tell(done, "promoted")


def refuse_unclear(all_: bool, ticket: object, filters: object) -> None:
    if bool(all_) + bool(ticket) + bool(filters) != 1:
        raise typer.BadParameter("say which: --all, --ticket, or --change and --language")


def chosen_by(
    changes: Sequence[Change], fields: Sequence[str], languages: Sequence[str] | None
) -> Callable[[Pair], bool]:
    if unknown := [field for field in fields if field not in FIELDS]:
        raise typer.BadParameter(f"there is no field {unknown[0]}; there are {', '.join(FIELDS)}")
    return lambda pair: (
        any(pair.change(field) in changes for field in fields)
        and (not languages or pair.ticket.language in languages)
    )


def undo(
    replay_id: ReplayId,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that were promoted.")] = False,
    ticket: TicketIds = None,
    by: By,
    note: Note = None,
) -> None:
    """Give promoted tickets back the replies that they had before."""
    refuse_unclear(all_, ticket, None)
    with compose.one_transaction() as session:
        existing(session, replay_id)
        done = store.undo_promotion(session, replay_id, ticket, by=by, reason=note)
    tell(done, "as before")


def tell(done: Promoted, what: str) -> None:
    """Say how many it were, and which were left; exit code 3 if there were none."""
    console = Console(highlight=False)
    console.print(f"{len(done.ticket_ids):,} tickets {what}.")
    for ticket_id, why in done.skipped:
        console.print(f"Ticket {ticket_id} was left as it is: {why}.")
    if not done.ticket_ids:
        raise typer.Exit(NOTHING_FOUND)
