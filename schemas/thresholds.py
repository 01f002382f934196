"""Thresholds of confidence for each label field, as a file that a calibration writes."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.reply import LABELS
from schemas.toml_file import read_toml

NEVER = 1.01
"""As a bound: what no confidence reaches."""


class Bounds(BaseModel):
    """Probabilities: from `auto` on nobody has to look, below `suggest` a person decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suggest: float = Field(ge=0, le=NEVER)
    auto: float = Field(ge=0, le=NEVER)


class Thresholds(BaseModel):
    """One pair of bounds for each label field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: Bounds
    type: Bounds
    priority: Bounds
    sentiment: Bounds

    @classmethod
    def same(cls, *, suggest: float, auto: float) -> Self:
        """The same bounds for every field."""
        return cls(**{field: Bounds(suggest=suggest, auto=auto) for field in LABELS})

    def of(self, field: str) -> Bounds:
        """The bounds of one of `LABELS`."""
        bounds: Bounds = getattr(self, field)
        return bounds

    @model_validator(mode="after")
    def _suggest_comes_before_auto(self) -> Self:
        for field in LABELS:
            bounds = self.of(field)
            if bounds.suggest >= bounds.auto:
                raise PydanticCustomError(
                    "order",
                    "suggest ({suggest}) must be below auto ({auto})",
                    {**bounds.model_dump(), "where": (field, "suggest")},
                )
        return self


def load_thresholds(path: Path) -> Thresholds:
    """Read a file of thresholds; raises as `schemas.toml_file.read_toml` does."""
    return read_toml(path, Thresholds)


def thresholds_text(thresholds: Thresholds) -> str:
    """Thresholds as such a file."""
    parts = []
    for field in LABELS:
        bounds = thresholds.of(field)
        parts.append(f"[{field}]\nsuggest = {bounds.suggest:.4f}\nauto = {bounds.auto:.4f}\n")
    return "\n".join(parts)
