"""Looks at something again and again while a measurement runs."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def watching(look: Callable[[], object], *, every_s: float) -> Iterator[None]:
    """Call `look` every so many seconds, in a thread that ends with the block.

    Raises:
        Exception: what a look raised; after it nobody has looked any more.
    """
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(every_s):
            look()

    with ThreadPoolExecutor(1) as threads:
        watched = threads.submit(watch)
        try:
            yield
        finally:
            stopped.set()
        watched.result()
