"""The reply: what the model must write about a ticket, and the JSON Schema that forces it.

The order of fields matters: labels come first, so that they condition the text and survive
whatever happens to it. Every string is bounded, so that the longest output is known.
"""

import json
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from schemas.mistakes import first_mistake
from schemas.taxonomy import Taxonomy

SUMMARY_CHARS = 200
REPLY_CHARS = 600
ENTITY_CHARS = 40
ENTITIES = 5


class TicketType(StrEnum):
    INCIDENT = "incident"
    PROBLEM = "problem"
    REQUEST = "request"
    CHANGE = "change"


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


class Sentiment(StrEnum):
    VERY_NEGATIVE = "very_negative"
    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"
    VERY_POSITIVE = "very_positive"


class EntityKind(StrEnum):
    ORDER = "order"
    INVOICE = "invoice"
    PRODUCT = "product"
    VERSION = "version"
    ERROR_CODE = "error_code"
    DATE = "date"


class Entity(BaseModel):
    """Something the ticket names. `value` stands in the ticket verbatim."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: EntityKind
    value: str = Field(min_length=1, max_length=ENTITY_CHARS)


class Reply(BaseModel):
    """A ticket's classification and drafted reply, as the model writes them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: str
    type: TicketType
    priority: Priority
    sentiment: Sentiment
    entities: tuple[Entity, ...] = Field(max_length=ENTITIES)
    summary: str = Field(max_length=SUMMARY_CHARS)
    reply: str = Field(max_length=REPLY_CHARS)

    @field_validator("category")
    @classmethod
    def _category_is_in_the_taxonomy(cls, value: str, info: ValidationInfo) -> str:
        allowed = info.context.values if isinstance(info.context, Taxonomy) else (value,)
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    @classmethod
    def parse(cls, text: str, taxonomy: Taxonomy) -> Self:
        """Read a model's raw output.

        Raises:
            ValueError: it is not JSON, not a reply, or its category is not in the taxonomy;
                the message is one line and names the field.
        """
        try:
            return cls.model_validate_json(text, context=taxonomy)
        except ValidationError as error:
            raise ValueError(first_mistake(error, whole="output")) from error


LABELS = ("category", "type", "priority", "sentiment")
"""The fields whose value is one of a closed list; each gets a confidence."""
TEXTS = ("summary", "reply")
FIELDS = (*LABELS, *TEXTS)
"""What a person can correct, and what results are compared by."""


def label_values(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """The closed list of each label field, in the order in which the model writes them."""
    return {
        "category": taxonomy.values,
        "type": tuple(TicketType),
        "priority": tuple(Priority),
        "sentiment": tuple(Sentiment),
    }


def reply_schema(taxonomy: Taxonomy) -> dict[str, Any]:
    """The reply's JSON Schema with the taxonomy's categories as the allowed values."""
    schema = Reply.model_json_schema()
    schema["properties"]["category"] = {"enum": list(taxonomy.values)}
    return schema


def canonical_json(reply: dict[str, Any]) -> str:
    """A reply exactly as the grammar makes the model write it: no whitespace, UTF-8 as it is."""
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":"))
