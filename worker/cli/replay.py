"""`triage replay`: choose tickets and run them again. Nothing they have is overwritten."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy.orm import Session

from schemas.mistakes import first_mistake
from schemas.selection import Plan, Selection
from schemas.taxonomy import load_taxonomy
from worker.cli import compose, process
from worker.cli.filters import with_filters
from worker.cli.options import NOTHING_FOUND, By
from worker.cli.progress import counting
from worker.database import opened, transaction
from worker.errors import TriageError
from worker.local import with_running_stack
from worker.replay import begin as beginning
from worker.replay import read, select
from worker.replay.feed import feed
from worker.settings import load_settings
from worker.tickets import store
from worker.tickets.store import Order
from worker.triage.prompts import available_versions

app = typer.Typer(no_args_is_help=True)

INTERRUPTED = 130
ReplayId = Annotated[int, typer.Argument(metavar="REPLAY")]
Note = Annotated[str | None, typer.Option(help="Why, for the audit.")]
Rate = Annotated[float | None, typer.Option(min=0.001, help="At most so many tickets a second.")]


@app.callback()
def group() -> None:
    """Run chosen tickets again, compare, promote."""


@with_filters
def run(
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[FIELD=VALUE …]", help="More of --with.")
    ] = None,
    *,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Run the tickets of this plan.")
    ] = None,
    as_it_was: Annotated[
        bool,
        typer.Option("--as-it-was", help="The same input, prompt, taxonomy, sampling and profile."),
    ] = False,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="FIELD=VALUE …",
            help="With another profile=NAME, prompt=VERSION or taxonomy=FILE.",
        ),
    ] = None,
    rate: Rate = None,
    by: By,
    note: Note = None,
    selection: Selection,
) -> None:
    """Run tickets again, behind all live work; what they have stays as it is.

    Ctrl-C pauses. Exit code 3: no ticket matches.
    """
    changes = changed_by([*(with_ or []), *(more or [])])
    if as_it_was and changes:
        raise TriageError("--as-it-was and --with exclude each other")
    if plan_file:
        selection = selection_of(plan_file, selection)
    order = Order(by, note, selection.described(), as_it_was=as_it_was, rate=rate, **changes)
    console = Console(stderr=True, highlight=False)
    with compose.one_transaction() as session:
        select.refuse_unknown(session, selection)
        begun = beginning.begin(session, order, select.chosen(selection))
        if not begun.tickets:
            session.rollback()
    if begun.left_out:
        console.print(
            f"[yellow]{begun.left_out:,} tickets cannot be run as they were: triaged before that "
            "was kept, or with a profile that no worker has.[/]"
        )
    if not begun.tickets:
        console.print("No ticket matches." if not begun.left_out else "None is left.")
        raise typer.Exit(NOTHING_FOUND)
    console.print(f"Replay [bold]{begun.replay_id}[/]: {begun.tickets:,} tickets.")
    go_on(begun.replay_id, rate=rate)


def changed_by(pairs: list[str]) -> dict[str, Any]:
    """What `--with` says, as fields of an order.

    Raises:
        TriageError: there is no such field, prompt or taxonomy.
    """
    fields: dict[str, Callable[[str], dict[str, Any]]] = {
        "profile": lambda name: {"profile": name},
        "prompt": prompt_version,
        "taxonomy": taxonomy_content,
    }
    changes: dict[str, Any] = {}
    for pair in pairs:
        field, equals, value = pair.partition("=")
        if not equals or field not in fields:
            raise TriageError(f"--with {pair}: must be FIELD=VALUE, FIELD of {', '.join(fields)}")
        changes |= fields[field](value)
    return changes


def prompt_version(version: str) -> dict[str, Any]:
    if version not in available_versions():
        raise TriageError(
            f"there is no prompt {version!r}; there are {', '.join(available_versions())}"
        )
    return {"prompt_version": version}


def taxonomy_content(path: str) -> dict[str, Any]:
    try:
        return {"taxonomy": load_taxonomy(Path(path)).model_dump(mode="json")}
    except (OSError, ValueError) as error:
        raise TriageError(f"--with taxonomy: {error}") from error


def selection_of(path: Path, filters: Selection) -> Selection:
    """The tickets of a plan, which take no filters beside them."""
    if filters != Selection():
        raise TriageError("--plan says which tickets; leave the filters out")
    try:
        planned = Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TriageError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise TriageError(f"{path}: {first_mistake(error, whole='plan')}") from error
    return Selection(ids=planned.ticket_ids)


def resume(replay_id: ReplayId, *, by: By, note: Note = None) -> None:
    """Go on with a replay that was paused or broke off: only with what is left of it."""
    with compose.one_transaction() as session:
        found = existing(session, replay_id)
        if not store.change_replay(
            session, replay_id, "running", be=["running", "paused"], by=by, reason=note
        ):
            raise TriageError(f"replay {replay_id} is {found['state']}: nothing is left of it")
        store.announce_again(session, replay_id)
    go_on(replay_id, rate=found["rate"])


def cancel(replay_id: ReplayId, *, by: By, note: Note = None) -> None:
    """End a replay; what is done of it can still be compared and promoted."""
    with compose.one_transaction() as session:
        found = existing(session, replay_id)
        if not store.change_replay(
            session, replay_id, "cancelled", be=["running", "paused"], by=by, reason=note
        ):
            raise TriageError(f"replay {replay_id} is {found['state']} already")
    Console(highlight=False).print(f"Replay {replay_id} is cancelled.")


def existing(session: Session, replay_id: int) -> dict[str, Any]:
    """
    Raises:
        TriageError: there is no such replay.
    """
    found = read.replay(session, replay_id)
    if found is None:
        raise TriageError(f"there is no replay {replay_id}; `triage replay list` shows them")
    return found


def go_on(replay_id: int, *, rate: float | None) -> None:
    """Feed a replay until it is done; the first signal pauses it."""
    settings = with_running_stack(load_settings())
    console = Console(stderr=True, highlight=False)
    stopped = process.until_signalled(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    with opened(settings.database_url, pool_size=2) as sessions:
        with transaction(sessions) as session:
            total = sum(store.left(session, replay_id).values())
        with counting(f"Replay {replay_id}", total) as advance:
            shown = 0

            def tell(left: int) -> None:
                nonlocal shown
                advance(total - left - shown)
                shown = total - left

            publisher = compose.make_publisher(settings, sessions)
            state = feed(replay_id, sessions, publisher, rate=rate, stopped=stopped, tell=tell)
    console.print(NEXT[state].format(id=replay_id))
    if state != "done":
        raise typer.Exit(INTERRUPTED)


NEXT = {
    "done": "Done: `triage replay compare {id}` shows what changed.",
    "paused": "Paused: `triage replay resume {id}` goes on with what is left.",
    "cancelled": "Replay {id} was cancelled.",
}
"""What can be done with a replay in this state."""
