"""The pipeline against the bare engine: one engine process, asked by turns.

Two engines differ by several per cent whatever they are asked, as their memory happens to lie. So
here the worker's own engine is asked past the worker, too: as a bare engine is, by turns with
tickets that come over the broker, are claimed, triaged, checked and recorded.
"""

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

from prometheus_client import REGISTRY

from bench.bare import IN_FLIGHT, Prompts, demo_prompts, sampling
from bench.report import row, write_section
from bench.speed import run
from bench.workload import incoming
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
from worker.triage.pipeline import warm_up

TURNS_IN_A_ROUND = 4
TICKETS = 340
"""Their prompts are what both are asked, again and again."""
MORE = 1.2
"""So many times what the bare engine answered waits for the worker: some wait to the end."""
SETTLE_S, MEASURED_S = 3.0, 10.0
WRITTEN = "vllm:generation_tokens_total"
LOOK_S = 0.5


class OpenEngine(VllmEngine):
    """The worker's engine, which can be asked past the worker."""

    def keep_busy(self, prompts: Prompts, parameters: Any) -> Callable[[], int]:
        """Ask for one prompt after the other, IN_FLIGHT at a time.

        Returns what ends that and says how many were answered.
        """
        from vllm import TokensPrompt  # noqa: PLC0415  # after the environment is set

        is_over = threading.Event()

        async def ask(mine: Prompts) -> int:
            for answered, ids in enumerate(cycle(mine)):
                if is_over.is_set():
                    return answered
                prompt = TokensPrompt(prompt_token_ids=list(ids))
                async for _ in self._llm.generate(prompt, parameters, request_id=uuid4().hex):
                    pass
            raise AssertionError("there is nothing to ask")

        asked: list[Future[int]] = [
            self._on_loop(ask(prompts[one::IN_FLIGHT])) for one in range(IN_FLIGHT)
        ]

        def end() -> int:
            is_over.set()
            return sum(one.result() for one in asked)

        return end


class Turns:
    """Measures in a thread beside the worker, which serves in the main one, then stops it."""

    def __init__(self, engine: OpenEngine, sessions: Sessions, publisher: Publisher) -> None:
        self._engine, self._sessions, self._publisher = engine, sessions, publisher
        self._prompts, grammar = demo_prompts(TICKETS)
        self._parameters = sampling(grammar.ebnf, grammar.max_tokens, detokenize=False)
        self._enough = 0.0
        self.bare_tokens_s: list[float] = []
        self.worker_tokens_s: list[float] = []

    def take(self, turns: int, is_ready: Callable[[], bool]) -> None:
        """Each turn of the worker has one of the bare engine before and after it."""
        try:
            while not is_ready():
                time.sleep(LOOK_S)
            self.bare_tokens_s.append(self._bare())
            for _ in range(turns):
                self.worker_tokens_s.append(self._worker())
                self.bare_tokens_s.append(self._bare())
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def _bare(self) -> float:
        end = self._engine.keep_busy(self._prompts, self._parameters)
        found = tokens_s()
        self._enough = MORE * end()
        return found

    def _worker(self) -> float:
        delivered: list[int] = []
        while len(delivered) < self._enough:
            delivered += self._deliver()
        found = tokens_s()
        if self._are_done(delivered):
            raise RuntimeError("the worker had nothing left to do while it was measured")
        while not self._are_done(delivered):
            time.sleep(LOOK_S)
        return found

    def _deliver(self) -> list[int]:
        with transaction(self._sessions) as session:
            arrivals = [store.Arrival(ticket) for ticket in incoming(TICKETS)]
            received = store.receive_all(session, arrivals, Queue.LIVE)
        ids = [one.ticket_id for one in received]
        self._publisher.announce((ticket_id, Queue.LIVE) for ticket_id in ids)
        return ids

    def _are_done(self, ids: list[int]) -> bool:
        with transaction(self._sessions) as session:
            return read.finished(session, ids) == len(ids)


def tokens_s() -> float:
    """What vLLM itself counts, per second, once the batch is full."""
    time.sleep(SETTLE_S)
    before, started = written(), time.perf_counter()
    time.sleep(MEASURED_S)
    return (written() - before) / (time.perf_counter() - started)


def written() -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == WRITTEN
    )


@contextmanager
def servers(data: Path) -> Iterator[Settings]:
    """Settings for a worker with a Postgres and a broker of its own."""
    postgres, redis = EmbeddedPostgres(data / "postgres"), EmbeddedRedis(data)
    try:
        upgrade_at(postgres.url)
        redis.part.start()
        while not redis.part.is_ready():
            time.sleep(LOOK_S)
        yield load_settings(
            profile="demo",
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
    bare, worker = found["bare"], found["worker"]
    around = [(before + after) / 2 for before, after in pairwise(bare)]
    ratios = [mine / theirs for mine, theirs in zip(worker, around, strict=True)]
    write_section(
        "Pipeline",
        text="The demonstration model (profile `demo`). One engine process is asked as a bare "
        "engine is, and by the worker around it (broker, claim, checks, record), by turns of "
        f"{MEASURED_S:g} seconds; each turn of the worker is held against the mean of the bare "
        "ones before and after it. Two processes differ by several per cent whatever they run.",
        rows=[
            row("(a) worker / bare engine, tokens per second", ratios, 3),
            row("worker, tokens/s", worker, 0),
            row("bare engine, tokens/s", bare, 0),
        ],
    )


def take_turns(turns: int) -> dict[str, list[float]]:
    logs.configure("WARNING")
    with (
        tempfile.TemporaryDirectory(prefix="triage-bench-") as path,
        servers(Path(path)) as settings,
        opened(settings.database_url, pool_size=settings.in_flight + AHEAD) as sessions,
    ):
        desk, app = desks.make_desk(settings), make_app(settings)
        engine = OpenEngine(load_profile(settings.profile))
        warm_up(engine, desk)
        supervised = SupervisedEngine(lambda: engine, restarts=0)
        publisher = Publisher(app, sessions)
        run = compose.make_runtime(settings, supervised, sessions, publisher, desk)
        register(app, run)
        measured = Turns(engine, sessions, publisher)
        is_ready = settings.ready_file.exists
        threading.Thread(target=measured.take, args=(turns, is_ready), daemon=True).start()
        try:
            Service(app, run, supervised, compose.make_plan(settings)).serve()
        finally:
            supervised.stop()
    return {"bare": measured.bare_tokens_s, "worker": measured.worker_tokens_s}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS_IN_A_ROUND)
    print("RESULT", json.dumps(take_turns(parser.parse_args().turns)))
