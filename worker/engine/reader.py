"""Reads an answer to a grammar's matcher when that has to know it, not token by token.

Strings take any characters, so many, and what was accepted once after the same beginning is
accepted again (`beginnings`). The matcher stays behind, and is read what it has missed where
something is not known: a new beginning, a string near its bound, a mask.

Between two steps the model's weights drive the grammar out of the processor's cache: each token
that need not be read saves five to ten microseconds, and the model its own place there.
"""

from dataclasses import dataclass, field

from xgrammar import GrammarMatcher

from worker.engine.beginnings import MARK, Beginnings, Place, characters
from worker.engine.logits import Numbers

FILLER = -1
"""Stands for what a string says, where that does not matter any more."""
FILLING = "~"
"""Read in its place: a string that must not be empty may end after it."""


@dataclass(slots=True)
class Reader:
    """Where an answer is, and where its matcher.

    `room` is left in the string that is being written, whose last character may be only a `part`.
    Not read are `missed`, and then `content`, the last tokens of that string; `is_begun`: some of
    it was read.
    """

    matcher: GrammarMatcher
    beginnings: Beginnings
    place: Place = field(init=False)
    room: int = 0
    part: bytes = b""
    missed: list[int] = field(default_factory=list)
    content: list[int] = field(default_factory=list)
    is_begun: bool = False

    def __post_init__(self) -> None:
        self.place = self.beginnings.first

    def knows(self, token: int) -> bool:
        """Whether the token is certainly accepted; if not, the matcher has to say so."""
        if not self.place.room:
            return token in self.place.next
        vocabulary = self.beginnings.vocabulary
        count = vocabulary.characters[token]
        if count and not self.part:
            return count <= self.room
        text = vocabulary.texts[token]
        if MARK in text:  # of no more characters than bytes
            return len(text) <= self.room and not self.part and token in self.place.next
        written = characters(self.part + text)
        return written is not None and written[0] + bool(written[1]) <= self.room

    def wrote(self, token: int, *, was_read: bool) -> None:
        """The token is the next of the answer; the matcher has accepted it, or it was known."""
        vocabulary = self.beginnings.vocabulary
        count = vocabulary.characters[token]
        if self.place.room and (count or MARK not in vocabulary.texts[token]):
            if not count or self.part:
                written = characters(self.part + vocabulary.texts[token])
                assert written  # a string takes nothing else
                count, self.part = written
            self.room -= count
            self.place = self.place.inside
            if was_read:
                self.is_begun = True
            else:
                self.content.append(token)
        else:
            self._wrote_around(token, was_read=was_read)

    def _wrote_around(self, token: int, *, was_read: bool) -> None:
        if not was_read:
            if self.content:
                self.missed += self.content if self.is_begun else [FILLER]
                self.content.clear()
            self.missed.append(token)
        self.place = self.beginnings.after(self.place, token)
        self.room, self.part = self.place.room, self.place.part
        self.is_begun = bool(self.part)  # what follows ends a character: nothing may replace it

    def catch_up(self) -> None:
        """Have the matcher where the answer is."""
        for token in self.missed:
            self._read(token)
        for token in self.content:
            self._read(token)
        self.is_begun = self.is_begun or bool(self.content)
        self.missed.clear()
        self.content.clear()

    def _read(self, token: int) -> None:
        is_read = (
            self.matcher.accept_string(FILLING)
            if token == FILLER
            else self.matcher.accept_token(token)
        )
        assert is_read  # it is known to be allowed

    @property
    def allowed(self) -> Numbers | None:
        """The ids of the tokens that may be next, if they were found here before."""
        return self.place.allowed

    @allowed.setter
    def allowed(self, ids: Numbers) -> None:
        if not self.place.room:  # else they depend on the room that is left
            self.place.allowed = ids
