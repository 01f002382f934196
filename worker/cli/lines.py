"""Reads tickets from JSONL: `{"id", "subject", "body", "locale"?}` a line, other keys ignored."""

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from schemas.mistakes import first_mistake
from schemas.ticket import GenericTicket
from worker.errors import TriageError


class Line(GenericTicket):
    """A ticket in a file. `source` is the helpdesk that a demonstration plays."""

    source: str = "generic"


def read_lines(path: Path) -> Iterator[Line]:
    """The tickets of a file, `-` for standard input; blank lines are skipped.

    Raises:
        TriageError: the file cannot be read, or a line is no ticket; names line and field.
    """
    for number, line in enumerate(raw_lines(path), start=1):
        if line.strip():
            try:
                yield Line.model_validate_json(line)
            except ValidationError as error:
                mistake = first_mistake(error, whole="line")
                raise TriageError(f"{path}, line {number}: {mistake}") from error


def raw_lines(path: Path) -> Iterator[bytes]:
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise TriageError(f"cannot read {path}: {error.strerror}") from error
