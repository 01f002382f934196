"""A ticket on its way in: what every helpdesk's webhook is read into."""

import hashlib
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from schemas.zeros import without_zeros

MAX_KEY_CHARS = 200
NOT_A_MESSAGE = "not a message: "
YEARS = range(1970, 2100)


def not_a_message(what: str) -> str:
    """The reason to ignore an event that brings no words of anybody, or brings them again."""
    return f"{NOT_A_MESSAGE}{what}"[:MAX_KEY_CHARS]


class IncomingTicket(BaseModel):
    """One customer message. Text is clean: no markup, no quoted history, no control characters.

    `delivery_key` is the helpdesk's id of this delivery: the same again is a re-delivery.
    `message_id` is its id of the message within the ticket, empty if it has none.
    `cut` is what stood below the message: quoted history, a signature block.
    `requester` is the helpdesk's name for who wrote it: an address or an id, for erasure.
    `ignore_reason` says why this is no customer's message; None if it is one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(min_length=1, max_length=80)
    external_id: str = Field(min_length=1, max_length=MAX_KEY_CHARS)
    delivery_key: str = Field(min_length=1, max_length=MAX_KEY_CHARS)
    message_id: str = Field("", max_length=MAX_KEY_CHARS)
    event: str = Field(min_length=1, max_length=MAX_KEY_CHARS)
    subject: str
    body: str
    cut: str = ""
    locale: str | None = Field(None, max_length=40)
    requester: str | None = Field(None, max_length=MAX_KEY_CHARS)
    source_updated_at: AwareDatetime | None = None
    ignore_reason: str | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _no_zeros(cls, value: object) -> object:
        return without_zeros(value)

    @field_validator("source_updated_at")
    @classmethod
    def _a_time_that_can_be_read(cls, value: datetime | None) -> datetime | None:
        """Postgres can keep times that Python cannot read again."""
        return value if value is None or value.year in YEARS else None

    @property
    def is_message(self) -> bool:
        """Whether somebody wrote it, customer or not; the text of other events is not kept."""
        return not (self.ignore_reason or "").startswith(NOT_A_MESSAGE)

    @property
    def content_key(self) -> str:
        """SHA-256 over message and text: an edited message is another one, a repeat is not, nor one
        whose ticket somebody renamed.

        What is ignored is never the same as a customer's message: a label set on a ticket brings
        its text as well, perhaps before the ticket itself has come.
        """
        parts = [self.message_id, self.body or self.subject]
        if self.ignore_reason is not None:
            parts.append("ignored")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class GenericTicket(BaseModel):
    """The body of a webhook to `/webhooks/generic`; unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)

    id: str = Field(min_length=1, max_length=MAX_KEY_CHARS)
    subject: str = ""
    body: str
    locale: str | None = Field(None, max_length=40)
    requester: str | None = Field(None, max_length=MAX_KEY_CHARS)
    delivery_id: str | None = Field(None, min_length=1, max_length=MAX_KEY_CHARS)
    message_id: str = Field("", max_length=MAX_KEY_CHARS)


def desk_of(source: str) -> str:
    """The desk in a ticket's source, such as `zendesk/acme`; empty if it names none."""
    return source.partition("/")[2]
