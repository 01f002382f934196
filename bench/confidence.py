"""What telling alternatives costs, and how much of a label's probability stays undecided."""

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from bench.report import fact, row, write_section
from bench.speed import run as run_module
from bench.workload import workload
from models.demo.prompt import TAXONOMY, example_prompt
from schemas.reply import LABELS, label_values
from worker.engine.contract import Generation, Request, Token
from worker.engine.grammar import reply_grammar
from worker.engine.profiles import load_profile
from worker.engine.vllm_engine import VllmEngine
from worker.triage.confidence import can_become, spelling

IN_FLIGHT = 16
TICKETS = 384
PASSES = 9


def measure(_rounds: int) -> None:
    """Run the engine in a process of its own, and write the section."""
    found: dict[str, Any] = run_module("bench.confidence")
    rest = found["undecided"]
    write_section(
        "Confidence",
        text=f"The demonstration model in the worker's engine, {TICKETS} tickets with and without "
        f"alternatives told for each token of the labels' values, {PASSES} times in turn. "
        "Undecided is the probability, under the grammar's mask, of spellings whose value is not "
        "known because they were neither written nor decided by one token: a confidence is too low "
        "by this at most.",
        rows=[
            row(
                "tickets/s with alternatives / without, in each turn",
                [a / b for a, b in zip(found["with"], found["without"], strict=True)],
                3,
            ),
            row("tickets/s with alternatives", found["with"], 1),
            row("tickets/s without", found["without"], 1),
            fact("undecided, mean over all labels", f"{rest['mean']:.5f}", f"{rest['n']} labels"),
            fact("undecided, 99th percentile", f"{rest['p99']:.5f}"),
            fact("undecided, largest", f"{rest['max']:.5f}"),
        ],
    )


def compare() -> dict[str, Any]:
    """Tickets a second when probabilities are wanted and when they are not, and what they say."""
    grammar = reply_grammar(TAXONOMY)
    asked = [
        Request(
            example_prompt(one), grammar.ebnf, grammar.max_tokens, temperature=0.0, seed=0,
            labels=len(LABELS),
        )
        for one in workload(TICKETS)
    ]  # fmt: skip
    engine = VllmEngine(load_profile("demo"))

    def tickets_s(requests: Sequence[Request]) -> tuple[float, list[Generation]]:
        started = time.perf_counter()
        with ThreadPoolExecutor(IN_FLIGHT) as threads:
            written = list(threads.map(lambda one: engine.generate(one, deadline_s=60), requests))
        return TICKETS / (time.perf_counter() - started), written

    ways = {"with": asked, "without": [replace(one, labels=0) for one in asked]}
    _, written = tickets_s(asked)
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(PASSES):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            speeds[name].append(tickets_s(ways[name])[0])
    masses = sorted(mass for one in written for mass in undecided(one))
    engine.stop()
    return {
        **speeds,
        "undecided": {
            "n": len(masses),
            "mean": sum(masses) / len(masses),
            "p99": masses[int(0.99 * len(masses))],
            "max": masses[-1],
        },
    }


def undecided(written: Generation) -> Iterator[float]:
    """For each label the probability of spellings of which nobody knows what they become."""
    text = "".join(token.text for token in written.tokens)
    for field, values in label_values(TAXONOMY).items():
        start = text.find(f'"{field}":"') + len(field) + 4
        value = text[start : text.find('"', start) + 1]
        yield mass_left(written.tokens, start, value, [f'{one}"' for one in values])


def mass_left(tokens: Iterable[Token], start: int, value: str, spellings: Sequence[str]) -> float:
    came_so_far, total = 1.0, 0.0
    for token, before, overlap in spelling(tokens, start):
        told = math.exp(token.logprob)
        for text, logprob in token.alternatives:
            told += math.exp(logprob)
            open_ = can_become(before + text[overlap:], spellings)
            if len(open_) > 1 and value in open_:
                total += came_so_far * math.exp(logprob)
        total += came_so_far * max(0.0, 1.0 - told)
        came_so_far *= math.exp(token.logprob)
        if can_become(before + token.text[overlap:], spellings) == [value]:
            break
    return total


if __name__ == "__main__":
    print("RESULT", json.dumps(compare()))
