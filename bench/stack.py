"""The whole product: webhooks per second, tickets per second, memory."""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import psutil
from sqlalchemy import text

from bench.watch import watching
from bench.workload import TICKETS, workload
from models.demo.tickets import Example
from worker.database import Sessions, opened, transaction
from worker.helpdesk import by_name
from worker.local import Stack
from worker.ports import free_port
from worker.settings import load_settings
from worker.tickets import read

WARM_UP = 16
POSTING_THREADS = 8
WEBHOOKS = 2000
LOOK_S = 2.0

SPEED = """
-- From the first claim to the last record.
select
    count(*) as tickets,
    extract(epoch from max(finished_at) - min(started_at))::float as seconds,
    sum(output_tokens)::float as tokens
from attempts
join tickets on tickets.id = attempts.ticket_id
where tickets.external_id like 'bench-%' and attempts.finish_reason = 'stop'
"""
"""Attempts that the engine answered to the end."""


class Memory:
    """The peak memory of each part of a stack at any `look`, children included, in MB."""

    def __init__(self, stack: Stack) -> None:
        self.peak_mb: dict[str, float] = {}
        self._stack = stack

    def look(self) -> None:
        for name, pid in self._stack.pids().items():
            try:
                root = psutil.Process(pid)
                family = [root, *root.children(recursive=True)]
                used = sum(one.memory_info().rss for one in family) / 1e6
            except psutil.NoSuchProcess:
                continue
            self.peak_mb[name] = max(self.peak_mb.get(name, 0.0), used)


@contextmanager
def warm_stack(profile: str = "demo") -> Iterator[tuple[Stack, Sessions]]:
    """The whole product with data of its own, warm; each ticket is asked about once, as the bare
    engine is: what random weights write fails the checks, and would be asked for again.
    """
    with tempfile.TemporaryDirectory(prefix="triage-bench-", ignore_cleanup_errors=True) as path:
        settings = load_settings(data_dir=path, profile=profile, max_repairs=0)
        stack = Stack(settings, port=free_port(settings.gateway_host))
        try:
            stack.start()
            stack.wait_ready()
            with opened(stack.database_url, pool_size=2) as sessions:
                wait_until_done(send(stack, workload(WARM_UP), "warm"), sessions)
                yield stack, sessions
        finally:
            stack.stop()


def measure(profile: str, tickets: int) -> dict[str, float]:
    with warm_stack(profile) as (stack, sessions):
        memory = Memory(stack)
        with watching(memory.look, every_s=LOOK_S):
            with paused(psutil.Process(stack.pids()["worker"])):
                ids = send(stack, workload(tickets), "bench")
            wait_until_done(ids, sessions)
            webhooks_s = webhook_rate(stack)
        with transaction(sessions) as session:
            speed = session.execute(text(SPEED)).one()
    if speed.tickets != tickets:
        raise RuntimeError(f"only {speed.tickets:,} of {tickets:,} tickets were answered")
    return {
        "tickets_s": speed.tickets / speed.seconds,
        "tokens_s": speed.tokens / speed.seconds,
        "webhooks_s": webhooks_s,
        "worker_mb": memory.peak_mb["worker"],
        "gateway_mb": memory.peak_mb["gateway"],
    }


@contextmanager
def paused(process: psutil.Process) -> Iterator[None]:
    """Keep a process from running, so that what is sent meanwhile is all queued."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def send(stack: Stack, tickets: Sequence[Example], prefix: str) -> list[int]:
    payloads = [
        {"id": f"{prefix}-{number}", "subject": one.subject, "body": one.body}
        for number, one in enumerate(tickets)
    ]
    with ThreadPoolExecutor(POSTING_THREADS) as threads, httpx.Client(timeout=60) as http:
        return list(threads.map(lambda payload: post(stack, http, payload), payloads))


def post(stack: Stack, http: httpx.Client, payload: dict[str, str]) -> int:
    body = json.dumps(payload).encode()
    headers = by_name("generic").sign(
        body, stack.secrets["generic"], delivery_id=uuid4().hex, now=datetime.now(UTC)
    )
    answer = http.post(f"{stack.gateway_url}/webhooks/generic", content=body, headers=headers)
    answer.raise_for_status()
    return int(answer.json()["ticket_id"])


def webhook_rate(stack: Stack) -> float:
    """New tickets accepted per second. They have no words, so the engine is not asked."""
    payloads = [{"id": f"web-{number}", "body": f"{number}"} for number in range(WEBHOOKS)]
    started = time.perf_counter()
    with ThreadPoolExecutor(POSTING_THREADS) as threads, httpx.Client(timeout=60) as http:
        list(threads.map(lambda payload: post(stack, http, payload), payloads))
    return WEBHOOKS / (time.perf_counter() - started)


def wait_until_done(ids: list[int], sessions: Sessions) -> None:
    while True:
        with transaction(sessions) as session:
            if read.finished(session, ids) == len(set(ids)):
                return
        time.sleep(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--tickets", type=int, default=TICKETS)
    given = parser.parse_args()
    print("RESULT", json.dumps(measure(given.profile, given.tickets)))
