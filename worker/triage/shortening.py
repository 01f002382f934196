"""Shortens a ticket that does not fit a model's context: by whole messages, never in the middle.

A thread keeps its first message, which says what it is about, and the newest ones. Text that has
no messages is taken apart into paragraphs, lines, and pieces, whichever is the coarsest that fits.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MESSAGE = re.compile(
    r"^(?=-{3,}|_{5,}|={5,}"
    r"|(?:From|Von|De|差出人|发件人|發件人|寄件者)\s?[:：]"
    r"|(?:On|Am|Le)\b.{4,200}(?:wrote|schrieb.{0,80}|a écrit)\s?:\s*$"
    r"|\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d)",
    re.MULTILINE,
)
PARAGRAPH = re.compile(r"(?<=\n\n)")
LINE = re.compile(r"(?<=\n)")
PIECE_CHARS = 400
MARK = "\n[… {count} left out …]\n\n"
MARK_TOKENS = 32
"""More than the mark takes in any tokenizer, and room for what joining pieces may cost."""


@dataclass(frozen=True, slots=True)
class Shortened:
    """What is kept of a text, and how many of its messages (or smaller parts) are not."""

    text: str
    left_out: int
    parts: int


def shorten(text: str, *, room: int, count: Callable[[str], int]) -> Shortened:
    """Keep the first and the newest messages that fit into `room` tokens, as `count` counts them.

    The first and the newest part are kept whole as long as both fit; if not even two small
    pieces do, the first piece alone is kept.
    """
    if not text:  # it is not what takes the room
        return Shortened("", left_out=0, parts=0)
    for parts in ways_to_part(text):
        costs = [count(part) + 1 for part in parts]
        left = room - MARK_TOKENS - costs[0]
        if len(parts) == 1 or costs[-1] > left:
            continue
        newest = len(parts)
        while newest > 1 and costs[newest - 1] <= left:
            newest -= 1
            left -= costs[newest]
        return joined(parts, newest)
    return joined(parts, len(parts))


def ways_to_part(text: str) -> Iterator[list[str]]:
    """The text taken apart, from coarse to fine."""
    for boundary in (MESSAGE, PARAGRAPH, LINE):
        yield [part for part in boundary.split(text) if part]
    yield [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def joined(parts: Sequence[str], newest: int) -> Shortened:
    """The first part, a mark for what is left out, and the parts from `newest` on."""
    left_out = newest - 1
    mark = MARK.format(count=left_out) if left_out else ""
    text = parts[0].rstrip("\n") + "\n" + mark + "".join(parts[newest:])
    return Shortened(text, left_out, len(parts))
