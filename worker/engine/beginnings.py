"""What a grammar has accepted: beginnings of answers, whatever the values in them.

What may come after a value does not depend on it (`grammar.refuse_unenforced` sees to that), and
labels and names of fields are few. So a tree of the tokens that are not in strings of any
characters is soon complete, and says of nearly each of them whether it is accepted there.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from xgrammar import TokenizerInfo

from worker.engine.grammar import CHARACTERS, bounds_in
from worker.engine.logits import Numbers
from worker.engine.parsed_once import GRAMMARS

MARK = b'"'
BEGINS = re.compile(rb'"(\w+)":"([^"]*)$')
"""A field's name, and what is written of the string that is its value."""
TAIL = 256
"""Bytes that are kept to find a field's name in: more than a name and a token have."""
SURROGATE = b"\xed\xa0"
"""The first bytes of what UTF-8 has no characters for; all that begin with the same byte follow."""
NOT_TEXT = b"\0"
"""Stands for tokens that write nothing. No string takes it."""
KNOWN = 4096
"""Tokens after places that are remembered of a grammar; some hundred come up."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """For each token its bytes, and how many characters of a string it is: 0 if anything else."""

    texts: Sequence[bytes]
    characters: Sequence[int]

    @classmethod
    def of(cls, tokenizer: TokenizerInfo) -> "Vocabulary":
        texts = [text or NOT_TEXT for text in tokenizer.decoded_vocab]
        for token in (*tokenizer.stop_token_ids, *tokenizer.special_token_ids):
            texts[token] = NOT_TEXT
        counts = [characters(text) for text in texts]
        return cls(texts, [count[0] if count and not count[1] else 0 for count in counts])


def characters(text: bytes) -> tuple[int, bytes] | None:
    """How many characters of a string these bytes are, and those of one that is not whole yet.

    None: a string does not take them.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoded = decoder.decode(text)
    except UnicodeDecodeError:
        return None
    part, _ = decoder.getstate()
    is_half = part >= SURROGATE and part.startswith(SURROGATE[:1])  # which Python finds out later
    return None if is_half or not CHARACTERS.fullmatch(decoded) else (len(decoded), part)


@dataclass(slots=True, eq=False)
class Place:
    """Where answers are after the same tokens, whatever the values before them.

    `tail`: the last bytes that lead here, from the last value on; `begin`: where the value began
    that is being written. If that is a string of any characters, it takes `room` more, and `part`
    are the bytes of one that is not whole yet. `allowed`: the ids of the tokens that may be next,
    if they were asked for. `ends`, of a place where a value begins: where it goes on after it.
    """

    tail: bytes = b""
    begin: "Place | None" = None
    room: int = 0
    part: bytes = b""
    next: dict[int, "Place"] = field(default_factory=dict)
    ends: dict[bytes, "Place"] = field(default_factory=dict)
    allowed: Numbers | None = None
    _inside: "Place | None" = None

    @property
    def inside(self) -> "Place":
        """The place after characters of its string: what comes does not depend on them."""
        if self._inside is None:
            self._inside = Place(begin=self.begin, room=self.room)
            self._inside._inside = self._inside
        return self._inside


class Beginnings:
    """The places of a grammar; `bounds`: how many characters the strings of which fields take."""

    def __init__(self, vocabulary: Vocabulary, bounds: Mapping[str, int]) -> None:
        self.vocabulary = vocabulary
        self.first = Place()
        self._bounds = bounds
        self._count = 0

    def after(self, place: Place, token: int) -> Place:
        """The place after a token that the grammar accepted there; it is known from now on."""
        found = place.next.get(token)
        if found is None:
            self._count += 1
            if self._count > KNOWN:
                self.first, self._count = Place(), 0
            found = place.next[token] = self._place(place, self.vocabulary.texts[token])
        return found

    def _place(self, before: Place, text: bytes) -> Place:
        if MARK not in text:
            return Place((before.tail + text)[-TAIL:], before.begin)
        if before.begin is None:
            return self._beginning((before.tail + text)[-TAIL:])
        rest = text[text.index(MARK) :]
        ends = before.begin.ends
        if rest not in ends:
            ends[rest] = self._beginning(rest)
        return ends[rest]

    def _beginning(self, tail: bytes) -> Place:
        """A place after a quotation mark: of a value, or of the name of a field."""
        place = Place(tail)
        if begun := BEGINS.search(tail):
            place.begin = place
            bound = self._bounds.get(begun[1].decode())
            written = characters(begun[2])
            if bound and written:
                count, place.part = written
                place.room = bound - count
        return place


@lru_cache(GRAMMARS)
def beginnings(ebnf: str, vocabulary: Vocabulary) -> Beginnings:
    """What is known of a grammar that says what its strings take."""
    return Beginnings(vocabulary, bounds_in(ebnf))
