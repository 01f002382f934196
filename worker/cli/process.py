"""What a command is as a process: where it writes, when it ends, how it shows that it lives."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from worker.errors import TriageError


@contextmanager
def output(path: Path) -> Iterator[IO[str]]:
    """A file to write to, `-` for standard output.

    Raises:
        TriageError: it cannot be written.
    """
    if str(path) == "-":
        yield sys.stdout
        return
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise TriageError(f"cannot write {path}: {error.strerror}") from error


def require_writable(path: Path | None) -> None:
    """Before what goes to `path` is worked on for long.

    Raises:
        TriageError: it cannot be written.
    """
    if path and str(path) != "-":
        is_new = not path.exists()
        try:
            path.open("a").close()
        except OSError as error:
            raise TriageError(f"cannot write {path}: {error.strerror}") from error
        if is_new:
            path.unlink()


def stop_on_eof() -> None:
    """Stop this process, as by SIGTERM, when standard input ends: when its supervisor is gone."""

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would abort the interpreter's exit
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="stop-on-eof", daemon=True).start()


def interrupt_on_signals() -> None:
    """Have what else ends a process at once end it as Ctrl-C does, so that what it started ends."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def until_signalled(
    *numbers: signal.Signals,
) -> Callable[[float], bool]:
    """A function that waits so many seconds and says whether such a signal has come.

    Without any named these are SIGTERM and SIGINT.
    """
    stopped = threading.Event()
    for number in numbers or (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped.wait


def shown_alive(
    stopped: Callable[[float], bool], alive_file: Path | None
) -> Callable[[float], bool]:
    """`stopped`, for a loop that asks it in every round: each time, the file is touched; now, too,
    as the first round may be long.
    """
    if alive_file is None:
        return stopped

    def touched(wait_s: float) -> bool:
        alive_file.touch()
        return stopped(wait_s)

    alive_file.parent.mkdir(parents=True, exist_ok=True)
    alive_file.touch()
    return touched
