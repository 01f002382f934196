"""Who works on tickets and how, as rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from worker.tickets.rows.row import Row


class Worker(Row):
    """A worker that takes tickets, as of `seen_at`; it removes itself when it stops."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    profile: Mapped[str]
    queues: Mapped[list[str]]
    in_flight: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Desk(Row):
    """How a desk was set when attempts were made: a row for each variant, so that what was asked
    then can be asked again. `sha256` is over all the rest."""

    __tablename__ = "desks"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    prompt_version: Mapped[str]
    language: Mapped[str]
    taxonomy: Mapped[dict[str, Any]]
    instruction: Mapped[str]
    first_used_at: Mapped[datetime] = mapped_column(server_default=func.now())
