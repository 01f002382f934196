"""What the lists are held to, as it stands in a page's address."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import ColumnElement, exists

from schemas.mistakes import first_mistake
from worker.tickets.rows import LARGEST_ID, Attempt, Ticket
from worker.tickets.states import State

PERIODS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}


class Filters(BaseModel):
    """Tickets received within `period` until now; the others are equal to what is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period: str = Field("24h", pattern=f"^({'|'.join(PERIODS)})$")
    source: str = Field("", max_length=100, pattern=r"^[^\x00]*$")
    language: str = Field("", pattern="^([a-z]{2,3})?$")
    profile: str = Field("", max_length=100, pattern=r"^[^\x00]*$")
    state: State | None = None
    before: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="Tickets with smaller ids, for paging."
    )
    refresh: int | None = Field(None, ge=5, le=3600, description="Seconds between reloads.")

    @property
    def is_hourly(self) -> bool:
        """Whether the flow is told by the hour; else by the day."""
        return PERIODS[self.period] <= timedelta(days=1)

    @property
    def since(self) -> datetime:
        return datetime.now(UTC) - PERIODS[self.period]

    def conditions(self) -> list[ColumnElement[bool]]:
        given: list[ColumnElement[bool]] = [Ticket.received_at >= self.since]
        if self.source:
            given.append(Ticket.source == self.source)
        if self.language:
            given.append(Ticket.language == self.language)
        if self.profile:
            given.append(
                exists().where(Attempt.id == Ticket.attempt_id, Attempt.profile == self.profile)
            )
        return given

    def address(self, **changes: object) -> str:
        """The query of the same page with some filters changed."""
        given = self.model_dump(mode="json", exclude_defaults=True) | changes
        return "?" + urlencode({name: value for name, value in given.items() if value})


def filters_of(request: Request) -> Filters:
    """The filters in a page's address; what a form left empty is not given.

    Raises:
        HTTPException: 422, one of them makes no sense.
    """
    given = {name: value for name, value in request.query_params.items() if value}
    try:
        return Filters.model_validate(given)
    except ValidationError as error:
        raise HTTPException(422, first_mistake(error, whole="filters")) from error


Given = Annotated[Filters, Depends(filters_of)]
