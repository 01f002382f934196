"""Tables of tickets for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

STATE_STYLE = {"replied": "green", "needs_human": "yellow", "received": "cyan", "triaging": "blue"}
DISPOSITION_STYLE = {"auto": "green", "suggest": "cyan", "human": "yellow"}


def ticket_table(reports: Sequence[dict[str, Any]]) -> Table:
    """One line a ticket: what it is, how sure the engine is, how the reply begins."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for heading in ("ticket", "lang", "category", "priority", "sentiment"):
        table.add_column(heading, no_wrap=True)
    table.add_column("conf.", justify="right", no_wrap=True)
    table.add_column("disposition", no_wrap=True)
    table.add_column(
        "reply, or why there is none", no_wrap=True, ratio=1, min_width=28, overflow="ellipsis"
    )
    for one in reports:
        table.add_row(*cells(one))
    return table


def plain_table(*headings: str) -> Table:
    """A table without lines, whose columns fold."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def cells(one: dict[str, Any]) -> list[Text]:
    sure = f"{min(one['confidence'].values()):.2f}" if one["confidence"] else "–"
    said = one["reply"] or (f"({one['reason']})" if one["reason"] else "(no reply)")
    return [
        Text(one["external_id"], overflow="ellipsis"),
        Text(one["language"] or "–"),
        Text(one["category"] or "–"),
        Text(one["priority"] or "–"),
        Text(one["sentiment"] or "–"),
        Text(sure),
        Text(one["disposition"], DISPOSITION_STYLE[one["disposition"]]),
        Text(" ".join(said.split())),
    ]
