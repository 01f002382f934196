"""What else an engine might have written: the tokens that a label's grammar allowed at each place.

vLLM can tell them itself, but then works them out for every token of every answer, and carries
them all through its queues (docs/decisions/alternatives.md). Values of labels are a tenth of an
answer, so `Teller`, in the engine's process, tells the alternatives of those alone, over a socket
of its own; the `Listener` in the worker keeps them until the answer is there.
"""

import contextlib
import itertools
import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Client
from multiprocessing.connection import Listener as Socket
from typing import Any

import numpy as np

from worker import processors

ALTERNATIVES = 10
"""Tokens told beside the chosen one: enough for the confidence of a label (bench/RESULTS.md)."""
RECORD = np.dtype([("key", "<u8"), ("place", "<u4"), ("id", "<i4"), ("logit", "<f4")])
"""One token that might have been written; `key` is the request's, `place` counts from 0."""
NEGLIGIBLE_LOGPROB = -16.0
"""A ten-millionth: such alternatives change no confidence, and masked ones are at -inf."""
PATIENCE_S = 1.0
"""They are sent before the answer is, by another way: it may be the faster one."""

MARK = '"'
MARKS_OF_A_LABEL, MARKS_OF_A_FIELD = 4, 2
"""Quotation marks of `"field":"value"`, and those of its field alone."""

Told = Mapping[int, Mapping[int, float]]
"""By place the log-probabilities of tokens, by id, under the grammar's mask."""


def counter_of_marks(decode: Callable[[list[int]], str]) -> Callable[[int], int]:
    """Says how many quotation marks a token holds, and looks at each token once."""
    return cache(lambda token: decode([token]).count(MARK))


def may_write_a_value(marks: int) -> bool:
    """Whether the token after so many quotation marks may be of a label's value.

    A field's name is the grammar's own. Of one token that ended a name and began its value nothing
    would be told, so that nobody trusts the label; where words are split from punctuation before
    they are split into tokens, there is none.
    """
    return marks % MARKS_OF_A_LABEL >= MARKS_OF_A_FIELD


def value_places(ids: Sequence[int], marks_in: Callable[[int], int], labels: int) -> Iterator[int]:
    """The places that `Teller` tells of in an answer that opens with so many labels."""
    marks = 0
    for place, token in enumerate(ids):
        if marks >= labels * MARKS_OF_A_LABEL:
            break
        if may_write_a_value(marks):
            yield place
        marks += marks_in(token)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks of `Teller`, in `SamplingParams.extra_args` under `NAME`."""

    address: str
    key: int
    labels: int


NAME = "triage_alternatives"


class Listener:
    """Collects what a `Teller` says. One for each engine; from any thread."""

    def __init__(self) -> None:
        self._socket = Socket(family="AF_UNIX")  # in a directory that is this user's alone
        self._address = str(self._socket.address)
        self._heard: dict[int, dict[int, dict[int, float]]] = {}
        self._changed = threading.Condition()
        self._keys = itertools.count()
        threading.Thread(target=self._accept, name="alternatives", daemon=True).start()

    def expect(self, labels: int) -> Wanted:
        """Prepare for a request: what it has to ask for. `collect` or `forget` ends it."""
        key = next(self._keys)
        with self._changed:
            self._heard[key] = {}
        return Wanted(self._address, key, labels)

    def collect(self, wanted: Wanted, places: Collection[int]) -> Told:
        """What was told of these places of a request's answer."""
        heard = self._heard[wanted.key]
        with self._changed:
            self._changed.wait_for(lambda: len(heard) >= len(places), PATIENCE_S)
        self.forget(wanted)
        return {place: logprobs(logits) for place, logits in heard.items()}

    def forget(self, wanted: Wanted) -> None:
        with self._changed:
            self._heard.pop(wanted.key, None)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the thread waits for an engine that never came
            Client(self._address, family="AF_UNIX").close()
        self._socket.close()

    def _accept(self) -> None:
        """The engine connects once; when it is gone, so is this thread."""
        processors.let_the_engine_go_first()
        with contextlib.suppress(OSError, EOFError), self._socket.accept() as connection:
            while True:
                self._take(np.frombuffer(connection.recv_bytes(), RECORD))

    def _take(self, records: "np.ndarray[Any, Any]") -> None:
        with self._changed:
            for key, place, token, logit in records.tolist():
                if (heard := self._heard.get(key)) is not None:
                    heard.setdefault(place, {})[token] = logit
            self._changed.notify_all()


def logprobs(logits: Mapping[int, float]) -> dict[int, float]:
    """Log-probabilities of the tokens that could have been written, and not only in theory."""
    likeliest = max(logits.values())
    total = likeliest + math.log(sum(math.exp(one - likeliest) for one in logits.values()))
    return {
        token: logprob
        for token, logit in logits.items()
        if (logprob := logit - total) > NEGLIGIBLE_LOGPROB
    }
