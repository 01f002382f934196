"""The embedded stack: Postgres, a broker, every service under one supervisor; no installation.

Postgres comes from a wheel, the broker is a Redis from a wheel on a Unix socket; whichever of
the two has a URL in the settings is used from there instead. Gateway, worker and sweep are
processes of their own, as in production. A part that dies is started again; one that keeps
dying takes the stack down, cleanly and with its last words.
"""

import json
import os
import sys
import time
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from worker import logs
from worker.embedded import EmbeddedPostgres, EmbeddedRedis
from worker.errors import SetupError
from worker.kept_secrets import ops_password, webhook_secrets
from worker.part import Part
from worker.ports import require_free_port
from worker.settings import Settings

log = logs.get(__name__)

RESTARTS = 3
HEALTHY_S = 300.0
"""A part that has lived so long has earned the full number of restarts again."""
ONE_BY_ONE = "TRIAGE_HELPDESKS__"
"""Settings that would win over the helpdesks that the parts are given as a whole."""
POLL_S = 0.1
START_S = 1800.0
"""A first start on a card downloads gigabytes and compiles; a part that ends is noticed at once."""


class Stack:
    """A running product. `start`, `wait_ready`, then `watch` now and then; `stop` in any case."""

    def __init__(self, settings: Settings, *, port: int) -> None:
        self.data = settings.data_dir.resolve()
        self.gateway_url = f"http://{settings.gateway_host}:{port}"
        self._settings, self._port = settings, port
        self._parts: list[Part] = []
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None
        self._lock = FileLock(self.data / "lock")
        self._addresses = addresses_file(self.data)
        self.database_url = settings.database_url
        self.secrets: dict[str, str] = {}
        self.ops_password = ""

    def start(self) -> None:
        """Start everything; `wait_ready` waits until it can be used.

        Raises:
            SetupError: another stack uses the same data, the port is taken, or a part fails.
        """
        from worker.migrate import upgrade_at  # noqa: PLC0415  # Alembic is slow to import

        self.data.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise SetupError(
                f"another stack is running on {self.data}: stop it, or set TRIAGE_DATA_DIR"
            ) from error
        require_free_port(self._settings.gateway_host, self._port)
        self.secrets = webhook_secrets(self._settings, self.data)
        self.ops_password = ops_password(self._settings, self.data)
        if not self.database_url:
            self._postgres = EmbeddedPostgres(self.data / "postgres")
            self.database_url = self._postgres.url
        upgrade_at(self.database_url)
        broker_url = self._settings.broker_url
        if not broker_url:
            self._redis = EmbeddedRedis(self.data)
            self._start(self._redis.part)
            self.wait_ready("redis")
            broker_url = self._redis.url
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
            *([("writeback run", lambda: True)] if self._writes_back else []),
        ):
            part = name.split()[0]
            log_file = self.data / "logs" / f"{part}.log"
            self._start(Part(part, triage_command(name), environment, log_file, is_ready))

    def wait_ready(self, *parts: str) -> None:
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
                time.sleep(POLL_S)

    def watch(self) -> None:
        """Start dead parts again.

        Raises:
            SetupError: a part has died too often; its last lines follow.
        """
        if self._postgres and self._postgres.has_ended:
            log.error("part_died", part="postgres")
            self._postgres.start_again()
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
        """Stop everything in order: first the way in, last the database. A Ctrl-C cuts it short.

        What another stack runs on the same data is left alone.
        """
        if not self._lock.is_locked:
            return
        try:
            for part in sorted(self._parts, key=lambda part: STOP_ORDER.index(part.name)):
                part.stop()
        finally:
            for part in self._parts:
                part.end()
            if self._postgres:
                self._postgres.stop()
            if self._redis:
                self._redis.clean_up()
            self._addresses.unlink(missing_ok=True)
            self._lock.release()

    def pids(self) -> dict[str, int]:
        """The process id of each part that runs, by the part's name."""
        pids = {part.name: part.process.pid for part in self._parts if part.process}
        if self._postgres:
            pids["postgres"] = self._postgres.pid
        return pids

    def _start(self, part: Part) -> None:
        self._parts.append(part)
        part.start()

    def _environment(self, broker_url: str) -> dict[str, str]:
        return {
            **{
                name: value for name, value in os.environ.items() if not name.startswith(ONE_BY_ONE)
            },
            "PYTHONUNBUFFERED": "1",
            "TRIAGE_DATABASE_URL": self.database_url,
            "TRIAGE_BROKER_URL": broker_url,
            "TRIAGE_DATA_DIR": str(self.data),
            "TRIAGE_PROFILE": self._settings.profile,
            "TRIAGE_MAX_REPAIRS": str(self._settings.max_repairs),
            "TRIAGE_GATEWAY_HOST": self._settings.gateway_host,
            "TRIAGE_GATEWAY_PORT": str(self._port),
            "TRIAGE_OPS_PASSWORD": self.ops_password,
            "TRIAGE_METRICS_PORT": str(self._settings.metrics_port),
            "TRIAGE_WRITEBACK_METRICS_PORT": str(self._settings.writeback_metrics_port),
            "TRIAGE_HELPDESKS": json.dumps(
                {
                    name: {**how.model_dump(mode="json"), "token": how.token.get_secret_value()}
                    for name, how in self._settings.helpdesks.items()
                }
            ),
            **{
                f"TRIAGE_WEBHOOK_SECRETS__{name.upper()}": secret
                for name, secret in self.secrets.items()
            },
        }

    @property
    def _writes_back(self) -> bool:
        return any(how.write_back for how in self._settings.helpdesks.values())

    def _gateway_is_ready(self) -> bool:
        address = f"{self.gateway_url}/readyz"
        try:
            return httpx.get(address, timeout=2, trust_env=False).status_code == 200  # no proxy
        except httpx.HTTPError:
            return False


def addresses_file(data: Path) -> Path:
    return data / "run" / "stack.json"


def with_running_stack(settings: Settings) -> Settings:
    """Settings with the URLs of the stack that runs on this data directory, if one does.

    What the settings name themselves stays.
    """
    try:
        found: dict[str, str] = json.loads(addresses_file(settings.data_dir).read_text())
    except (OSError, ValueError):
        return settings
    missing = {name: url for name, url in found.items() if not getattr(settings, name)}
    return settings.model_copy(update=missing)


STOP_ORDER = ("gateway", "sweep", "worker", "writeback", "redis")


def triage_command(name: str) -> list[str]:
    return [sys.executable, "-m", "worker.cli.main", *name.split(), "--stop-on-eof"]
