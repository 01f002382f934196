"""Reads a TOML file into a model; what is wrong with it is said with file, line and field."""

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """
    Raises:
        OSError: the file cannot be read.
        ValueError: it is not TOML, or not such a model; one line with file, line and field.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = first["loc"] or tuple(first.get("ctx", {}).get("where", ()))
        field = ".".join(str(part) for part in where)
        raise ValueError(f"{path}:{line_of(text, where)}: {field}: {first['msg']}") from error


def line_of(text: str, where: tuple[Any, ...]) -> int:
    """The line, from 1, on which a field stands; else that of its table.

    `where` is a field's place: `("categories", 2, "team")` in a list of tables,
    `("priority", "auto")` in a table.
    """
    lines = text.splitlines()
    headings = [number for number, line in enumerate(lines, 1) if line.lstrip().startswith("[")]
    start = start_of_table(lines, headings, where)
    end = next((line for line in headings if line > start), len(lines) + 1)
    field = where[-1] if where and isinstance(where[-1], str) else "value"
    named = re.compile(rf"\s*{re.escape(field)}\s*=")
    return next((n for n in range(start, end) if named.match(lines[n - 1])), start)


def start_of_table(lines: list[str], headings: list[int], where: tuple[Any, ...]) -> int:
    if not where:
        return 1
    name = re.escape(str(where[0]))
    listed = [n for n in headings if re.match(rf"\s*\[\[\s*{name}\s*\]\]", lines[n - 1])]
    index = next((part for part in where if isinstance(part, int)), None)
    if index is not None and index < len(listed):
        return listed[index]
    return next((n for n in headings if re.match(rf"\s*\[\s*{name}\s*\]", lines[n - 1])), 1)
