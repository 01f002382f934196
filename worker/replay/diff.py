"""Two texts side by side: what only the old one has, what only the new one has.

Words are compared, and in Japanese and Chinese, which write none, characters.
"""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

WORDS = re.compile(r"[぀-ヿ㐀-鿿豈-﫿]|[^\W぀-ヿ㐀-鿿豈-﫿]+|\s+|.", re.DOTALL)

Piece = tuple[str, bool]
"""A piece of text, and whether the other side lacks it."""


def side_by_side(old: str, new: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces."""
    left, right = WORDS.findall(old), WORDS.findall(new)
    steps = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    return (
        list(pieces(left, ((kind, start, end) for kind, start, end, _, _ in steps))),
        list(pieces(right, ((kind, start, end) for kind, _, _, start, end in steps))),
    )


def pieces(words: list[str], steps: Iterator[tuple[str, int, int]]) -> Iterator[Piece]:
    for kind, start, end in steps:
        if start < end:
            yield "".join(words[start:end]), kind != "equal"
