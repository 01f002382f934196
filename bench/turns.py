"""One engine process, asked by turns as a bare engine is and by the worker around it.

Two engines differ by several per cent whatever they are asked, as their memory happens to lie. So
here the worker's own engine is asked past the worker, too: as a bare engine is, by turns with
tickets that come over the broker, are claimed, triaged, checked and recorded.
"""

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench.bare import IN_FLIGHT, desk_prompts, sampling
from bench.open_engine import BEGUN_WITHIN_S, OpenEngine, Speed, measured_speed
from bench.workload import incoming
from schemas.reply import LABELS
from schemas.ticket import IncomingTicket
from worker import logs
from worker.cli import compose, desks
from worker.database import Sessions, opened, transaction
from worker.dispatch.celery_app import make_app
from worker.dispatch.publish import Publisher
from worker.dispatch.serve import AHEAD, Service
from worker.dispatch.tasks import register
from worker.embedded import EmbeddedPostgres, EmbeddedRedis
from worker.engine.alternatives import ALTERNATIVES
from worker.engine.labels_only import until_labels_end
from worker.engine.profiles import load_profile
from worker.engine.supervised import SupervisedEngine
from worker.migrate import upgrade_at
from worker.queues import Queue
from worker.settings import Settings, load_settings
from worker.tickets import read, store
from worker.triage.desk import Desk
from worker.triage.pipeline import warm_up

PROMPTS = 340
"""Of so many tickets; both are asked them, again and again."""
MORE = 1.2
"""So many times the most that the bare engine answered is there for the worker: some is left."""
LOOK_S = 0.5
TOLD = {
    "logprobs": ALTERNATIVES,
    "flat_logprobs": True,
    "extra_args": until_labels_end(len(LABELS)),
}
"""What the worker asks for beyond the answer, where vLLM tells it."""
BESIDE = text("""
    select
        percentile_cont(array[0.5, 0.95]) within group (
            order by 1000 * extract(epoch from finished_at - started_at) - engine_ms
        )
    from attempts
    where engine_ms is not null
""")
"""Milliseconds of a ticket outside of the engine, median and 95th percentile."""


@contextmanager
def turns_taken(
    profile: str, turns: int, *, told: bool = False
) -> Iterator[tuple[OpenEngine, Desk, dict[str, list[float]]]]:
    """The engine, which nobody asks any more, the worker's desk, and what the turns gave.

    If `told`, the bare engine has turns of its own in which it tells the labels' log-probabilities.
    """
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
        measured = Turns(engine, desk, sessions, publisher, told=told)
        is_ready = settings.ready_file.exists
        threading.Thread(target=measured.take, args=(turns, is_ready), daemon=True).start()
        try:
            Service(app, run, supervised, compose.make_plan(settings)).serve()
            yield engine, desk, measured.found()
        finally:
            supervised.stop()


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


class Turns:
    """Measures in a thread beside the worker, which serves in the main one, then stops it."""

    def __init__(
        self,
        engine: OpenEngine,
        desk: Desk,
        sessions: Sessions,
        publisher: Publisher,
        *,
        told: bool,
    ) -> None:
        self._engine, self._sessions, self._publisher = engine, sessions, publisher
        self._prompts = desk_prompts(engine.profile, desk, PROMPTS)
        asks = partial(sampling, desk.grammar.ebnf, desk.grammar.max_tokens)
        self._bare_asks, self._told_asks = asks(), asks(**TOLD) if told else None
        self._enough = 0
        self._all_taken = False
        self._bare_turns: list[Speed] = []
        self._told_turns: list[Speed] = []
        self._worker_turns: list[Speed] = []

    def take(self, turns: int, is_ready: Callable[[], bool]) -> None:
        """Each turn of the worker has one of the bare engine before and after it.

        The very first one counts for nothing: it reads prompts that all others find in the cache.
        """
        try:
            while not is_ready():
                time.sleep(LOOK_S)
            self._bare(self._bare_asks)
            self._bare_turns.append(self._bare(self._bare_asks))
            for _ in range(turns):
                self._worker_turns.append(self._worker())
                if self._told_asks:
                    self._told_turns.append(self._bare(self._told_asks))
                self._bare_turns.append(self._bare(self._bare_asks))
            self._all_taken = True
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def found(self) -> dict[str, list[float]]:
        if not self._all_taken:
            raise RuntimeError("the measurement was broken off; what is printed above says why")
        with transaction(self._sessions) as session:
            beside_ms = session.execute(BESIDE).scalar_one()
        return {
            "bare": [one.tokens_s for one in self._bare_turns],
            "told": [one.tokens_s for one in self._told_turns],
            "worker": [one.tokens_s for one in self._worker_turns],
            "worker_step": [one.tokens_step for one in self._worker_turns],
            "bare_step": [one.tokens_step for one in self._bare_turns],
            "beside_ms": beside_ms,
        }

    def _bare(self, parameters: Any) -> Speed:
        end = self._engine.keep_busy(self._prompts, parameters)
        found = measured_speed()
        self._enough = max(self._enough, ceil(MORE * end()))
        return found

    def _worker(self) -> Speed:
        """A turn in which there was always something to do; one that ran dry is taken again."""
        while (found := self._worker_with(self._tickets())) is None:
            self._enough = ceil(MORE * self._enough)
        return found

    def _worker_with(self, tickets: Sequence[IncomingTicket]) -> Speed | None:
        """The first tickets come one by one, as the bare engine's requests do."""
        delivered: list[int] = []
        for ticket in tickets[:IN_FLIGHT]:
            delivered += self._deliver([ticket])
            time.sleep(BEGUN_WITHIN_S / IN_FLIGHT)
        delivered += self._deliver(tickets[IN_FLIGHT:])
        found = measured_speed()
        ran_dry = self._are_done(delivered)
        while not self._are_done(delivered):
            time.sleep(LOOK_S)
        return None if ran_dry else found

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
