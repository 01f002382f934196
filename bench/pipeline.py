"""The pipeline against the bare engine: one engine process, asked by turns.

Two engines differ by several per cent whatever they are asked, as their memory happens to lie. So
here the worker's own engine is asked past the worker, too: as a bare engine is, by turns with
tickets that come over the broker, are claimed, triaged, checked and recorded.
"""

import argparse
import asyncio
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, pairwise
from math import ceil
from pathlib import Path
from typing import Any
from uuid import uuid4

from prometheus_client import REGISTRY
from sqlalchemy import text

from bench.bare import IN_FLIGHT, Prompts, desk_prompts, sampling
from bench.report import fact, row, write_section
from bench.speed import run
from bench.workload import incoming
from schemas.ticket import IncomingTicket
from worker import logs
from worker.cli import compose, desks
from worker.database import Sessions, opened, transaction
from worker.dispatch.celery_app import make_app
from worker.dispatch.publish import Publisher
from worker.dispatch.serve import AHEAD, Service
from worker.dispatch.tasks import register
from worker.embedded import EmbeddedPostgres, EmbeddedRedis
from worker.engine.profiles import load_profile
from worker.engine.supervised import SupervisedEngine
from worker.engine.vllm_engine import VllmEngine
from worker.migrate import upgrade_at
from worker.settings import Settings, load_settings
from worker.tickets import read, store
from worker.tickets.states import Queue
from worker.triage.desk import Desk
from worker.triage.pipeline import warm_up

TURNS_IN_A_ROUND = 4
PROMPTS = 340
"""Of so many tickets; both are asked them, again and again."""
MORE = 1.2
"""So many times what the bare engine answered waits for the worker: some wait to the end."""
BEGUN_WITHIN_S, SETTLE_S, MEASURED_S = 1.0, 3.0, 10.0
WRITTEN, STEPS = "vllm:generation_tokens_total", "vllm:iteration_tokens_total_count"
LOOK_S = 0.5
BESIDE = text("""
    select
        percentile_cont(array[0.5, 0.95]) within group (
            order by 1000 * extract(epoch from finished_at - started_at) - engine_ms
        )
    from attempts
    where engine_ms is not null
""")
"""Milliseconds of a ticket outside of the engine, median and 95th percentile."""


class OpenEngine(VllmEngine):
    """The worker's engine, which can be asked past the worker."""

    def keep_busy(self, prompts: Prompts, parameters: Any) -> Callable[[], int]:
        """Ask for one prompt after the other, IN_FLIGHT at a time.

        They begin one by one, as tickets come: answers of one length, which random weights write,
        would all end in the same step, and a step with a new prompt costs more.

        Returns what ends that and says how many were answered.
        """
        from vllm import TokensPrompt  # noqa: PLC0415  # after the environment is set

        is_over = threading.Event()

        async def ask(mine: Prompts, begin_s: float) -> int:
            await asyncio.sleep(begin_s)
            for answered, ids in enumerate(cycle(mine)):
                if is_over.is_set():
                    return answered
                prompt = TokensPrompt(prompt_token_ids=list(ids))
                async for _ in self._llm.generate(prompt, parameters, request_id=uuid4().hex):
                    pass
            raise AssertionError("there is nothing to ask")

        asked: list[Future[int]] = [
            self._on_loop(ask(prompts[one::IN_FLIGHT], one * BEGUN_WITHIN_S / IN_FLIGHT))
            for one in range(IN_FLIGHT)
        ]

        def end() -> int:
            is_over.set()
            return sum(one.result() for one in asked)

        return end

    def alone(
        self, measure: Callable[[Any], Coroutine[Any, Any, dict[str, float]]]
    ) -> dict[str, float]:
        """What somebody measures of vLLM itself, on its own event loop."""
        found: dict[str, float] = self._on_loop(measure(self._llm)).result()
        return found


@dataclass(frozen=True, slots=True)
class Speed:
    """What vLLM itself counts: tokens written a second, and a step; that is, sequences in it."""

    tokens_s: float
    tokens_step: float


def measured_speed() -> Speed:
    """Once the batch is full."""
    time.sleep(SETTLE_S)
    started, written, steps = time.perf_counter(), counted(WRITTEN), counted(STEPS)
    time.sleep(MEASURED_S)
    took = time.perf_counter() - started
    tokens = counted(WRITTEN) - written
    return Speed(tokens / took, tokens / (counted(STEPS) - steps))


def counted(name: str) -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == name
    )


