"""What all tables have in common, and what tickets and their reruns do."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    MetaData,
    Table,
    Text,
    TextClause,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from worker.tickets.states import State

LARGEST_ID = 2**63 - 1
"""The largest that Postgres can have."""
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it so
        datetime: TIMESTAMP(timezone=True),
        str: Text(),
        list[str]: ARRAY(Text()),
        int: BigInteger(),
        dict[str, Any]: JSONB(),
        list[dict[str, Any]]: JSONB(),
    }


def table_of(row: type[Row]) -> Table:
    """The table of a class of rows, for statements that make no objects of them."""
    return cast("Table", row.__table__)


class Journey:
    """How far a ticket is, who has it and what it came to: columns of two tables.

    `tickets` is the way of every ticket, `reruns` that of a ticket that a replay runs again; what
    claims, ends and sweeps does it to either. `attempts` numbers the claims; `failures` counts
    those that failed, `crashes` those during which the engine or its worker died, and `repairs`
    those whose answer failed a check and was asked for once more. What was given back because its
    worker stopped has lost nothing. `attempt_id` is the last attempt that ended it.
    """

    id: Mapped[int]
    queue: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    announced_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    crashes: Mapped[int] = mapped_column(server_default="0")
    repairs: Mapped[int] = mapped_column(server_default="0")
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("attempts.id", use_alter=True))
    reply_id: Mapped[int | None] = mapped_column(ForeignKey("replies.id", use_alter=True))


def known_states() -> CheckConstraint:
    return CheckConstraint(f"state in ({', '.join(repr(state.value) for state in State)})", "state")


EPOCH = "'2000-01-01 00:00:00+00'::timestamp with time zone"


def hour_of(column: str) -> TextClause:
    """The hour by which the views `ops_*` group, as an index has it."""
    return text(f"date_bin('01:00:00'::interval, {column}, {EPOCH})")
