"""Runs a Celery worker in this process: takes tickets while there is an engine, stops in order.

SIGTERM or SIGINT: nothing new is taken, what runs may finish within `drain_s`, the rest is given
back. A second signal gives back at once.
"""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from celery import Celery, signals
from celery.platforms import SecurityWarning
from celery.worker import state as celery_state

from worker import logs
from worker.database import UNAVAILABLE, reason, transaction
from worker.dispatch.pool import LiveFirstPool
from worker.dispatch.runtime import Runtime
from worker.engine.supervised import SupervisedEngine
from worker.processors import let_the_engine_go_first
from worker.queues import PATIENT_QUEUES
from worker.tickets import store

log = logs.get(__name__)

AHEAD = 4
"""Tickets claimed and prepared beyond those that the engine runs: a sequence slot that falls free
is filled at once, while results are still being recorded."""
TEND_S = 0.5
RENEWALS_PER_LEASE = 4
BACKLOG_LOOK_S = 5.0
LAST_CHANCE_S = 8.0
"""After this the process ends, whatever still hangs: the leases and the broker know what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a worker serves: tickets at once, queues, when to stop being patient (seconds)."""

    in_flight: int
    queues: Sequence[str]
    ready_file: Path
    drain_s: float
    pause_bulk_after_s: float


