"""Several desks on one service: what each has of its own, as a TOML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.taxonomy import Taxonomy
from schemas.ticket import desk_of
from schemas.toml_file import read_toml

Language = Literal["de", "en", "fr", "ja", "zh"]
Name = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{0,30}$")]


class OwnDesk(BaseModel):
    """One desk; what it leaves out is as in the settings. Paths are relative to the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    taxonomy: Path | None = None
    thresholds: Path | None = None
    desk_language: Language | None = None
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] | None = None


class DesksFile(BaseModel):
    """Tables `[desks.NAME]`; webhooks of a desk go to `/webhooks/{source}/NAME`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    desks: dict[Name, OwnDesk]


@dataclass(frozen=True, slots=True)
class Taxonomies:
    """The taxonomy of every desk: `own` for sources that name none, or one that is not known."""

    own: Taxonomy
    named: Mapping[str, Taxonomy] = field(default_factory=dict)

    def of(self, source: str) -> Taxonomy:
        """The taxonomy of a ticket's source."""
        return self.named.get(desk_of(source), self.own)


def load_desks(path: Path) -> dict[str, OwnDesk]:
    """Read a file of desks; raises as `schemas.toml_file.read_toml` does."""
    found = read_toml(path, DesksFile).desks
    return {name: resolved(desk, path.parent) for name, desk in found.items()}


def resolved(desk: OwnDesk, folder: Path) -> OwnDesk:
    paths = {
        name: folder / given
        for name in ("taxonomy", "thresholds")
        if (given := getattr(desk, name)) is not None
    }
    return desk.model_copy(update=paths)
