"""The taxonomy: the categories a desk sorts its tickets into, as data with a version."""

import re
import tomllib
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

DEFAULT = Path(__file__).with_name("taxonomy_default.toml")
SIMILAR = 0.8
"""Values and descriptions that share more than this of their characters are easily mixed up."""


class Category(BaseModel):
    """One value a ticket can be sorted under. `value` is what the model writes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    description: str = Field(min_length=1, max_length=200)
    examples: tuple[str, ...] = ()
    team: str | None = None


class Taxonomy(BaseModel):
    """All categories of a desk. `version` is kept with every attempt."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(min_length=1, max_length=40)
    categories: tuple[Category, ...] = Field(min_length=2)

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(category.value for category in self.categories)

    @model_validator(mode="after")
    def _values_are_unique(self) -> Self:
        for index, value in enumerate(self.values):
            if value in self.values[:index]:
                raise PydanticCustomError(
                    "repeated", "the value {value} is there twice", {"value": value, "index": index}
                )
        return self


def load_taxonomy(path: Path = DEFAULT) -> Taxonomy:
    """Read a taxonomy file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not TOML, or not a taxonomy; one line with file, line and field.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return Taxonomy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = first["loc"] or ("categories", first.get("ctx", {}).get("index"))
        field = ".".join(str(part) for part in where if part is not None)
        raise ValueError(f"{path}:{line_of(text, where)}: {field}: {first['msg']}") from error


def near_duplicates(taxonomy: Taxonomy) -> Iterator[tuple[str, str, str]]:
    """Pairs of categories that people and models mix up, as (value, value, why)."""
    for one, other in combinations(taxonomy.categories, 2):
        if resemble(one.value, other.value):
            yield one.value, other.value, "the values look alike"
        elif resemble(one.description, other.description):
            yield one.value, other.value, "the descriptions say nearly the same"


def resemble(one: str, other: str) -> bool:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio() > SIMILAR


def line_of(text: str, where: tuple[Any, ...]) -> int:
    """The line, from 1, on which a field stands: `("categories", 2, "team")`; else its table's."""
    lines = text.splitlines()
    tables = [number for number, line in enumerate(lines, 1) if re.match(r"\s*\[\[", line)]
    index = next((part for part in where if isinstance(part, int)), None)
    start = tables[index] if index is not None and index < len(tables) else 1
    end = next((line for line in tables if line > start), len(lines) + 1)
    field = where[-1] if isinstance(where[-1], str) else "value"
    named = re.compile(rf"\s*{re.escape(field)}\s*=")
    return next((n for n in range(start, end) if named.match(lines[n - 1])), start)
