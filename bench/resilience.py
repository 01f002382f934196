"""What deaths cost: time until killed work runs elsewhere, until an engine is back, to drain.

Uses the fault suite's fleet, with the product's own default settings.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench.report import fact, row, write_section
from tests.faults.fleet import Fleet, wait_for
from tests.faults.private import PrivatePostgres, PrivateRedis
from worker import migrate

Rows = list[str]

DEFAULTS = {"lease_s": 10, "sweep_interval_s": 5, "backoff_base_s": 5, "backoff_cap_s": 600}
MEMORY_FIRST, MEMORY_LAST = 1_000, 20_000
BACKLOG = 100_000
WEBHOOKS = 600
SENDERS = 8

RESTARTED = """
-- Seconds from the kill to the next attempt on each ticket that the killed worker had.
select extract(epoch from again.started_at - to_timestamp({killed_at}))::float as seconds
from attempts as lost
join attempts as again
    on again.ticket_id = lost.ticket_id and again.number = lost.number + 1
where lost.outcome = 'lost'
"""
INSERT = """
insert into tickets (source, external_id, content_key, subject, body, queue, state)
select
    'import', '{prefix}' || number, 'x', '',
    'Meine Bestellung ist nicht angekommen, bitte helfen Sie mir.', 'triage.bulk', 'received'
from generate_series(1, {count}) as number
"""


def measure(rounds: int) -> None:
    write_section(
        "Resilience",
        text="Default settings (leases of 10 s, a sweep each 5 s) on Redis and Postgres of the "
        "measurement's own; the scripted engine, but for the lines that name vLLM.",
        rows=[
            *storm(),
            *told("a killed worker", lambda: killed_worker(rounds)),
            *told("a killed engine, draining", lambda: vllm_faults(rounds)),
            *told("memory", memory),
            *told("a backlog", lambda: backlog(rounds)),
        ],
    )


def told(what: str, measurement: Callable[[], Rows]) -> Rows:
    print(f"measuring: {what}", flush=True)
    return measurement()


@contextmanager
def fleet(**settings: object) -> Iterator[Fleet]:
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        postgres, redis = PrivatePostgres(path / "postgres"), PrivateRedis(path / "redis")
        stack.callback(postgres.close)
        stack.callback(redis.close)
        migrate.upgrade_at(postgres.url)
        made = Fleet(path / "fleet", postgres.url, redis.url, **(DEFAULTS | settings))
        stack.callback(made.stop)
        yield made


def storm() -> Rows:
    """The fault suite's storm, as it reports itself."""
    output = told_output([sys.executable, "-m", "pytest", "-o", "addopts=", "-q",
                          "tests/faults/test_storm.py"])  # fmt: skip
    [line] = [line for line in output.splitlines() if line.startswith("RESULT ")]
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    ended = ", ".join(f"{name} {count}×" for name, count in sorted(found["ended"].items()))
    return [
        fact("storm: tickets lost", found["lost"],
             f"{found['tickets']} tickets in {found['seconds']:g} s, seed {found['seed']}"),
        fact("storm: tickets doubled", found["doubled"], f"killed: {ended}"),
        fact("storm: tickets replied to", found["replied"],
             f"{found['hit']} were hit, {found['attempts']} attempts; the rest has a person"),
    ]  # fmt: skip


def told_output(command: list[str]) -> str:
    print("measuring: the storm", flush=True)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def killed_worker(rounds: int) -> Rows:
    """Seconds from kill -9 of one of two workers until each of its tickets is in work again."""
    seconds: list[float] = []
    for _ in range(rounds):
        with fleet(scripted_latency_s=3) as running:
            victim, _ = running.start_all(workers=2)
            for number in range(60):
                running.post_until_accepted(str(number))
            killed_at = time.time()
            victim.kill()
            running.audit()
            seconds += [one.seconds for one in running.rows(RESTARTED.format(killed_at=killed_at))]
    middle = sorted(seconds)[len(seconds) // 2]
    return [
        fact("kill -9 of a worker: seconds until its tickets run elsewhere", f"{middle:.1f}",
             f"at most {max(seconds):.1f}; {len(seconds)} tickets in {rounds} rounds"),
    ]  # fmt: skip


def vllm_faults(rounds: int) -> Rows:
    """A real engine under load: killed and back, then the worker told to stop."""
    seconds = [vllm_killed_and_drained() for _ in range(rounds)]
    return [
        row("vLLM killed: seconds until the worker is ready again", [s[0] for s in seconds], 1),
        row(
            "vLLM just restarted, 20 tickets in work: seconds from SIGTERM to the end",
            [s[1] for s in seconds],
            1,
        ),
    ]


def vllm_killed_and_drained() -> tuple[float, float]:
    with fleet(profile="demo") as running:
        [worker] = running.start_all()
        with ThreadPoolExecutor(SENDERS) as threads:
            list(threads.map(lambda n: running.post_until_accepted(str(n)), range(300)))
        wait_for(lambda: busy(running), "the engine to be busy")
        worker.engine.kill()
        started = time.monotonic()
        wait_for(lambda: not worker.ready_file.exists(), "the worker to be unready")
        wait_for(worker.ready_file.exists, "the worker to be ready again")
        back_s = time.monotonic() - started
        wait_for(lambda: busy(running), "the engine to be busy")
        worker.send(signal.SIGTERM)
        started = time.monotonic()
        worker.wait()
        return back_s, time.monotonic() - started


def busy(running: Fleet) -> bool:
    return len(running.rows("select from tickets where state = 'triaging'")) >= 16


def memory() -> Rows:
    """A worker's memory after many tickets, against after few; in MB."""
    with fleet() as running:
        running.start("sweep", sweep_interval_s=0.5)
        worker = running.start("worker")
        worker.wait_ready()
        used = []
        for count, prefix in ((MEMORY_FIRST, "first-"), (MEMORY_LAST - MEMORY_FIRST, "more-")):
            running.execute(INSERT.format(prefix=prefix, count=count))
            running.audit(patience_s=1800)
            used.append(psutil.Process(worker.pid).memory_info().rss / 1e6)
    return [
        fact(f"a worker's memory after {MEMORY_LAST:,} tickets / after {MEMORY_FIRST:,}",
             f"{used[1] / used[0]:.3f}", f"{used[1]:.0f} MB / {used[0]:.0f} MB"),
    ]  # fmt: skip


def backlog(rounds: int) -> Rows:
    """Webhooks accepted per second while many tickets wait, against while none does."""
    ratios, details = [], []
    for _ in range(rounds):
        with fleet() as running:
            running.start("gateway")
            running.wait_for_gateway()
            webhooks_s(running, "warm")
            empty = webhooks_s(running, "empty")
            running.execute(INSERT.format(prefix="backlog-", count=BACKLOG))
            running.execute("analyze tickets")
            full = webhooks_s(running, "full")
            ratios.append(full / empty)
            details.append(f"{full:.0f}/s against {empty:.0f}/s")
    print("; ".join(details), flush=True)
    return [row(f"webhooks/s with a backlog of {BACKLOG:,} / with none", ratios, 3)]


def webhooks_s(running: Fleet, prefix: str) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as threads:
        statuses = list(threads.map(lambda n: running.post(f"{prefix}-{n}"), range(WEBHOOKS)))
    assert set(statuses) == {202}
    return WEBHOOKS / (time.perf_counter() - started)