class Turns:
    """Measures in a thread beside the worker, which serves in the main one, then stops it."""

    def __init__(
        self, engine: OpenEngine, desk: Desk, sessions: Sessions, publisher: Publisher
    ) -> None:
        self._engine, self._sessions, self._publisher = engine, sessions, publisher
        self._prompts = desk_prompts(engine.profile, desk, PROMPTS)
        self._parameters = sampling(desk.grammar.ebnf, desk.grammar.max_tokens, detokenize=False)
        self._enough = 0
        self._bare_turns: list[Speed] = []
        self._worker_turns: list[Speed] = []

    def take(self, turns: int, is_ready: Callable[[], bool]) -> None:
        """Each turn of the worker has one of the bare engine before and after it.

        The very first one counts for nothing: it reads prompts that all others find in the cache.
        """
        try:
            while not is_ready():
                time.sleep(LOOK_S)
            self._bare()
            self._bare_turns.append(self._bare())
            for _ in range(turns):
                self._worker_turns.append(self._worker())
                self._bare_turns.append(self._bare())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def found(self) -> dict[str, list[float]]:
        with transaction(self._sessions) as session:
            beside_ms = session.execute(BESIDE).scalar_one()
        return {
            "bare": [one.tokens_s for one in self._bare_turns],
            "worker": [one.tokens_s for one in self._worker_turns],
            "worker_step": [one.tokens_step for one in self._worker_turns],
            "bare_step": [one.tokens_step for one in self._bare_turns],
            "beside_ms": beside_ms,
        }

    def _bare(self) -> Speed:
        end = self._engine.keep_busy(self._prompts, self._parameters)
        found = measured_speed()
        self._enough = ceil(MORE * end())
        return found

    def _worker(self) -> Speed:
        """The first tickets come one by one, as the bare engine's requests do."""
        delivered: list[int] = []
        tickets = self._tickets()
        for ticket in tickets[:IN_FLIGHT]:
            delivered += self._deliver([ticket])
            time.sleep(BEGUN_WITHIN_S / IN_FLIGHT)
        delivered += self._deliver(tickets[IN_FLIGHT:])
        found = measured_speed()
        if self._are_done(delivered):
            raise RuntimeError("the worker had nothing left to do while it was measured")
        while not self._are_done(delivered):
            time.sleep(LOOK_S)
        return found

    def _tickets(self) -> list[IncomingTicket]:
        """Enough of them: those of the prompts, again and again."""
        firsts = range(0, self._enough, PROMPTS)
        return [one for first in firsts for one in incoming(min(PROMPTS, self._enough - first))]

    def _deliver(self, tickets: Sequence[IncomingTicket]) -> list[int]:
        with transaction(self._sessions) as session:
            arrivals = [store.Arrival(ticket) for ticket in tickets]
            received = store.receive_all(session, arrivals, Queue.LIVE)
        ids = [one.ticket_id for one in received]
        self._publisher.announce((ticket_id, Queue.LIVE) for ticket_id in ids)
        return ids

    def _are_done(self, ids: list[int]) -> bool:
        with transaction(self._sessions) as session:
            return read.finished(session, ids) == len(ids)


@contextmanager
def servers(data: Path, profile: str) -> Iterator[Settings]:
    """Settings for a worker with a Postgres and a broker of its own; each ticket is asked about
    once, as the bare engine is: what random weights write fails the checks.
    """
    postgres, redis = EmbeddedPostgres(data / "postgres"), EmbeddedRedis(data)
    try:
        upgrade_at(postgres.url)
        redis.part.start()
        while not redis.part.is_ready():
            time.sleep(LOOK_S)
        yield load_settings(
            profile=profile,
            max_repairs=0,
            data_dir=data,
            database_url=postgres.url,
            broker_url=redis.url,
            ready_file=data / "worker.ready",
        )
    finally:
        redis.part.stop()
        redis.clean_up()
        postgres.stop()


def measure(rounds: int) -> None:
    print("the bare engine and the worker around it, by turns", flush=True)
    found = run("bench.pipeline", "--turns", str(rounds * TURNS_IN_A_ROUND))
    write_section(
        "Pipeline",
        text="The demonstration model (profile `demo`). One engine process is asked as a bare "
        "engine is, and by the worker around it (broker, claim, checks, record), by turns of "
        f"{MEASURED_S:g} seconds; each turn of the worker is held against the mean of the bare "
        "ones before and after it. Two processes differ by several per cent whatever they run.",
        rows=[
            row("(a) worker / bare engine, tokens per second", ratios(found), 3),
            row("worker, tokens/s", found["worker"], 0),
            row("bare engine, tokens/s", found["bare"], 0),
            *rows_of_slots(found),
        ],
    )


def rows_of_slots(found: Mapping[str, Sequence[float]]) -> list[str]:
    """How full the batch is, and how soon the worker fills it again."""
    median_ms, p95_ms = found["beside_ms"]
    return [
        row("sequences that write in a step for the worker, of 16", found["worker_step"], 2),
        row("sequences that write in a step for the bare engine", found["bare_step"], 2),
        fact("a ticket outside of the engine, milliseconds", f"{median_ms:.0f}",
             f"95th percentile {p95_ms:.0f}"),
    ]  # fmt: skip


def ratios(found: Mapping[str, Sequence[float]]) -> list[float]:
    """Each turn of the worker by the mean of the bare engine's before and after it."""
    around = [(before + after) / 2 for before, after in pairwise(found["bare"])]
    return [mine / theirs for mine, theirs in zip(found["worker"], around, strict=True)]


@contextmanager
def turns_taken(
    profile: str, turns: int
) -> Iterator[tuple[OpenEngine, Desk, dict[str, list[float]]]]:
    """The engine, which nobody asks any more, the worker's desk, and what the turns gave."""
    logs.configure("WARNING")
    with (
        tempfile.TemporaryDirectory(prefix="triage-bench-") as path,
        servers(Path(path), profile) as settings,
        opened(settings.database_url, pool_size=settings.in_flight + AHEAD) as sessions,
    ):
        desk, app = desks.make_desk(settings), make_app(settings)
        engine = OpenEngine(load_profile(settings.profile))
        warm_up(engine, desk)
        supervised = SupervisedEngine(lambda: engine, restarts=0)
        publisher = Publisher(app, sessions)
        run = compose.make_runtime(settings, supervised, sessions, publisher, desk)
        register(app, run)
        measured = Turns(engine, desk, sessions, publisher)
        is_ready = settings.ready_file.exists
        threading.Thread(target=measured.take, args=(turns, is_ready), daemon=True).start()
        try:
            Service(app, run, supervised, compose.make_plan(settings)).serve()
            yield engine, desk, measured.found()
        finally:
            supervised.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS_IN_A_ROUND)
    with turns_taken("demo", parser.parse_args().turns) as (*_, result):
        print("RESULT", json.dumps(result))
