"""A ticket with the labels a person gave it: what quality is measured on."""

from typing import Any, Self

from pydantic import AliasChoices, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from schemas.reply import LABELS, label_values
from schemas.taxonomy import Taxonomy
from schemas.ticket import GenericTicket


class LabelledTicket(GenericTicket):
    """A line of a file of labelled tickets; other keys are ignored, and any label may be missing.

    Validated under a `Taxonomy` as context, whose categories are the allowed ones.
    """

    language: str | None = Field(None, validation_alias=AliasChoices("language", "lang"))
    category: str | None = None
    type: str | None = None
    priority: str | None = None
    sentiment: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The labels it has, by field."""
        return {field: value for field in LABELS if (value := getattr(self, field)) is not None}

    @model_validator(mode="after")
    def _labels_are_allowed(self, info: ValidationInfo) -> Self:
        if not isinstance(info.context, Taxonomy):
            return self
        for field, allowed in label_values(info.context).items():
            if (value := self.labels.get(field, allowed[0])) not in allowed:
                raise unknown(field, value, allowed)
        return self


def unknown(field: str, value: str, allowed: tuple[str, ...]) -> PydanticCustomError:
    context: dict[str, Any] = {"field": field, "value": value, "allowed": ", ".join(allowed)}
    return PydanticCustomError(
        "unknown_label", "{field}: '{value}' is not one of {allowed}", context
    )
