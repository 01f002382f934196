"""A fleet of real processes against given servers, and the audit that every scenario ends with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
from sqlalchemy import text

from worker.database import Sessions, opened, transaction
from worker.helpdesk import by_name
from worker.ports import free_port

SECRET = "a secret"
PATIENCE_S = 90.0
GERMAN = "Meine Bestellung ist seit zwei Wochen nicht angekommen, bitte helfen Sie mir."

AUDIT = """
-- What must hold when everything has come to rest: a line for each ticket that breaks the promise.
select tickets.id, tickets.state, tickets.attempts, 'not at an end' as breach
from tickets
where state not in ('replied', 'needs_human')
union all
select tickets.id, tickets.state, tickets.attempts, 'a lease is left'
from tickets
where claimed_by is not null or claimed_until is not null
union all
select tickets.id, tickets.state, tickets.attempts, 'an attempt is missing or open'
from tickets
left join attempts on attempts.ticket_id = tickets.id and attempts.replay_id is null
group by tickets.id
having count(attempts.id) <> tickets.attempts
    or count(*) filter (where attempts.outcome = 'running') > 0
union all
select tickets.id, tickets.state, tickets.attempts, 'answered twice, or not by its own attempt'
from tickets
left join attempts
    on attempts.ticket_id = tickets.id
    and attempts.replay_id is null
    and attempts.outcome in ('replied', 'needs_human')
left join (
    select replies.* from replies join attempts on attempts.id = attempt_id
    where attempts.replay_id is null
) as replies
    on replies.ticket_id = tickets.id
group by tickets.id
having count(distinct attempts.id) > 1
    or count(distinct replies.id) > 1
    or (tickets.state = 'replied' and count(distinct attempts.id) <> 1)
    or count(*) filter (where replies.attempt_id <> attempts.id) > 0
"""


class Process:
    """One service. `stop_file` exists once it stands at the point where it is to be killed."""

    def __init__(self, name: str, environment: dict[str, str], folder: Path) -> None:
        self.name, self.folder = name, folder
        folder.mkdir(parents=True)
        self.ready_file, self.stop_file = folder / "ready", folder / "stopped"
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.process", name],
                env={
                    **environment,
                    "TRIAGE_READY_FILE": str(self.ready_file),
                    "STOP_FILE": str(self.stop_file),
                },
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=Path(__file__).parent.parent.parent,
            )
        self.pid = self._process.pid

    def wait_ready(self) -> None:
        if self.name == "worker":
            wait_for(self.ready_file.exists, f"a worker to be ready; see {self.log}")

    def wait_stopped(self) -> None:
        wait_for(self.stop_file.exists, f"{self.name} to reach its point; see {self.log}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as the kernel would: no goodbye."""
        self._process.kill()
        self._process.wait()

    @property
    def engine(self) -> psutil.Process:
        """The process of a worker's vLLM engine."""
        family = psutil.Process(self.pid).children(recursive=True)
        [engine] = [one for one in family if "EngineCore" in f"{one.name()} {one.cmdline()}"]
        return engine

    def wait(self, timeout_s: float = 60) -> int:
        return self._process.wait(timeout_s)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def said(self, event: str) -> bool:
        return f'"event": "{event}"' in self.log.read_text()


