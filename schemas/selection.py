"""A selection of tickets to run again: filters that all have to hold, as a plan file keeps it."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class BadKind(StrEnum):
    """The kinds of `bad_outputs_v1`."""

    NOT_PARSED = "not_parsed"
    CUT_OFF = "cut_off"
    CHECK_FAILED = "check_failed"
    WRONG_LANGUAGE = "wrong_language"
    BELOW_THRESHOLD = "below_threshold"
    DEADLINE = "deadline"
    ENGINE_ERROR = "engine_error"
    CORRECTED = "corrected"


class Selection(BaseModel):
    """Which tickets, by what they came to. Of a filter with several values one has to hold.

    Times are of the ticket's arrival. `confidence` is that of the label the model was least sure
    of. `limit` takes the newest; `sample` that many at random, the same ones for the same `seed`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: tuple[BadKind, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    source: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    confidence_from: float | None = Field(None, ge=0, le=1)
    confidence_below: float | None = Field(None, ge=0, le=1)
    profile: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    prompt_version: tuple[str, ...] = ()
    taxonomy_version: tuple[str, ...] = ()
    corrected: bool | None = None
    ids: tuple[PositiveInt, ...] | None = None
    limit: PositiveInt | None = None
    sample: PositiveInt | None = None
    seed: int = 0

    def described(self) -> dict[str, Any]:
        """The filters that are set, as JSON; of many ids only how many."""
        given = self.model_dump(mode="json", exclude_defaults=True)
        if self.ids and len(self.ids) > SHOWN_IDS:
            given["ids"] = f"{len(self.ids)} ids"
        return given


SHOWN_IDS = 100


class Plan(BaseModel):
    """What `triage replay plan --output` writes: the filters, and the tickets they found then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    selection: Selection
    ticket_ids: tuple[PositiveInt, ...]
