"""Tables of tickets for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

STATE_STYLE = {"replied": "green", "needs_human": "yellow", "received": "cyan", "triaging": "blue"}
DISPOSITION_STYLE = {"auto": "green", "suggest": "cyan", "human": "yellow"}
REPLY = "reply, or why there is none"
NARROW = 100
"""Characters; a terminal of fewer has room for the sentiment or for the reply."""


def ticket_table(reports: Sequence[dict[str, Any]], *, width: int) -> Table:
    """One line a ticket: what it is, how sure the engine is, how the reply begins.

    `id` is ours, by which commands name it, `ticket` the helpdesk's. `width` is the terminal's, in
    characters.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    headings = ["id", "ticket", "lang", "category", "priority", "sentiment", "conf.", "disposition"]
    if width < NARROW:
        headings.remove("sentiment")
    for heading in headings:
        justify: JustifyMethod = "right" if heading in {"id", "conf."} else "left"
        table.add_column(heading, justify=justify, no_wrap=True)
    table.add_column(REPLY, no_wrap=True, ratio=1, overflow="ellipsis")
    for one in reports:
        told = cells(one)
        table.add_row(*(told[heading] for heading in (*headings, REPLY)))
    return table


def plain_table(*headings: str) -> Table:
    """A table without lines, whose columns fold."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def cells(one: dict[str, Any]) -> dict[str, Text]:
    """A ticket's cells by their column's heading."""
    sure = f"{min(one['confidence'].values()):.2f}" if one["confidence"] else "–"
    said = one["reply"] or (f"({one['reason']})" if one["reason"] else "(no reply)")
    return {
        "id": Text(str(one["id"])),
        "ticket": Text(one["external_id"], overflow="ellipsis"),
        "lang": Text(one["language"] or "–"),
        "category": Text(one["category"] or "–"),
        "priority": Text(one["priority"] or "–"),
        "sentiment": Text(one["sentiment"] or "–"),
        "conf.": Text(sure),
        "disposition": Text(one["disposition"], DISPOSITION_STYLE[one["disposition"]]),
        REPLY: Text(" ".join(said.split())),
    }
