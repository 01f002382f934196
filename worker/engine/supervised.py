"""An engine that is started again when it dies or hangs: bounded tries, with back-off.

Decides nothing about tickets: what was running fails, and its caller knows what to do.
"""

import threading
import time
from collections.abc import Callable

from worker import logs, metrics
from worker.engine.contract import PROBE, Engine, Generation, Identity, Request
from worker.errors import (
    DeadlineExceeded,
    EngineCrashed,
    EngineUnavailable,
    TriageError,
)

log = logs.get(__name__)

LOOK_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
HEALTHY_S = 300.0
"""An engine that has lived so long has earned the full number of restarts again."""
PROBE_S = 10.0
STOP_S = 5.0
"""So long stopping waits for an engine that is just being started, which may take minutes."""


class SupervisedEngine:
    """Keeps one engine running. `has_failed` once it is not started again any more."""

    def __init__(
        self,
        start: Callable[[], Engine],
        *,
        restarts: int | None,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """Start the engine, and from then on watch it. `restarts`: in a row; None: without end.

        Raises:
            EngineUnavailable: the first start failed.
        """
        self._start, self._restarts, self._first_pause_s = start, restarts, first_pause_s
        self._engine = start()
        self.identity: Identity = self._engine.identity
        self.has_failed = False
        self._last_answer = time.monotonic()
        self._condemned: Engine | None = None
        self._probing = threading.Lock()
        self._is_up, self._is_stopping = threading.Event(), threading.Event()
        self._is_up.set()
        self._watcher = threading.Thread(target=self._watch, name="engine-watch", daemon=True)
        self._watcher.start()
        metrics.ENGINE_UP.set_function(self.is_alive)

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        engine, started = self._engine, time.monotonic()
        if not self.is_alive():
            raise EngineUnavailable("the engine is down")
        try:
            with metrics.ENGINE_RUNNING.track_inprogress():
                generation = engine.generate(request, deadline_s=deadline_s)
        except EngineUnavailable as error:
            if engine is self._condemned:
                raise EngineCrashed("the engine died or hung") from error
            raise
        except DeadlineExceeded as error:
            if self._hangs(engine, since=started):
                raise EngineCrashed(f"the engine hung: {error}") from error
            raise
        self._last_answer = time.monotonic()
        return generation

    def count(self, text: str) -> int:
        return self._engine.count(text)

    def is_alive(self) -> bool:
        engine = self._engine
        return self._is_up.is_set() and engine is not self._condemned and engine.is_alive()

    def stop(self) -> None:
        self._is_stopping.set()
        self._is_up.clear()
        self._engine.stop()
        self._watcher.join(STOP_S)

    def _hangs(self, engine: Engine, *, since: float) -> bool:
        """Whether an engine that has written nothing since then does not answer at all."""
        with self._probing:
            if engine is self._condemned:
                return True
            if self._last_answer >= since:
                return False
            try:
                engine.generate(PROBE, deadline_s=PROBE_S)
            except TriageError as error:
                if self._is_stopping.is_set():
                    raise EngineUnavailable("the engine was stopped") from error
                log.error("engine_hangs", reason=str(error))  # noqa: TRY400  # no bug of ours
                self._condemned = engine
                return True
            self._last_answer = time.monotonic()
            return False

    def _watch(self) -> None:
        restarts, started = 0, time.monotonic()
        while not self._is_stopping.wait(LOOK_S):
            if self.is_alive():
                continue
            if self._is_stopping.is_set():
                return
            self._condemned = self._engine
            self._is_up.clear()
            if time.monotonic() - started > HEALTHY_S:
                restarts = 0
            log.error("engine_down", restarts=restarts)
            self._end(self._engine)
            restarts = self._start_again(restarts)
            started = time.monotonic()
            if self.has_failed:
                return

    def _end(self, engine: Engine) -> None:
        try:
            engine.stop()
        except Exception:  # a broken one may not even stop; the next start tells whether it matters
            log.exception("engine_stop_failed")

    def _start_again(self, restarts: int) -> int:
        """Start the engine once more, or a few times; how many restarts that makes so far."""
        while self._restarts is None or restarts < self._restarts:
            pause_s = min(self._first_pause_s * 2 ** min(restarts, 10), LONGEST_PAUSE_S)
            if self._is_stopping.wait(pause_s):
                return restarts
            restarts += 1
            metrics.ENGINE_RESTARTS.inc()
            try:
                self._engine = self._start()
                self.identity = self._engine.identity  # a server may be another version now
            except TriageError as error:
                log.warning("engine_start_failed", restarts=restarts, reason=str(error))
                continue
            except Exception:  # whatever it is, the worker serves or ends
                log.exception("engine_start_failed", restarts=restarts)
                continue
            if self._is_stopping.is_set():
                self._engine.stop()
            else:
                self._is_up.set()
                log.info("engine_up_again", restarts=restarts)
            return restarts
        self.has_failed = True
        log.error("engine_given_up", restarts=restarts)
        return restarts
