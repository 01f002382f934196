"""What a worker process holds: its claims, and which of them may be the death of an engine."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.tickets.store import Claim


class Held:
    """What this process has claimed and not yet let go of. Safe to share."""

    def __init__(self) -> None:
        self._claims: dict[int, Claim] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[None]:
        with self._lock:
            self._claims[claim.attempt_id] = claim
        try:
            yield
        finally:
            with self._lock:
                del self._claims[claim.attempt_id]

    def claims(self) -> list[Claim]:
        with self._lock:
            return list(self._claims.values())

    def ids(self) -> list[int]:
        """The ids of the tickets."""
        return sorted(claim.ticket_id for claim in self.claims())


class Suspects:
    """Lets one suspected ticket at a time into the engine, so that a crash tells who did it.

    When the engine dies while a suspect is in it, the suspect alone is to blame; otherwise all
    that were in it are. A ticket one crash away from being given up is a suspect: the last crash
    is always held against one alone, so that a ticket which kills engines is found and its
    neighbours go free.
    """

    def __init__(self, max_crashes: int) -> None:
        self._suspect_from = max_crashes - 1
        self._turn = threading.Lock()
        self._admitted = 0
        self._is_inside = False

    @contextmanager
    def watch(self, claim: Claim) -> Iterator[Callable[[], bool]]:
        """Yields a function that says whether a crash of the engine is held against this ticket."""
        if claim.crashes < self._suspect_from:
            before, was_inside = self._admitted, self._is_inside
            yield lambda: not was_inside and self._admitted == before
            return
        with self._turn:
            self._admitted += 1
            self._is_inside = True
            try:
                yield lambda: True
            finally:
                self._is_inside = False
