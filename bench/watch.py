"""Looks at something again and again while a measurement runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def watching(look: Callable[[], None], *, every_s: float) -> Iterator[None]:
    """Call `look` every so many seconds, in a thread that ends with the block."""
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(every_s):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
