"""Which of a machine's processors a worker leaves to its engine."""

import contextlib
import os


def let_the_engine_go_first() -> None:
    """Have this thread, on Linux, never interrupt another that runs, and leave one processor alone.

    Threads and processes that it starts from now on do the same: the engine's is another's to
    start. Where processors are few, the engine was put on one of the worker's, and all its
    sequences waited. It is bound to none itself: it soon is where nobody else is, and so are those
    of several workers.
    """
    with contextlib.suppress(AttributeError, OSError):  # another system, or not allowed here
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        if others := sorted(os.sched_getaffinity(0))[:-1]:
            os.sched_setaffinity(0, others)
