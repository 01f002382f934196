"""What people do to tickets: correct one, run dead ones again or discard them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text
from sqlalchemy.orm import Session

from schemas.correction import CorrectionRequest
from schemas.mistakes import first_mistake
from worker.cli import compose, desks, process
from worker.cli.options import NOTHING_FOUND, AsJson, By, Reason
from worker.cli.tables import plain_table
from worker.database import opened, transaction
from worker.dispatch.celery_app import make_app
from worker.dispatch.dead_letters import discard_letters, letters
from worker.dispatch.publish import BROKER_DOWN
from worker.errors import TriageError
from worker.local import with_running_stack
from worker.settings import load_settings
from worker.tickets import read, store

dead = typer.Typer(no_args_is_help=True)


def correct(
    ticket_id: Annotated[int, typer.Argument(metavar="TICKET")],
    values: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE …")],
    *,
    by: By,
    note: Annotated[str | None, typer.Option(help="What the next reader should know.")] = None,
) -> None:
    """Say what is right: category, type, priority, sentiment, summary or reply.

    The model's value stays beside it, and no later attempt changes it.
    """
    taxonomies = desks.read_taxonomies(load_settings())
    with compose.one_transaction() as session:
        source = read.source_of(session, ticket_id)
        if source is None:
            raise TriageError(
                f"there is no ticket {ticket_id}; `triage ticket list` shows the newest"
            )
        try:
            request = CorrectionRequest.model_validate(
                {"by": by, "note": note, "values": dict(map(split, values))},
                context=taxonomies.of(source),
            )
        except ValidationError as error:
            raise TriageError(first_mistake(error, whole="correction")) from error
        if not store.correct(session, ticket_id, request.values, by=by, note=note):
            raise TriageError(f"the text of ticket {ticket_id} was erased: nothing was corrected")
    Console().print(f"Ticket {ticket_id}: corrected {', '.join(request.values)}.", highlight=False)


def split(pair: str) -> tuple[str, str]:
    field, equals, value = pair.partition("=")
    if not equals:
        raise TriageError(f"{pair!r} is not FIELD=VALUE")
    return field.strip(), value.strip()


@dead.callback()
def group() -> None:
    """Tickets whose tries failed, or that the engine refused."""


@dead.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead tickets, newest first."""
    with compose.one_transaction() as session:
        found = read.dead_letters(session, limit=limit)
    if as_json:
        for one in found:
            typer.echo(json.dumps(one, ensure_ascii=False))
        return
    table = plain_table("id", "source", "ticket", "attempts", "reason")
    for one in found:
        table.add_row(
            str(one["id"]), one["source"], Text(one["external_id"]), str(one["attempts"]),
            Text(one["reason"] or ""),
        )  # fmt: skip
    Console().print(table)


@dead.command()
def show(
    ticket_id: Annotated[int, typer.Argument(metavar="ID")],
) -> None:
    """Show a dead ticket with every attempt on it."""
    with compose.one_transaction() as session:
        found = read.reports(session, [ticket_id])
        if not found:
            raise TriageError(f"there is no ticket {ticket_id}")
        whole = found[0] | {"tries": read.attempts_of(session, ticket_id)}
    Console().print_json(json.dumps(whole, ensure_ascii=False), ensure_ascii=False)


Ids = Annotated[list[int] | None, typer.Argument(metavar="[ID …]")]
All = Annotated[bool, typer.Option("--all", help="All that are dead.")]


@dead.command()
def retry(ids: Ids = None, *, all_: All = False, by: By, reason: Reason = None) -> None:
    """Give dead tickets all their tries back."""
    settings = with_running_stack(load_settings())
    with opened(settings.database_url, pool_size=2) as sessions:
        with transaction(sessions) as session:
            chosen = choose(session, ids, all_=all_)
            again = store.run_again(session, chosen, by=by, reason=reason)
        compose.make_publisher(settings, sessions).announce(again)
    say(len(again), "run again")


@dead.command()
def discard(
    ids: Ids = None,
    *,
    all_: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: By,
    reason: Reason = None,
) -> None:
    """Put dead tickets away for good; asks first."""
    with compose.one_transaction() as session:
        chosen = choose(session, ids, all_=all_)
        if chosen and not yes:
            typer.confirm(f"Discard {len(chosen)} tickets?", abort=True)
        gone = store.discard(session, chosen, by=by, reason=reason)
    say(len(gone), "discarded")


@dead.command()
def export(
    output: Annotated[Path, typer.Option(help="Write here; - for standard output.")] = Path("-"),
) -> None:
    """Write all dead tickets with their attempts as JSONL."""
    with compose.one_transaction() as session, process.output(output) as file:
        for one in read.dead_letters(session):
            whole = one | {"tries": read.attempts_of(session, one["id"])}
            file.write(json.dumps(whole, ensure_ascii=False) + "\n")


@dead.command()
def messages(
    limit: Annotated[int, typer.Option(min=1)] = 50,
    *,
    discard: Annotated[bool, typer.Option("--discard", help="Throw them all away; asks.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: By,
    reason: Reason = None,
) -> None:
    """List the messages that no worker could read, as JSONL: why, from which queue, what they say.

    They are no tickets: losing one loses nothing.
    """
    broker = make_app(with_running_stack(load_settings()))
    try:
        if not discard:
            for letter in letters(broker, limit=limit):
                typer.echo(json.dumps(letter, ensure_ascii=False))
            return
        if not yes:
            typer.confirm("Discard all messages that no worker could read?", abort=True)
        count = discard_letters(broker)
    except BROKER_DOWN as error:
        raise TriageError(f"the broker cannot be reached: {error}") from error
    with compose.one_transaction() as session:
        store.act(
            session, "dead messages discard", by=by, reason=reason, result={"messages": count}
        )
    Console().print(f"{count} messages discarded.", highlight=False)


def choose(session: Session, ids: Sequence[int] | None, *, all_: bool) -> list[int]:
    if bool(ids) == all_:
        raise TriageError("name ids, or --all")
    return list(ids) if ids else list(read.dead_ids(session))


def say(count: int, what: str) -> None:
    """Say how many it were; exit code 3 if there were none."""
    Console().print(f"{count} tickets {what}.", highlight=False)
    if not count:
        raise typer.Exit(NOTHING_FOUND)
