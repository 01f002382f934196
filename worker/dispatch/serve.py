"""Runs a Celery worker in this process, around an engine that already answers."""

from pathlib import Path

from celery import Celery, signals

from worker import logs

log = logs.get(__name__)


AHEAD = 4
"""Tickets claimed and prepared beyond those that the engine runs: a sequence slot that falls free
is filled at once, while results are still being recorded."""


def leave_logging_alone(**_: object) -> None:
    """While this listens Celery sets up no logging of its own over ours."""


def serve(app: Celery, *, name: str, in_flight: int, queues: list[str], ready_file: Path) -> int:
    """Take tickets until told to stop (SIGTERM, SIGINT); the exit code.

    Threads, because all tickets of a worker share one engine in this process; never prefork.
    `ready_file` exists while the worker takes tickets.
    """

    signals.setup_logging.connect(leave_logging_alone)

    @signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def note_ready(**_: object) -> None:
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        ready_file.write_text(name)
        log.info("worker_ready", worker=name, in_flight=in_flight)

    worker = app.Worker(
        hostname=name,
        pool="threads",
        concurrency=in_flight + AHEAD,
        queues=queues,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
    )
    try:
        worker.start()
    finally:
        ready_file.unlink(missing_ok=True)
    return int(worker.exitcode or 0)
