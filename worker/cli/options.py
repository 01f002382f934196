"""What several commands have in common: their options, and an exit code."""

import getpass
from typing import Annotated

import typer


def named(by: str) -> str:
    """
    Raises:
        typer.BadParameter: the audit would name nobody.
    """
    if not by.strip():
        raise typer.BadParameter("say who you are")
    return by


By = Annotated[
    str,
    typer.Option(
        default_factory=getpass.getuser,
        callback=named,
        help="Who you are, for the audit; else your login.",
    ),
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the audit.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]

NOTHING_FOUND = 3
"""The exit code when there is nothing to do it to."""
