"""`in`, for any number of ids: Postgres's protocol takes 65,535 parameters in a statement."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, BIGINT, ColumnElement, cast, func


def among(column: Any, ids: Collection[int]) -> ColumnElement[bool]:
    """Whether the column's value is one of `ids`, which are one parameter."""
    found: ColumnElement[bool] = column == func.any(cast(list(ids), ARRAY(BIGINT)))
    return found
