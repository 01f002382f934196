"""Writes replies back to their helpdesks: one thread for each source, its queue the ledger in SQL.

A helpdesk that is down or slow delays its own replies and nothing else. Every step may be done
twice: what was written before is found by its marker and not written again.
"""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from worker import logs, metrics
from worker.database import UNAVAILABLE, Sessions, reason, transaction
from worker.errors import (
    OutletBusy,
    OutletConflict,
    OutletError,
    OutletGone,
    OutletRefused,
)
from worker.helpdesk.outlets import MARKER, Draft, Outlet, Remote, signed
from worker.tickets import store
from worker.tickets.states import WritebackState
from worker.tickets.store import Job
from worker.triage.confidence import Disposition

log = logs.get(__name__)

LEASE_S = 120.0
"""A try takes less than this: a few requests of at most 15 seconds."""
MOST_ATTEMPTS = 20
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 1800.0
LOOK_S = 1.0
OUTCOMES = ("done", "skipped", "put off", "failed")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where replies of a source go. `fields` are the custom fields for labels, by label."""

    outlet: Outlet
    fields: Mapping[str, str]
    public: bool = False


class WriteBack:
    """One source's replies on their way back."""

    def __init__(self, sessions: Sessions, source: str, to: Destination) -> None:
        self._sessions, self._source, self._to = sessions, source, to
        for outcome in OUTCOMES:  # a series that begins at one is no increase to Prometheus
            metrics.WRITEBACKS.labels(source, outcome)

    def once(self) -> float | None:
        """Write the next reply back; the seconds the helpdesk wants to be left alone (mostly 0).

        None if nothing is due.
        """
        with transaction(self._sessions) as session:
            job = store.take_write_back(session, self._source, lease_s=LEASE_S)
        if job is None:
            return None
        wait_s = 0.0
        try:
            outcome = self._write(job)
        except OutletBusy as error:
            wait_s = error.wait_s
            outcome = self._put_off(job, error, wait_s=wait_s)
        except (OutletGone, OutletRefused) as error:
            outcome = (
                self._end(job, WritebackState.FAILED, reason=str(error))
                if job.is_current
                else self._end(job, WritebackState.SKIPPED, reason=store.NOT_SHOWN)
            )
        except OutletError as error:
            outcome = self._put_off(job, error, wait_s=pause_s(job, error))
        except UNAVAILABLE:
            raise
        except Exception as error:  # an answer nobody expected must not end the source's thread
            log.exception("write_back_failed", source=self._source, ticket_id=job.ticket_id)
            told = OutletError(f"unexpected {type(error).__name__}: see the log")
            outcome = self._put_off(job, told, wait_s=pause_s(job, told))
        metrics.WRITEBACKS.labels(self._source, outcome).inc()
        log.info("written_back", source=self._source, ticket_id=job.ticket_id, outcome=outcome)
        return wait_s

    def until(self, stopped: Callable[[float], bool]) -> None:
        """Write back what is due until `stopped(s)`, which waits, says so."""
        while True:
            try:
                wait_s = self.once()
            except UNAVAILABLE as error:
                log.warning("postgres_unavailable", error=reason(error))
                wait_s = None
            if stopped(LOOK_S if wait_s is None else wait_s):
                return

    def _write(self, job: Job) -> str:
        if not job.is_current and job.attempt == 1:
            return self._end(job, WritebackState.SKIPPED, reason=store.NOT_SHOWN)
        draft = self._draft(job)
        remote = self._to.outlet.look(draft)
        why_not = reason_to_skip(job, remote, public=draft.public)
        # An earlier try has written it: public, it is an answer for the helpdesk, too.
        if remote.ours and (draft.public or why_not):
            return self._end(job, WritebackState.DONE, remote_id=remote.ours)
        if why_not:
            return self._end(job, WritebackState.SKIPPED, reason=why_not)
        remote_id = self._to.outlet.write(draft, remote)
        return self._end(job, WritebackState.DONE, remote_id=remote_id)

    def _draft(self, job: Job) -> Draft:
        return Draft(
            external_id=job.external_id,
            marker=MARKER.format(job.reply_id),
            labels=job.labels if job.overtaken_by is None else job.overtaken_by,
            summary=job.summary,
            reply=job.reply,
            fields=self._to.fields,
            public=self._to.public and job.disposition == Disposition.AUTO and not job.was_sent,
            sent=[signed(reply, MARKER.format(id_)) for id_, reply in job.auto]
            if self._to.public
            else (),
            earlier=job.earlier,
        )

    def _end(
        self, job: Job, state: WritebackState, *, reason: str | None = None, remote_id: str = ""
    ) -> str:
        with transaction(self._sessions) as session:
            store.end_write_back(session, job, state, reason=reason, remote_id=remote_id)
        return state

    def _put_off(self, job: Job, error: OutletError, *, wait_s: float) -> str:
        with transaction(self._sessions) as session:
            store.put_off_write_back(
                session, job, reason=str(error), wait_s=wait_s, most_attempts=MOST_ATTEMPTS
            )
        return "failed" if job.attempt >= MOST_ATTEMPTS else "put off"


def reason_to_skip(job: Job, remote: Remote, *, public: bool) -> str | None:
    if not job.is_current:
        return store.NOT_SHOWN
    if was_answered(job, remote):
        return "a person has answered meanwhile"
    if job.overtaken_by is not None and not public:
        return "a newer message's reply is there already"
    return None


def was_answered(job: Job, remote: Remote) -> bool:
    """Whether a person has answered this message of the customer's, or may have.

    An answer that came before it is none. Where only we know when it came, which may be hours later
    than it was written, one between it and the customer's next message may be its answer.
    """
    if remote.touched or remote.answered_at is None:
        return remote.touched
    if job.written_at is not None:
        return remote.answered_at >= job.written_at
    return not job.is_last or remote.answered_at >= job.came_at


def pause_s(job: Job, error: OutletError) -> float:
    """Longer each time, and at random; after a conflict at once, to look again."""
    if isinstance(error, OutletConflict) and job.attempt <= 3:
        return 0.0
    longest: float = min(FIRST_PAUSE_S * 2 ** (job.attempt - 1), LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)


def run_all(
    sessions: Sessions, destinations: Mapping[str, Destination], stopped: Callable[[float], bool]
) -> bool:
    """Write back for every source, each in its thread, until `stopped` says so.

    False if a thread ended before, by what nobody expected: then all do, to be started again.
    """
    ending = threading.Event()
    threads = [
        threading.Thread(
            target=WriteBack(sessions, source, to).until, args=(ending.wait,), name=source
        )
        for source, to in destinations.items()
    ]
    for thread in threads:
        thread.start()
    while (all_live := all(one.is_alive() for one in threads)) and not stopped(LOOK_S):
        pass
    ending.set()
    for thread in threads:
        thread.join()
    return all_live
