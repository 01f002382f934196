"""A thread pool for Celery in which live tickets overtake bulk ones that wait already.

Celery's own thread pool runs messages in the order in which they came. A worker holds some ahead
of time from each queue, and a live ticket must not wait behind those.
"""

import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from queue import Empty, PriorityQueue
from typing import Any

from celery.concurrency.base import BasePool, apply_target

from worker import logs
from worker.queues import QUEUES

log = logs.get(__name__)

Job = Callable[[], object]
LAST = len(QUEUES)


class LiveFirstPool(BasePool):  # type: ignore[misc]  # Celery has no types
    """`limit` threads; the queue's place in QUEUES decides who is next, then who came first."""

    body_can_be_buffer = True
    signal_safe = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: PriorityQueue[tuple[int, int, Job | None]] = PriorityQueue()
        self._arrival = count()
        self._threads = [
            threading.Thread(target=self._work, name=f"ticket-{number}", daemon=True)
            for number in range(self.limit)
        ]

    def on_start(self) -> None:
        for thread in self._threads:
            thread.start()

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> None:
        job = partial(apply_target, target, args, kwargs, callback, accept_callback)
        self._waiting.put((rank(args), next(self._arrival), job))

    def flush(self) -> None:
        """Forget what has not begun: its messages go back to the broker with the connection."""
        while True:
            try:
                self._waiting.get_nowait()
            except Empty:
                return

    def on_stop(self) -> None:
        """Begin nothing more and wait for what runs."""
        self.flush()
        for _ in self._threads:
            self._waiting.put((LAST, next(self._arrival), None))
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            _, _, job = self._waiting.get()
            if job is None:
                return
            try:
                job()
            except Exception:  # one message must not cost the pool a thread
                log.exception("task_failed")


def rank(task_args: tuple[Any, ...]) -> int:
    """The place in QUEUES of the queue that a task's message came from."""
    _, _, request, *_ = task_args
    name = request["delivery_info"]["routing_key"]
    return QUEUES.index(name) if name in QUEUES else LAST
