"""The taxonomy: the categories a desk sorts its tickets into, as data with a version."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.toml_file import read_toml

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
                    "repeated",
                    "the value {value} is there twice",
                    {"value": value, "where": ("categories", index)},
                )
        return self


def load_taxonomy(path: Path = DEFAULT) -> Taxonomy:
    """Read a taxonomy file; raises as `schemas.toml_file.read_toml` does."""
    return read_toml(path, Taxonomy)


def near_duplicates(taxonomy: Taxonomy) -> Iterator[tuple[str, str, str]]:
    """Pairs of categories that people and models mix up, as (value, value, why)."""
    for one, other in combinations(taxonomy.categories, 2):
        if resemble(one.value, other.value):
            yield one.value, other.value, "the values look alike"
        elif resemble(one.description, other.description):
            yield one.value, other.value, "the descriptions say nearly the same"


def resemble(one: str, other: str) -> bool:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio() > SIMILAR
