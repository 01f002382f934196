"""Counts the webhooks that were refused, so that operators see them; some seconds late.

A refusal costs an attacker nothing and must cost us nothing: it is a number in memory, and every
few seconds the numbers are added to rows. What a killed gateway had not yet added is not known.
"""

import threading
from collections import Counter

from sqlalchemy.exc import DBAPIError

from worker import logs
from worker.database import UNAVAILABLE, Sessions, reason, transaction
from worker.errors import Refused
from worker.tickets import store

log = logs.get(__name__)

INTERVAL_S = 5.0


class Refusals:
    """Safe to share between threads."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def note(self, source: str, error: Refused) -> None:
        """Count a refusal."""
        with self._lock:
            self._counts[source, error.kind] += 1

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Add what is left and end."""
        self._stopping.set()
        self._thread.join()

    def flush(self) -> None:
        """Add the numbers to the rows; while Postgres is away, or not migrated, they are kept."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with transaction(self._sessions) as session:
                store.add_refusals(session, counts)
        except (*UNAVAILABLE, DBAPIError) as error:
            log.warning("refusals_not_counted", error=reason(error))
            with self._lock:
                self._counts.update(counts)

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            self.flush()
        self.flush()
