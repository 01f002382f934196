"""Fifty agents at work: each sends a ticket in, waits for its answer, thinks, sends the next.

Beside it stands what the simulation says of the same agents, fed with the engine's own speeds.
"""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from typing import Any

import httpx
from sqlalchemy import Row, text

from bench.models import PRODUCTION, changed_profile
from bench.report import fact, write_section
from bench.simulation import Engine, Simulated, simulate
from bench.speed import run
from bench.stack import post, warm_stack
from bench.watch import watching
from bench.workload import workload
from worker import charts
from worker.database import Sessions, transaction
from worker.engine.profiles import load_profile
from worker.local import Stack

AGENTS = 50
SECONDS = 600.0
THINK_S = 4.0
"""The mean time between an answer and the agent's next ticket; exponentially distributed."""
TICKETS = int(AGENTS * SECONDS / THINK_S * 1.2)
"""More than the agents can send: nobody sends one that the cache has seen."""
LIVE_S = 60.0
PRODUCTION_PROMPT = load_profile(PRODUCTION).prompt_version
LOOK_S = 0.1
PATIENCE_S = 60.0
PERCENTS = (50, 90, 95, 99)

DONE = "select id from tickets where id = any(:ids) and state in ('replied', 'needs_human')"
WAITED = """
select
    extract(epoch from attempts.finished_at - tickets.received_at)::float as seconds,
    attempts.output_tokens,
    attempts.prompt_tokens,
    attempts.cached_tokens
from attempts
join tickets on tickets.id = attempts.ticket_id
where tickets.external_id like 'agent-%' and attempts.output_tokens > 0
"""


class Answers:
    """Tells each agent when its ticket is done, at the next `look`; one query for all of them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions, self._lock = sessions, threading.Lock()
        self._waiting: dict[int, threading.Event] = {}

    def wait(self, ticket_id: int) -> None:
        with self._lock:
            event = self._waiting.setdefault(ticket_id, threading.Event())
        if not event.wait(PATIENCE_S):
            raise TimeoutError(f"no answer to ticket {ticket_id} within {PATIENCE_S:g} s")

    def look(self) -> None:
        with self._lock:
            ids = list(self._waiting)
        with transaction(self._sessions) as session:
            done = session.execute(text(DONE), {"ids": ids}).scalars().all()
        with self._lock:
            for ticket_id in done:
                self._waiting.pop(ticket_id).set()


def measure(_rounds: int) -> None:
    rates = {int(name): rate for name, rate in run("bench.engine", "rates").items()}
    answered = measured("demo", SECONDS)
    as_in_production = changed_profile("demo", prompt_version=PRODUCTION_PROMPT)
    live = measured(str(as_in_production), LIVE_S)
    predicted = predict(Engine(rates), [one.output_tokens for one in answered])
    seconds = [one.seconds for one in answered]
    waited = {percent: quantiles(seconds, n=100)[percent - 1] for percent in PERCENTS}
    simulated = {percent: predicted.percentile(percent / 100) for percent in PERCENTS}
    write_section(
        "Agents",
        text=f"(f) {AGENTS} agents for {SECONDS / 60:g} minutes on the whole stack with the "
        "demonstration model: each sends a ticket, waits for its answer and thinks for "
        f"{THINK_S:g} s on average. Seconds from the webhook's row to the record; in the "
        "simulation, which knows the engine's tokens a second at 1, 4, 8 and 16 sequences and the "
        "answers' lengths, from arrival to answer. Each ticket is a new one; for the prefix cache "
        f"they come for {LIVE_S:g} s more with the production prompt ({PRODUCTION_PROMPT}), as the "
        "demonstration's own is hardly longer than a ticket.",
        rows=[
            fact("tickets answered", f"{len(seconds):,}", f"{len(seconds) / SECONDS:.1f} a second"),
            *(
                fact(f"p{percent}, seconds", f"{waited[percent]:.2f}",
                     f"simulated {simulated[percent]:.2f}")
                for percent in PERCENTS
            ),
            fact("simulated tickets a second", f"{len(predicted.seconds) / SECONDS:.1f}"),
            fact("engine alone, tokens/s at 1, 4, 8, 16", ", ".join(
                f"{rate:,.0f}" for rate in rates.values())),
            fact("(d) prompt tokens from the cache", f"{cached_share(live):.3f}",
                 f"with the demonstration's prompt {cached_share(answered):.3f}"),
        ],
        picture=charts.bars(
            [f"p{percent}" for percent in PERCENTS],
            {"measured, seconds": list(waited.values()), "simulated": list(simulated.values())},
        ),
    )  # fmt: skip


def measured(profile: str, seconds: float) -> Sequence[Row[Any]]:
    """What became of each ticket that the engine answered."""
    with warm_stack(profile) as (stack, sessions):
        answers = Answers(sessions)
        with watching(answers.look, every_s=LOOK_S):
            work(stack, answers, seconds)
        with transaction(sessions) as session:
            return session.execute(text(WAITED)).all()


def cached_share(answered: Sequence[Row[Any]]) -> float:
    """Prompt tokens that the prefix cache had, of all."""
    cached = sum(one.cached_tokens for one in answered)
    return float(cached / sum(one.prompt_tokens for one in answered))


def work(stack: Stack, answers: Answers, seconds: float) -> None:
    """All agents at once, until the time is over."""
    tickets = iter(workload(TICKETS))
    end = time.monotonic() + seconds

    def agent(number: int) -> None:
        rng = random.Random(number)
        with httpx.Client(timeout=60) as http:
            time.sleep(rng.uniform(0, THINK_S))
            while time.monotonic() < end:
                chosen = next(tickets)
                payload = {
                    "id": f"agent-{number}-{rng.random()}",
                    "subject": chosen.subject,
                    "body": chosen.body,
                }
                answers.wait(post(stack, http, payload))
                time.sleep(rng.expovariate(1 / THINK_S))

    with ThreadPoolExecutor(AGENTS) as threads:
        list(threads.map(agent, range(AGENTS)))  # what ended one of them ends the measurement


def predict(engine: Engine, tokens: list[int]) -> Simulated:
    rng = random.Random(2026)

    def first() -> Iterator[tuple[float, int]]:
        yield from sorted((rng.uniform(0, THINK_S), agent) for agent in range(AGENTS))

    def again(now: float, _agent: int) -> float | None:
        then = now + rng.expovariate(1 / THINK_S)
        return then if then < SECONDS else None

    return simulate(engine, 1, first(), lambda: rng.choice(tokens), after=again)
