"""What a replay costs: its speed beside live work's, and what live tickets notice of it."""

import itertools
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from bench.report import fact, row, write_section
from bench.stack import post, send, wait_until_done, warm_stack
from bench.workload import workload
from worker.database import Sessions, transaction
from worker.local import Stack

TICKETS = 200
REPLAYED = 5_000
LIVE_S = 40.0
RATES = (2.0, 8.0)
"""Live tickets per second: the demonstration model does about 16 on two cores."""

REPLAY_SPEED = """
select count(*) / extract(epoch from max(finished_at) - min(started_at))::float
from attempts
where {these}
"""
LATENCIES = """
select extract(epoch from attempts.finished_at - tickets.received_at)::float
from tickets
join attempts on attempts.id = tickets.attempt_id
where tickets.id = any(:ids)
order by 1
"""
OLD_TICKETS = """
with old as (
    insert into tickets (
        source, external_id, content_key, subject, body, queue, state, language, attempts
    )
    values ('generic', :external_id, 'x', :subject, :body, 'triage.live', 'needs_human', 'de', 1)
    returning id
),
tried as (
    insert into attempts (ticket_id, number, worker, outcome, profile)
    select id, 1, 'earlier', 'needs_human', 'demo' from old
    returning id, ticket_id
)
update tickets set attempt_id = tried.id from tried where tickets.id = tried.ticket_id
"""


def measure(rounds: int) -> None:
    with warm_stack() as (running, sessions):
        print("a replay's speed", flush=True)
        live, replayed = speeds(running, sessions, rounds)
        print("live tickets beside a replay", flush=True)
        beside = {rate: live_p95(running, sessions, rate, rounds) for rate in RATES}
    write(live, replayed, beside)


@contextmanager
def replay(running: Stack, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`triage replay run` beside the block, cancelled at its end."""
    environment = {**os.environ, "TRIAGE_DATA_DIR": str(running.data)}
    command = [sys.executable, "-m", "worker.cli.main", "replay"]
    with subprocess.Popen(
        [*command, "run", "--by", "bench", *words],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def speeds(running: Stack, sessions: Sessions, rounds: int) -> tuple[list[float], list[float]]:
    """Tickets per second of live work and of a replay of the same tickets, in turn."""
    live, replayed = [], []
    for number in range(1, rounds + 1):
        ids = send(running, workload(TICKETS), f"speed-{number}")
        wait_until_done(ids, sessions)
        live.append(rate_of(sessions, "replay_id is null and ticket_id = any(:ids)", ids))
        with replay(running, "--ids", str(write_ids(running, ids))) as process:
            if process.wait():
                raise RuntimeError(f"the replay ended with exit code {process.returncode}")
        replayed.append(rate_of(sessions, "replay_id is not null and ticket_id = any(:ids)", ids))
    return live, replayed


def rate_of(sessions: Sessions, these: str, ids: Sequence[int]) -> float:
    with transaction(sessions) as session:
        found = session.execute(text(REPLAY_SPEED.format(these=these)), {"ids": list(ids)})
        return float(found.scalar_one())


def live_p95(
    running: Stack, sessions: Sessions, rate: float, rounds: int
) -> tuple[list[float], list[float]]:
    """The 95th percentile of live tickets' seconds from webhook to record, without a replay of
    5,000 tickets and with one, in turn; the same tickets at the same moments."""
    alone, beside = [], []
    for number in range(1, rounds + 1):
        alone.append(p95(sessions, arrivals(running, rate, f"alone-{rate:g}-{number}")))
        made = make_old(running, sessions, prefix=f"old-{rate:g}-{number}")
        with replay(running, "--ids", str(made)) as process:
            time.sleep(3)
            beside.append(p95(sessions, arrivals(running, rate, f"beside-{rate:g}-{number}")))
            if process.poll() is not None:
                raise RuntimeError("the replay had ended before the live tickets did")
        print(f"  {rate:g}/s: {alone[-1]:.2f} s alone, {beside[-1]:.2f} s beside", flush=True)
        with transaction(sessions) as session:
            session.execute(text("update replays set state = 'cancelled'"))
            session.execute(text("update reruns set state = 'ignored' where state = 'received'"))
    return alone, beside


def arrivals(running: Stack, rate: float, prefix: str) -> list[int]:
    """Send live tickets at random moments, `rate` a second on average; their ids."""
    drawn = random.Random(rate)
    moments = itertools.accumulate(drawn.expovariate(rate) for _ in range(int(rate * LIVE_S)))
    started = time.monotonic()

    def send_at(moment: float, payload: dict[str, str]) -> int:
        time.sleep(max(0.0, started + moment - time.monotonic()))
        return post(running, http, payload)

    payloads = [
        {"id": f"{prefix}-{number}", "subject": one.subject, "body": one.body}
        for number, one in zip(range(int(rate * LIVE_S)), workload(), strict=False)
    ]
    with ThreadPoolExecutor(32) as threads, httpx.Client(timeout=60) as http:
        return list(threads.map(send_at, moments, payloads))


def p95(sessions: Sessions, ids: list[int]) -> float:
    wait_until_done(ids, sessions)
    with transaction(sessions) as session:
        taken: Sequence[float] = session.scalars(text(LATENCIES), {"ids": ids}).all()
    return statistics.quantiles(taken, n=20)[-1]


def make_old(running: Stack, sessions: Sessions, prefix: str) -> Path:
    """5,000 tickets that were triaged before; a file of their ids."""
    tickets = workload(REPLAYED)
    with transaction(sessions) as session:
        session.execute(
            text(OLD_TICKETS),
            [
                {"external_id": f"{prefix}-{number}", "subject": one.subject, "body": one.body}
                for number, one in enumerate(tickets)
            ],
        )
        ids = session.scalars(
            text("select id from tickets where external_id like :these"), {"these": f"{prefix}-%"}
        ).all()
    return write_ids(running, ids)


def write_ids(running: Stack, ids: Sequence[int]) -> Path:
    path = running.data / "ids"
    path.write_text("\n".join(map(str, ids)))
    return path


def write(
    live: list[float],
    replayed: list[float],
    beside: dict[float, tuple[list[float], list[float]]],
) -> None:
    median = statistics.median
    rows = [
        fact("replay / live, tickets per second", f"{median(replayed) / median(live):.2f}",
             "ratio of the medians"),
        row("live, tickets/s", live, 1),
        row("replay, tickets/s", replayed, 1),
    ]  # fmt: skip
    for rate, (alone, with_replay) in beside.items():
        rows += [
            fact(f"live p95 beside a replay / without, at {rate:g} live tickets/s",
                 f"{median(with_replay) / median(alone):.2f}", "ratio of the medians"),
            row(f"live p95 without, seconds, at {rate:g}/s", alone, 2),
            row(f"live p95 beside a replay, seconds, at {rate:g}/s", with_replay, 2),
        ]  # fmt: skip
    write_section(
        "Replay",
        text=f"The demonstration model: the same {TICKETS} tickets live and as a replay, in turn; "
        f"live tickets at random moments for {LIVE_S:g} s, without a replay and beside one of "
        f"{REPLAYED:,} tickets that began 3 s earlier.",
        rows=rows,
    )
