"""The figures of docs/capacity.md, by simulation: what a card carries, and what a day needs."""

import random
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from bench.report import write_table
from bench.simulation import Engine, Simulated, simulate
from bench.tokens import DATA
from bench.workload import workload
from schemas.reply import canonical_json
from worker import charts

NEMO_AWQ = Engine({1: 175, 4: 490, 8: 740, 16: 1020}, prompt_s=0.022)
"""Mistral Nemo 12B in AWQ on one RTX 4090: tokens/s as published. A ticket's own part of the prompt
is some 90 tokens (docs/tokens.md); 4,000 a second are read (24 GFLOP each, 60 % of 165 TFLOPS).
"""
MEAN_TOKENS = 140
"""Of an answer; the demonstration's are 105 (docs/tokens.md), and people write longer ones."""
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 9, 10, 11, 11, 10, 8, 6, 5, 4, 4, 3, 3)
"""How a day's tickets spread over its hours; the busiest has 1.95 times the mean."""
LOADS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
TICKETS = 40_000


def measure(_rounds: int) -> None:
    full = NEMO_AWQ.tickets_s(MEAN_TOKENS)
    one_card = {load: open_loop(load * full, 1) for load in LOADS}
    lines = [
        line(f"one card at {load:.0%} of what it can", 1, found) for load, found in one_card.items()
    ]
    lines += [
        line(f"50 agents, each {per_hour} tickets an hour", 1, open_loop(50 * per_hour / 3600, 1))
        for per_hour in (20, 60)
    ]
    lines.append(line("50 agents, each always waiting for an answer", 1, always_waiting(50)))
    lines += [
        line(f"{tickets:,} tickets a day, its busiest hour", cards, busiest_hour(tickets, cards))
        for tickets, cards in ((100_000, 1), (250_000, 1), (250_000, 2), (1_000_000, 4),
                               (1_000_000, 5))
    ]  # fmt: skip
    write_table(
        "Capacity",
        text="Simulated (bench/simulation.py): Mistral Nemo 12B in AWQ on RTX 4090s at the "
        f"published tokens a second, 16 tickets at once, answers of {MEAN_TOKENS} tokens on "
        f"average that spread as the demonstration's do. All slots full, a card answers {full:.2f} "
        "tickets a second. Seconds from arrival to answer; used is the share of the slots.",
        head="| load | cards | tickets an hour | used | p50 | p95 | p99 |",
        rows=lines,
        picture=charts.lines(
            [f"{load:.0%}" for load in LOADS],
            {
                f"p{share:.0%}".rstrip("%"): [one.percentile(share) for one in one_card.values()]
                for share in (0.5, 0.95, 0.99)
            },
        ),
    )


def line(name: str, cards: int, found: Simulated) -> str:
    hourly = 3600 * len(found.seconds) / found.span_s
    shares = " | ".join(f"{found.percentile(one):.1f}" for one in (0.5, 0.95, 0.99))
    return f"| {name} | {cards} | {hourly:,.0f} | {found.used:.0%} | {shares} |"


def lengths() -> Callable[[], float]:
    """Draws an answer's length: as long as the demonstration's right answers, in Tekken, scaled."""
    tekken, rng = Tekkenizer.from_file(DATA / "tekken_240718.json"), random.Random(1)
    found: Sequence[int] = [
        len(tekken.encode(canonical_json(one.label), bos=False, eos=True)) for one in workload(1000)
    ]
    scale = MEAN_TOKENS / fmean(found)
    return lambda: scale * rng.choice(found)


def open_loop(per_second: float, cards: int) -> Simulated:
    """Tickets that come at random, whatever is still waiting."""
    rng = random.Random(2)

    def arrivals() -> Iterator[tuple[float, int]]:
        now = 0.0
        for _ in range(TICKETS):
            now += rng.expovariate(per_second)
            yield now, 0

    return simulate(NEMO_AWQ, cards, arrivals(), lengths())


def always_waiting(agents: int) -> Simulated:
    """Each agent sends the next ticket as soon as the last is answered, for an hour."""
    return simulate(
        NEMO_AWQ, 1, iter([(0.0, agent) for agent in range(agents)]), lengths(),
        after=lambda now, _agent: now if now < 3600 else None,
    )  # fmt: skip


def busiest_hour(tickets_a_day: int, cards: int) -> Simulated:
    """The busiest hour alone; the one before it is run too, for what it leaves waiting."""
    rng = random.Random(3)
    busiest = HOURS.index(max(HOURS))

    def arrivals() -> Iterator[tuple[float, int]]:
        now = 0.0
        for hour in (busiest - 1, busiest):
            per_second = tickets_a_day * HOURS[hour] / sum(HOURS) / 3600
            end = 3600 * (hour - busiest + 2)
            while (now := now + rng.expovariate(per_second)) < end:
                yield now, 0
            now = end

    return simulate(NEMO_AWQ, cards, arrivals(), lengths(), counted_from=3600)
