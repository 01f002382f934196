"""`triage purge` and `triage erase`: text goes, counts stay, and there is a receipt."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import ColumnElement

from worker.cli import compose
from worker.cli.options import NOTHING_FOUND, By, Reason
from worker.errors import TriageError
from worker.tickets import store

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
UNITS = {"d": 1, "w": 7, "y": 365}


def purge(
    *,
    older_than: Annotated[str, typer.Option(help="An age such as 90d, 12w or 2y.")],
    yes: Yes = False,
    by: By,
    reason: Reason = None,
) -> None:
    """Remove the text of tickets that are done and older than this; prints a receipt."""
    age = days_of(older_than)
    if not yes:
        typer.confirm(f"Remove the text of all tickets older than {age.days} days?", abort=True)
    erase_all(
        store.ended_before(age), "purge", by=by, reason=reason, selection={"older_than": older_than}
    )


def erase(
    *,
    requester: Annotated[
        str | None, typer.Option(help="Address or id that the helpdesk knows them by.")
    ] = None,
    ticket: Annotated[
        str | None, typer.Option(help="The helpdesk's id of one ticket, with --source.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="On this source alone; needed for a number, which is another's elsewhere."
        ),
    ] = None,
    yes: Yes = False,
    by: By,
    reason: Reason = None,
) -> None:
    """Remove everything one person wrote, everywhere, or one ticket; prints a receipt.

    The receipt and the audit name the person by a hash only. It says how many tickets name nobody:
    a person's may be among them.
    """
    for name, given in {"requester": requester, "ticket": ticket, "source": source}.items():
        if given is not None and not given.strip():
            raise TriageError(f"--{name} is empty")
    if (requester is None) == (ticket is None):
        raise TriageError("give --requester, or --ticket with --source")
    if source is None and (ticket or (requester or "").isdecimal()):
        given = ticket or requester
        raise TriageError(f"{given} is another on each helpdesk: name one with --source")
    if not yes:
        asked = f"that {requester} wrote" if requester else f"of ticket {ticket} of {source}"
        typer.confirm(f"Remove everything {asked}?", abort=True)
    if requester:
        which = store.of_requester(requester, source)
        name = hashlib.sha256(store.as_kept(requester).encode()).hexdigest()
        selection = {"requester_sha256": name} | ({"source": source} if source else {})
    else:
        which = store.of_conversation(str(ticket), str(source))
        selection = {"ticket": str(ticket), "source": str(source)}
    erase_all(which, "erase", by=by, reason=reason, selection=selection)


def erase_all(
    which: ColumnElement[bool],
    action: str,
    *,
    by: str,
    reason: str | None,
    selection: Mapping[str, Any],
) -> None:
    with compose.one_transaction() as session:
        counts = store.erase(session, which)
        store.act(session, action, by=by, reason=reason, selection=selection, result=counts)
        nameless = store.nameless(session, selection.get("source"))
    receipt = {"action": action, "at": datetime.now(UTC).isoformat(), "by": by}
    typer.echo(
        json.dumps({**receipt, **selection, "removed_from": counts, "without_requester": nameless})
    )
    if not counts["tickets"]:
        raise typer.Exit(NOTHING_FOUND)


def days_of(age: str) -> timedelta:
    """
    Raises:
        TriageError: it is no age.
    """
    found = re.fullmatch(r"([1-9]\d{0,4})([dwy])", age)
    if not found:
        raise TriageError(f"--older-than is {age!r}, but must be days, weeks or years such as 90d")
    return timedelta(days=int(found[1]) * UNITS[found[2]])