class Service:
    """One worker around one engine. `serve` returns when it has stopped."""

    def __init__(self, app: Celery, run: Runtime, engine: SupervisedEngine, plan: Plan) -> None:
        self._app, self._run, self._engine, self._plan = app, run, engine, plan
        self._worker: Any = None
        self._is_running, self._is_ready = False, False
        self._ended = threading.Event()
        self._live_waits_too_long = False

    def serve(self) -> int:
        """Take tickets until told to stop; the exit code (1 if the engine could not be kept up)."""
        signals.setup_logging.connect(leave_logging_alone)
        warnings.simplefilter("ignore", SecurityWarning)  # of root and pickle; we accept JSON only
        signals.worker_ready.connect(self._note_running, weak=False)
        self._worker = worker_class(self._app)(
            hostname=self._run.worker,
            pool=LiveFirstPool,
            concurrency=self._plan.in_flight + AHEAD,
            queues=self._plan.queues,
            quiet=True,
            without_gossip=True,
            without_mingle=True,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        tending = threading.Thread(target=self._tend, name="tend", daemon=True)
        let_the_engine_go_first()
        tending.start()
        try:
            self._worker.start()
        finally:
            self._ended.set()
            tending.join()
            self._plan.ready_file.unlink(missing_ok=True)
            self._say_gone()
        return int(self._worker.exitcode or 0)

    def _note_running(self, **_: object) -> None:
        self._is_running = True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._run.draining.is_set():
            self._run.giving_up.set()
        else:
            self._stop(exit_code=0)

    def _stop(self, *, exit_code: int) -> None:
        """Have Celery's loop end: nothing is taken any more, what runs is waited for."""
        celery_state.should_stop = exit_code
        self._run.draining.set()
        threading.Thread(target=self._bound_the_drain, name="drain", daemon=True).start()

    def _bound_the_drain(self) -> None:
        """Wait for the tickets that run, but not too long; then give them back and end."""
        log.info("draining", tickets=len(self._run.held.ids()), at_most_s=self._plan.drain_s)
        deadline = time.monotonic() + self._plan.drain_s
        while not self._ended.is_set() and time.monotonic() < deadline:
            if self._run.giving_up.wait(0.1):
                break
        if self._ended.wait(0.1):
            return
        log.warning("giving_back", tickets=len(self._run.held.ids()))
        self._run.giving_up.set()
        threading.Thread(target=self._engine.stop, name="engine-stop", daemon=True).start()
        if not self._ended.wait(LAST_CHANCE_S):
            log.error("ended_by_force", tickets=self._run.held.ids())
            os._exit(1)

    def _tend(self) -> None:
        """Everything that has to be done now and then while tickets are triaged."""
        renew = every(self._run.lease_s / RENEWALS_PER_LEASE, self._renew_leases)
        look = every(BACKLOG_LOOK_S, self._look_at_backlog)
        say_here = every(BACKLOG_LOOK_S, self._say_here)
        while not self._ended.wait(TEND_S):
            try:
                with tolerating_postgres():
                    renew()
                    look()
                    if self._is_ready:
                        say_here()
                self._steer()
                if self._engine.has_failed and not self._run.draining.is_set():
                    self._stop(exit_code=1)
            except Exception:  # without its leases being renewed a worker must not go on
                log.exception("tending_failed")
                self._run.giving_up.set()
                self._stop(exit_code=1)
                return

    def _say_here(self) -> None:
        """Tell other workers and operators of this one while it takes tickets."""
        with transaction(self._run.sessions) as session:
            store.worker_is_here(
                session,
                self._run.worker,
                profile=self._engine.identity.profile,
                queues=self._plan.queues,
                in_flight=self._plan.in_flight,
            )

    def _say_gone(self) -> None:
        with tolerating_postgres(), transaction(self._run.sessions) as session:
            store.worker_is_gone(session, self._run.worker)

    def _renew_leases(self) -> None:
        if claims := self._run.held.claims():
            with transaction(self._run.sessions) as session:
                store.extend(session, claims, lease_s=self._run.lease_s)

    def _look_at_backlog(self) -> None:
        """Bulk work pauses when live tickets wait too long, and goes on when that is halved."""
        with transaction(self._run.sessions) as session:
            waited_s = store.oldest_live_s(session)
        limit_s = self._plan.pause_bulk_after_s
        too_long = waited_s > (limit_s / 2 if self._live_waits_too_long else limit_s)
        if too_long != self._live_waits_too_long:
            self._live_waits_too_long = too_long
            log.warning("bulk_paused" if too_long else "bulk_resumed", oldest_live_s=waited_s)

    def _steer(self) -> None:
        """Consume what should be consumed now, and say so by the ready file."""
        is_alive = self._engine.is_alive()
        self._say_ready(is_ready=self._is_running and is_alive and not self._run.draining.is_set())
        consumer = getattr(self._worker, "consumer", None)
        if self._run.draining.is_set() or not self._is_running or consumer is None:
            return
        for queue in self._plan.queues:
            is_wanted = is_alive and not (self._live_waits_too_long and queue in PATIENT_QUEUES)
            consumers = consumer.task_consumer
            if consumers is None or is_wanted == consumers.consuming_from(queue):
                continue
            consumer.call_soon(
                consumer.add_task_queue if is_wanted else consumer.cancel_task_queue, queue
            )

    def _say_ready(self, *, is_ready: bool) -> None:
        if is_ready == self._is_ready:
            return
        self._is_ready = is_ready
        if is_ready:
            self._plan.ready_file.parent.mkdir(parents=True, exist_ok=True)
            self._plan.ready_file.write_text(self._run.worker)
        else:
            self._plan.ready_file.unlink(missing_ok=True)
        log.info("worker_ready" if is_ready else "worker_not_ready", worker=self._run.worker)


def worker_class(app: Celery) -> Any:
    """Celery's worker without its signal handlers: a second signal would end it unclean."""

    class Worker(app.Worker):  # type: ignore[misc]  # Celery has no types
        def install_platform_tweaks(self, _worker: object) -> None:
            """Ours are installed by `Service.serve`."""

    return Worker


@contextmanager
def tolerating_postgres() -> Iterator[None]:
    """What is not said now is said later, or forgotten in time."""
    try:
        yield
    except UNAVAILABLE as error:
        log.warning("postgres_unavailable", error=reason(error))


def every(interval_s: float, action: Callable[[], None]) -> Callable[[], None]:
    """A function that does `action`, but at most once in `interval_s` seconds."""
    due = 0.0

    def act() -> None:
        nonlocal due
        if time.monotonic() >= due:
            action()
            due = time.monotonic() + interval_s

    return act


def leave_logging_alone(**_: object) -> None:
    """While this listens Celery sets up no logging of its own over ours."""
