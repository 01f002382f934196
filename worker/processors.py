"""Which of a machine's processors an engine that computes on them has to itself.

On a machine of two the engine's thread shared one with whatever was put there, a few per cent of
the time, and found its caches cold after it. So what computes stays off the first processor, and
the rest off the last: of two, each has one. Of many nothing is taken that would be missed.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

EVERYWHERE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The processors that this process may use."""


def let_the_engine_go_first() -> None:
    """Have this thread, on Linux, never interrupt another that runs, and leave the last processor.

    Threads and processes that it starts from now on do the same: the engine's is another's to
    start.
    """
    with contextlib.suppress(AttributeError, OSError):  # another system, or not allowed here
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        keep_to(EVERYWHERE[:-1], 0)


def give_one_to(engine: int) -> None:
    """Have the main thread of an engine's process stay off the first, its others off the last.

    A thread that the main one starts meanwhile is where that is: it is moved, too.
    """
    keep_to(EVERYWHERE[1:], engine)
    for thread in threads(engine):
        if thread != engine:
            keep_to(EVERYWHERE[:-1], thread, from_=(EVERYWHERE, EVERYWHERE[1:]))


def keep_off_the_last(process: int) -> None:
    """Have a process and those that it has started, or will, leave the last one to an engine."""
    with contextlib.suppress(psutil.Error):  # it has ended
        first = psutil.Process(process)
        for one in (first, *first.children(recursive=True)):
            for thread in threads(one.pid):
                keep_to(EVERYWHERE[:-1], thread)


def threads(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # it has ended, or this is another system
        yield from (int(one.name) for one in Path(f"/proc/{process}/task").iterdir())


def keep_to(
    processors: list[int], thread: int, *, from_: Sequence[list[int]] = (EVERYWHERE,)
) -> None:
    """Bind a thread, unless somebody has: vLLM binds those of an engine that computes in many."""
    with contextlib.suppress(OSError):  # it has ended, or is not ours
        if processors and sorted(os.sched_getaffinity(thread)) in from_:
            os.sched_setaffinity(thread, processors)
