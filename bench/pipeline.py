"""(a) The pipeline against the bare engine, by turns, with the demonstration model."""

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

from bench.open_engine import MEASURED_S
from bench.report import fact, row, write_section
from bench.speed import run
from bench.turns import turns_taken

TURNS_IN_A_ROUND = 4


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
            row("(a) worker / bare engine, tokens per second", ratios(found, "worker"), 3),
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


def ratios(found: Mapping[str, Sequence[float]], which: str) -> list[float]:
    """Each turn of these by the mean of the bare engine's before and after it."""
    around = [(before + after) / 2 for before, after in pairwise(found["bare"])]
    return [mine / theirs for mine, theirs in zip(found[which], around, strict=True)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS_IN_A_ROUND)
    with turns_taken("demo", parser.parse_args().turns) as (*_, result):
        print("RESULT", json.dumps(result))
