"""`triage replay promote` and `undo`: what becomes of a replay's results."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.console import Console

from schemas.reply import FIELDS
from worker.cli import compose
from worker.cli.options import NOTHING_FOUND, By
from worker.cli.replay import Note, ReplayId, existing
from worker.cli.replay_results import TicketIds
from worker.errors import TriageError
from worker.replay import compare as comparing
from worker.replay.compare import Change, Pair
from worker.settings import load_settings
from worker.tickets import store
from worker.tickets.store import Promoted


def promote(
    replay_id: ReplayId,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that have a reply.")] = False,
    ticket: TicketIds = None,
    change: Annotated[
        list[Change] | None,
        typer.Option(
            help="Only tickets with a field that did so; 'improved' and 'regressed' are "
            "those of tickets that a person corrected, which are left alone."
        ),
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
    if field and not (change or language):
        raise typer.BadParameter("--field is what --change looks at: give that, too")
    refuse_corrected(change or [])
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
    tell(done, "promoted", asked_for=ticket, lacks="nothing of this replay to promote")


def refuse_unclear(all_: bool, ticket: object, filters: object) -> None:
    if bool(all_) + bool(ticket) + bool(filters) != 1:
        raise typer.BadParameter("say which: --all, --ticket, or --change and --language")


def refuse_corrected(changes: Sequence[Change]) -> None:
    if judged := [change for change in changes if change in (Change.IMPROVED, Change.REGRESSED)]:
        raise typer.BadParameter(
            f"'{judged[0]}' is told only of tickets that a person corrected, and those are left "
            f"as they are; the others are --change '{Change.CHANGED}'"
        )


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
    tell(done, "as before", asked_for=ticket, lacks="nothing of this replay to undo")


def tell(done: Promoted, what: str, *, asked_for: Sequence[int] | None, lacks: str) -> None:
    """Say how many it were, and which were left; exit code 3 if there were none."""
    console = Console(highlight=False)
    console.print(f"{len(done.ticket_ids):,} tickets {what}.")
    for ticket_id, why in done.skipped:
        console.print(f"Ticket {ticket_id} was left as it is: {why}.")
    for ticket_id in sorted({*(asked_for or ())} - {*done.ticket_ids, *dict(done.skipped)}):
        console.print(f"Ticket {ticket_id} has {lacks}.")
    if not done.ticket_ids:
        raise typer.Exit(NOTHING_FOUND)
