"""A person's correction of a ticket, on its way in."""

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from schemas.reply import REPLY_CHARS, SUMMARY_CHARS, label_values
from schemas.taxonomy import Taxonomy
from schemas.zeros import without_zeros

TEXT_CHARS = {"summary": 10 * SUMMARY_CHARS, "reply": 20 * REPLY_CHARS}
"""A person may write more than the model, but no book."""


class CorrectionRequest(BaseModel):
    """What a person says of one or more fields: labels of the taxonomy, the summary, the reply.

    Validated under a `Taxonomy` as context, whose categories are the allowed ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str = Field(min_length=1, max_length=200)
    note: str | None = Field(None, max_length=2000)
    values: dict[str, str] = Field(min_length=1)

    @field_validator("*", mode="before")
    @classmethod
    def _no_zeros(cls, value: object) -> object:
        if isinstance(value, dict):
            return {name: without_zeros(text) for name, text in value.items()}
        return without_zeros(value)

    @field_validator("values")
    @classmethod
    def _values_are_allowed(cls, values: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        assert isinstance(info.context, Taxonomy)
        allowed = label_values(info.context)
        for field, value in values.items():
            if field in allowed and value not in allowed[field]:
                raise refused(f"{field} is none of {', '.join(allowed[field])}")
            if field in TEXT_CHARS and len(value) > TEXT_CHARS[field]:
                raise refused(f"{field} has more than {TEXT_CHARS[field]} characters")
            if field not in allowed and field not in TEXT_CHARS:
                raise refused(
                    f"there is no field {field}; there are {', '.join((*allowed, *TEXT_CHARS))}"
                )
        return values


def refused(why: str) -> PydanticCustomError:
    return PydanticCustomError("correction", "{why}", {"why": why})