class Fleet:
    """Services on the same servers. Settings by name, such as `lease_s=3`."""

    def __init__(
        self, folder: Path, database_url: str, broker_url: str, **settings: object
    ) -> None:
        self.database_url, self.broker_url = database_url, broker_url
        self._folder, self._count = folder, 0
        self._settings = settings
        self.port = free_port("127.0.0.1")
        self.processes: list[Process] = []
        self.accepted: list[int] = []
        self._http = httpx.Client(timeout=15)

    def start(
        self, name: str, *, stop_at: str = "", clock_jump_s: float = 0, **settings: object
    ) -> Process:
        """Start a service; see `tests.faults.process` for the first two."""
        self._count += 1
        environment = self._environment({**self._settings, **settings})
        environment |= {"STOP_AT": stop_at, "CLOCK_JUMP_S": str(clock_jump_s)}
        process = Process(name, environment, self._folder / f"{self._count}-{name}")
        self.processes.append(process)
        return process

    def start_all(self, workers: int = 1) -> list[Process]:
        """Gateway, sweep and workers, all ready; the workers."""
        self.start("gateway")
        self.start("sweep")
        started = [self.start("worker") for _ in range(workers)]
        self.wait_for_gateway()
        for worker in started:
            worker.wait_ready()
        return started

    def wait_for_gateway(self) -> None:
        wait_for(self.gateway_is_ready, "the gateway to be ready")

    def gateway_is_ready(self) -> bool:
        try:
            return self._http.get(f"{self.url}/readyz").is_success
        except httpx.HTTPError:
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def triage(self, *words: object) -> subprocess.Popen[bytes]:
        """Run a command of `triage`."""
        with (self._folder / "cli.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "worker.cli.main", *map(str, words)],
                env=self._environment(self._settings), stdout=log, stderr=log,
            )  # fmt: skip

    def post(self, external_id: str, body: str = GERMAN, *, delivery_id: str = "") -> int:
        """Send a ticket once; the HTTP status, 0 if there was no answer."""
        content = json.dumps({"id": external_id, "subject": "Bestellung", "body": body}).encode()
        headers = by_name("generic").sign(
            content, SECRET, delivery_id=delivery_id or uuid4().hex, now=datetime.now(UTC)
        )
        try:
            answer = self._http.post(
                f"{self.url}/webhooks/generic", content=content, headers=headers
            )
        except httpx.HTTPError:
            return 0
        if answer.is_success:
            self.accepted.append(int(answer.json()["ticket_id"]))
        return answer.status_code

    def post_until_accepted(self, external_id: str, body: str = GERMAN) -> None:
        """Send a ticket as a helpdesk does: again, as the same delivery, until it is taken."""
        delivery_id = uuid4().hex
        wait_for(
            lambda: self.post(external_id, body, delivery_id=delivery_id) in {200, 202},
            f"ticket {external_id} to be accepted",
        )

    def audit(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until every accepted ticket is at its end; then the promise must hold."""
        with opened(self.database_url, pool_size=1) as sessions:
            wait_for(
                lambda: not self.unfinished(sessions), lambda: self._report(sessions), patience_s
            )
            with transaction(sessions) as session:
                breaches = session.execute(text(AUDIT)).all()
                kept = set(session.scalars(text("select id from tickets")))
        assert breaches == []
        assert set(self.accepted) <= kept

    def unfinished(self, sessions: Sessions) -> int:
        with transaction(sessions) as session:
            return int(
                session.execute(
                    text("select count(*) from tickets where state in ('received', 'triaging')")
                ).scalar_one()
            )

    def rows(self, sql: str) -> Sequence[Any]:
        with opened(self.database_url, pool_size=1) as sessions, transaction(sessions) as session:
            return session.execute(text(sql)).all()

    def execute(self, sql: str) -> None:
        with opened(self.database_url, pool_size=1) as sessions, transaction(sessions) as session:
            session.execute(text(sql))

    def stop(self) -> None:
        for process in self.processes:
            if process.is_running:
                process.kill()
        self._http.close()

    def _report(self, sessions: Sessions) -> str:
        with transaction(sessions) as session:
            rows = session.execute(text(
                "select id, state, reason, attempts, failures, crashes, announced_at, not_before, "
                "claimed_by, claimed_until from tickets "
                "where state in ('received', 'triaging') limit 5"
            )).all()  # fmt: skip
        return f"every ticket to be done; still open: {rows}; logs in {self._folder}"

    def _environment(self, settings: dict[str, object]) -> dict[str, str]:
        given = {
            "profile": "scripted",
            "database_url": self.database_url,
            "broker_url": self.broker_url,
            "gateway_port": self.port,
            "webhook_secrets__generic": SECRET,
            "lease_s": 3,
            "sweep_interval_s": 0.5,
            "backoff_base_s": 0.5,
            "backoff_cap_s": 2,
            **settings,
        }
        ours = {f"TRIAGE_{name.upper()}": str(value) for name, value in given.items()}
        others = {name: value for name, value in os.environ.items() if "TRIAGE_" not in name}
        return {**others, **ours}


@contextmanager
def running(fleet: Fleet) -> Iterator[Fleet]:
    try:
        yield fleet
    finally:
        fleet.stop()


def wait_for(
    condition: Callable[[], object], what: str | Callable[[], str], patience_s: float = PATIENCE_S
) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {patience_s:g} s for {what if isinstance(what, str) else what()}"
            )
        time.sleep(0.1)
