"""The taxonomy: the categories a desk sorts its tickets into, as data with a version."""

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT = Path(__file__).with_name("taxonomy_default.toml")


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
        repeated = {value for value in self.values if self.values.count(value) > 1}
        if repeated:
            raise ValueError(f"categories repeat a value: {', '.join(sorted(repeated))}")
        return self


def load_taxonomy(path: Path = DEFAULT) -> Taxonomy:
    """Read a taxonomy file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not TOML, or not a taxonomy (pydantic names the field).
    """
    return Taxonomy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
