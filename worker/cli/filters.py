"""The options that select tickets, for every command that takes them."""

import inspect
import sys
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from schemas.mistakes import first_mistake
from schemas.selection import BadKind, Selection
from worker.cli.export import utc
from worker.errors import TriageError

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def options(
    *,
    reason: Annotated[
        list[BadKind] | None, typer.Option(help="Why the result is bad, as in bad_outputs_v1.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Received from then on, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Received before then, UTC.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Helpdesk.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Such as ja.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="As the model has it.")] = None,
    confidence_from: Annotated[
        float | None, typer.Option(min=0, max=1, help="Of the label it is least sure of.")
    ] = None,
    confidence_below: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    profile: Annotated[list[str] | None, typer.Option(help="Triaged with it.")] = None,
    model: Annotated[list[str] | None, typer.Option()] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="Prompt version.")] = None,
    taxonomy: Annotated[list[str] | None, typer.Option(help="Taxonomy version.")] = None,
    corrected: Annotated[
        bool | None, typer.Option("--corrected/--not-corrected", help="By a person.")
    ] = None,
    ids: Annotated[
        Path | None, typer.Option(help="A file of ticket ids; - for standard input.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="So many at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
) -> Selection:
    """The selection that these options make."""
    try:
        return Selection.model_validate(
            {
                "reason": reason or (),
                "since": utc(since),
                "until": utc(until),
                "source": source or (),
                "language": language or (),
                "category": category or (),
                "confidence_from": confidence_from,
                "confidence_below": confidence_below,
                "profile": profile or (),
                "model": model or (),
                "prompt_version": prompt or (),
                "taxonomy_version": taxonomy or (),
                "corrected": corrected,
                "ids": None if ids is None else read_ids(ids),
                "limit": limit,
                "sample": sample,
                "seed": seed,
            }
        )
    except ValidationError as error:
        raise TriageError(first_mistake(error, whole="selection")) from error


def read_ids(path: Path) -> list[str]:
    """
    Raises:
        TriageError: the file cannot be read.
    """
    try:
        return (sys.stdin.read() if str(path) == "-" else path.read_text()).split()
    except (OSError, UnicodeDecodeError) as error:
        raise TriageError(f"cannot read {path}: {error}") from error


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes a `selection`, made to take the options instead."""
    own = inspect.signature(command).parameters
    filters = inspect.signature(options).parameters
    both = [one for name, one in own.items() if name != "selection"] + list(filters.values())

    @wraps(command)
    def run(**given: Any) -> None:
        selection = options(**{name: given.pop(name) for name in filters})
        command(**given, selection=selection)

    both.sort(key=lambda one: one.kind)
    run.__signature__ = inspect.Signature(both)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {one.name: one.annotation for one in both}
    return run
