"""A service of the product as a process, with an engine that does what tickets say and, on
request, a point at which it stands still to be killed.

    python -m tests.faults.process worker|gateway|sweep

STOP_AT names the point, STOP_FILE is written when it is reached. A ticket that says POISON kills
the engine, one that says HANG keeps it from answering anybody.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker.cli import compose, desks
from worker.cli.main import main
from worker.dispatch import tasks
from worker.dispatch.publish import Publisher
from worker.engine.contract import Engine, Generation, Identity, Request
from worker.engine.scripted import ScriptedEngine, first_labels
from worker.errors import DeadlineExceeded, EngineCrashed, EngineUnavailable
from worker.settings import Settings
from worker.tickets import store

STOP_AT, STOP_FILE = os.environ.get("STOP_AT"), Path(os.environ.get("STOP_FILE", "/dev/null"))
CLOCK_JUMP_S = float(os.environ.get("CLOCK_JUMP_S", "0"))


class FragileEngine:
    """A scripted engine that tickets can kill or hang, with everything that runs in it."""

    def __init__(self, settings: Settings) -> None:
        script = first_labels(desks.read_taxonomy(settings))
        self._engine = ScriptedEngine(script, latency_s=settings.scripted_latency_s)
        self._latency_s = settings.scripted_latency_s
        self._died, self._hangs = threading.Event(), threading.Event()
        self._is_stopped = False
        self.identity: Identity = self._engine.identity

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        stand_still("generating")
        ticket = request.prompt.ticket
        if "HANG" in ticket:
            self._hangs.set()
        if self._hangs.is_set():
            if self._died.wait(deadline_s):
                raise EngineUnavailable("the engine was stopped")
            raise DeadlineExceeded(f"no answer within {deadline_s:g} s")
        if "POISON" in ticket:
            time.sleep(self._latency_s / 2)
            self._died.set()
        if self._died.wait(self._latency_s):
            if self._is_stopped:
                raise EngineUnavailable("the engine was stopped")
            raise EngineCrashed("the engine died")
        return self._engine.generate(request, deadline_s=deadline_s)

    def is_alive(self) -> bool:
        return not self._died.is_set()

    def stop(self) -> None:
        self._is_stopped = not self._died.is_set()
        self._died.set()
        self._engine.stop()


def stand_still(point: str) -> None:
    """If this is the point at which the process is to be killed, wait for that."""
    if point == STOP_AT:
        STOP_FILE.write_text(json.dumps(os.getpid()))
        time.sleep(3600)


def before(owner: Any, name: str, point: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def stopping(*args: Any, **kwargs: Any) -> Any:
        stand_still(point)
        return original(*args, **kwargs)

    setattr(owner, name, stopping)


def after(owner: Any, name: str, point: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def stopping(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        stand_still(point)
        return result

    setattr(owner, name, stopping)


def fragile(settings: Settings) -> Callable[[], Engine]:
    """In place of the scripted engine the fragile one; a real one stays."""
    if settings.profile == desks.SCRIPTED:
        return lambda: FragileEngine(settings)
    return product_engine_maker(settings)


if __name__ == "__main__":
    after(store, "receive_all", "before the commit")
    before(Publisher, "announce", "between commit and publish")
    before(Publisher, "_note", "between publish and note")
    before(tasks, "wait_for_engine", "before the claim")
    before(tasks, "work_on", "after the claim")
    after(tasks, "work_on", "between generation and record")
    after(tasks, "triage_one", "between record and ack")
    product_engine_maker, compose.engine_maker = compose.engine_maker, fragile
    if CLOCK_JUMP_S:
        real, started = time.time, time.time()
        time.time = lambda: real() + (CLOCK_JUMP_S if real() - started > 8 else 0)
    main()
