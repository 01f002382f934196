"""What a helpdesk is to the rest of the product: prove the sender, then read the ticket."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.mistakes import first_mistake
from schemas.ticket import GenericTicket, IncomingTicket
from worker.errors import UnusableBody

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One HTTP delivery. Header names are lower case."""

    body: bytes
    headers: Mapping[str, str]
    received_at: datetime


class Sent(BaseModel):
    """A part of what a helpdesk sends: ids may be numbers or text, unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class Helpdesk(Protocol):
    """One helpdesk product's webhooks.

    `challenge_header` is sent once, while a webhook is set up: its value is the answer.
    """

    name: str
    challenge_header: str | None = None

    def verify(self, webhook: Webhook, secret: str) -> None:
        """
        Raises:
            BadSignature: the body is not signed with this secret, or too long ago.
        """

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        """The ticket in a parsed body.

        Raises:
            UnusableBody: it is not what this helpdesk sends; names the field.
        """
        ...

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        """The payload this helpdesk would send for a new ticket: for demonstrations and tests."""
        ...

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        """The headers this helpdesk would send with `body`: for demonstrations and tests."""
        ...


def parse(model: type[Model], payload: Any) -> Model:
    """Read a payload into a pydantic model.

    Raises:
        UnusableBody: it does not fit; names the first field that does not.
    """
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise UnusableBody(first_mistake(error, whole="body")) from error
