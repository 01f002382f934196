"""What a worker process holds: its claims, and which of them may be the death of an engine."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.tickets.store import Claim

LOOK_S = 0.2


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
    neighbours go free. The others wait for their turn without a claim: should the whole worker
    die, theirs is not the blame.
    """

    def __init__(self, max_crashes: int) -> None:
        self._suspect_from = max_crashes - 1
        self._turn = threading.RLock()
        self._waiting: set[int] = set()
        self._admitted = 0
        self._is_inside = False

    def must_wait(self, claim: Claim) -> bool:
        """Whether this is a suspect and it is another's turn."""
        if claim.crashes < self._suspect_from:
            return False
        is_free = self._turn.acquire(blocking=False)
        if is_free:
            self._turn.release()
        return not is_free

    @contextmanager
    def turn(self, ticket_id: int, stopped: Callable[[], bool]) -> Iterator[bool]:
        """Wait for the turn and have it, in this thread; False if it is over with taking turns."""
        self._waiting.add(ticket_id)
        while not (is_ours := self._turn.acquire(timeout=LOOK_S)) and not stopped():
            pass
        self._waiting.discard(ticket_id)
        try:
            yield is_ours and not stopped()
        finally:
            if is_ours:
                self._turn.release()

    def is_waiting(self, ticket_id: int) -> bool:
        return ticket_id in self._waiting

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
