"""A ticket with the labels a person gave it: what quality is measured on."""

import re
from typing import Any, Self

from pydantic import AliasChoices, Field, ValidationInfo, field_validator, model_validator
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

    @field_validator("language")
    @classmethod
    def _is_a_code(cls, language: str | None) -> str | None:
        if language is None:
            return None
        code, *script = re.split("[-_]", language.strip(), maxsplit=1)
        if not re.fullmatch("[A-Za-z]{2,3}", code):
            raise PydanticCustomError(
                "language", "'{given}' is no code such as de or zh-Hant", {"given": language}
            )
        return "-".join([code.lower(), *(one.title() if len(one) == 4 else one for one in script)])

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
