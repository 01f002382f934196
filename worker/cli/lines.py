"""Reads JSONL: a ticket `{"id", "subject", "body", "locale"?}` (or another model) a line."""

import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from schemas.mistakes import first_mistake
from schemas.ticket import GenericTicket
from worker.errors import TriageError


class Line(GenericTicket):
    """A ticket in a file. `source` is the helpdesk that a demonstration plays."""

    source: str = "generic"


Model = TypeVar("Model", bound=BaseModel)


def read_tickets(path: Path) -> Iterator[Line]:
    """The tickets of a file, as `read_lines` reads them."""
    return read_lines(path, Line)


def read_lines(path: Path, model: type[Model], *, context: object = None) -> Iterator[Model]:
    """The lines of a file, `-` for standard input, as instances of `model`; blank ones are skipped.

    Raises:
        TriageError: the file cannot be read, or a line is no such thing; names line and field.
    """
    for number, line in enumerate(raw_lines(path), start=1):
        if line.strip():
            try:
                yield model.model_validate_json(line, context=context)
            except ValidationError as error:
                mistake = first_mistake(error, whole="line")
                raise TriageError(f"{path}, line {number}: {mistake}") from error


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, without the mark that Windows puts before the first.

    Raises:
        TriageError: it cannot be read.
    """
    if str(path) == "-":
        yield from without_mark(sys.stdin.buffer)
        return
    try:
        with path.open("rb") as file:
            yield from without_mark(file)
    except OSError as error:
        raise TriageError(f"cannot read {path}: {error.strerror}") from error


def without_mark(lines: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix(BOM_UTF8)
