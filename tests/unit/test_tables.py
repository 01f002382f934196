"""The table of tickets, on terminals of different widths."""

import io

import pytest
from rich.console import Console

from worker.cli.tables import ticket_table

TICKET = {
    "id": 17,
    "external_id": "1001",
    "language": "de",
    "category": "technical_support",
    "priority": "urgent",
    "sentiment": "very_negative",
    "confidence": {"category": 0.9},
    "disposition": "suggest",
    "reply": "Guten Tag,\nvielen Dank für Ihre Nachricht.",
    "reason": None,
}


def printed(width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(ticket_table([TICKET], width=width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_reply_can_be_read_at_every_width(width: int) -> None:
    heading, line = printed(width).splitlines()

    assert "Guten Tag" in line
    assert all(name in heading for name in ("ticket", "category", "disposition"))
    assert "technical_support" in line
    assert line.split()[:2] == ["17", "1001"], "both names of it"


def test_the_sentiment_is_shown_where_there_is_room() -> None:
    assert "very_negative" not in printed(80)
    assert "very_negative" in printed(100)
