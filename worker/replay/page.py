"""A comparison as one HTML page without anything from outside."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from schemas.reply import FIELDS, LABELS
from worker.replay import diff
from worker.replay.compare import Change, Pair

TEMPLATES = Environment(
    loader=PackageLoader("worker.replay"), autoescape=True, undefined=StrictUndefined
)


def page(replay: Mapping[str, Any], measured: Mapping[str, Any], changed: Sequence[Pair]) -> str:
    """The page of a replay, its `summary` and some tickets that changed."""
    return TEMPLATES.get_template("compare.html").render(
        replay=replay,
        measured=measured,
        fields=FIELDS,
        labels=LABELS,
        changes=list(Change),
        pairs=[(pair, list(rows(pair))) for pair in changed],
        made_at=datetime.now(UTC),
    )


def rows(pair: Pair) -> Sequence[dict[str, Any]]:
    """Each field of a ticket: its name, what became of it, old and new in pieces."""
    found = []
    for field in FIELDS:
        old, new = diff.side_by_side(*(value or "" for value in pair.values(field)))
        found.append({"field": field, "change": pair.change(field), "old": old, "new": new,
                      "wanted": pair.wanted.get(field)})  # fmt: skip
    return found
