"""What else an engine might have written: the likeliest tokens at each place of a label.

vLLM can tell them itself, but then works them out for every token of every answer, and carries
them all through its queues (docs/decisions/alternatives.md). Labels are a fifth of an answer, so
`Teller`, in the engine's process, tells the alternatives of those alone, over a socket of its own;
the `Listener` in the worker keeps them until the answer is there.
"""

import contextlib
import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Client
from multiprocessing.connection import Listener as Socket
from typing import Any

import numpy as np

COUNT = 11
"""Tokens told at each place: the chosen one among them, and ten others (bench/RESULTS.md)."""
RECORD = np.dtype([
    ("key", "<u8"), ("place", "<u4"), ("ids", "<i4", COUNT), ("logprobs", "<f4", COUNT),
])  # fmt: skip
"""One token's alternatives, the likeliest first; `key` is the request's, `place` counts from 0."""
PATIENCE_S = 1.0
"""They are sent before the answer is, by another way: it may be the faster one."""

Told = Mapping[int, Mapping[int, float]]
"""By place the log-probabilities of the likeliest tokens, by id, under the grammar's mask."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks of `Teller`, in `SamplingParams.extra_args` under `NAME`."""

    address: str
    key: int
    places: int


NAME = "triage_alternatives"


class Listener:
    """Collects what a `Teller` says. One for each engine; from any thread."""

    def __init__(self) -> None:
        self._socket = Socket(family="AF_UNIX")  # in a directory that is this user's alone
        self._heard: dict[int, dict[int, dict[int, float]]] = {}
        self._changed = threading.Condition()
        self._keys = itertools.count()
        threading.Thread(target=self._accept, name="alternatives", daemon=True).start()

    def expect(self, places: int) -> Wanted:
        """Prepare for a request: what it has to ask for. `collect` or `forget` ends it."""
        key = next(self._keys)
        with self._changed:
            self._heard[key] = {}
        return Wanted(str(self._socket.address), key, places)

    def collect(self, wanted: Wanted, written: int) -> Told:
        """What was told of a request that has written so many tokens."""
        heard, places = self._heard[wanted.key], min(wanted.places, written)
        with self._changed:
            self._changed.wait_for(lambda: len(heard) >= places, PATIENCE_S)
        self.forget(wanted)
        return heard

    def forget(self, wanted: Wanted) -> None:
        with self._changed:
            self._heard.pop(wanted.key, None)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the thread waits for an engine that never came
            Client(str(self._socket.address), family="AF_UNIX").close()
        self._socket.close()

    def _accept(self) -> None:
        """The engine connects once; when it is gone, so is this thread."""
        with contextlib.suppress(OSError, EOFError), self._socket.accept() as connection:
            while True:
                self._take(np.frombuffer(connection.recv_bytes(), RECORD))

    def _take(self, records: "np.ndarray[Any, Any]") -> None:
        with self._changed:
            for record in records:
                if (heard := self._heard.get(int(record["key"]))) is not None:
                    heard[int(record["place"])] = dict(
                        zip(record["ids"].tolist(), record["logprobs"].tolist(), strict=True)
                    )
            self._changed.notify_all()
