"""A queue message: a nudge to look at one ticket, nothing more."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TicketMessage(BaseModel):
    """Says which ticket to look at. Losing one or receiving it twice does no harm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    ticket_id: int = Field(ge=1)
