"""Mistral Nemo on a card: what product and grammar leave of the bare engine's tokens a second.

`python -m bench.production PROFILE` measures one engine in a process of its own and prints JSON.
"""

import argparse
import json
import sys
from typing import Any

from bench.bare import Prompts, desk_prompts, generate, sampling
from bench.models import production_profile, real_weights
from bench.open_engine import MEASURED_S
from bench.pipeline import ratios, rows_of_slots
from bench.report import gpu, row, write_section
from bench.speed import run
from bench.turns import PROMPTS, turns_taken
from bench.ways import MIXED, mixed_lengths, ratios_to_free, ways_of_batching
from worker.engine.alternatives import ALTERNATIVES
from worker.engine.grammar import Grammar
from worker.engine.machine import this_machine
from worker.engine.profiles import NVIDIA_DRIVER

TICKETS = 48
SHORT, ANSWER, TURNS = 32, 128, 4
"""For the grammar: tickets in a turn, the most tokens of an answer, turns with it and without."""
ALONE = 8


def measure(rounds: int) -> None:
    """One engine, which takes minutes to start: as many turns of the worker as there are rounds."""
    if not NVIDIA_DRIVER.exists():
        print("production: there is no NVIDIA GPU here")
        return
    print("Nemo in vLLM, bare and with the worker around it, by turns", flush=True)
    write(run("bench.production", str(production_profile()), "--turns", str(rounds)))


def write(found: dict[str, Any]) -> None:
    weights = (
        "its own weights"
        if "awq" in real_weights()
        else "random weights, which write nonsense, calculating in BF16"
    )
    write_section(
        f"Production on {gpu()}",
        text=f"Mistral Nemo 12B, profile nemo-awq-32k, {weights}; vLLM {this_machine().vllm}. One "
        "engine is asked as a bare engine is, and by the worker around it (broker, claim, checks, "
        f"record), by turns of {MEASURED_S:g} seconds, as in the section Pipeline; in turns of its "
        "own the bare engine tells the labels' log-probabilities, as it does for the worker. Then "
        f"it is asked alone: the grammar with {SHORT} tickets and answers of up to {ANSWER} "
        f"tokens, {TURNS} turns with it and without, the median of the turns' ratios; mixed "
        f"lengths are {MIXED[0]} to {MIXED[1]} tokens, log-uniform, {TICKETS} tickets.",
        rows=[
            row("(a) worker / bare engine, tokens per second", ratios(found, "worker"), 3),
            row(f"bare engine that tells log-probabilities of {ALTERNATIVES} tokens / bare engine",
                ratios(found, "told"), 3),
            row("worker, tokens/s written", found["worker"], 0),
            row("bare engine, tokens/s written", found["bare"], 0),
            *rows_of_slots(found),
            row("(b) mixed lengths: continuous / static batches of 16, tokens/s",
                [found["continuous"] / found["static"]], 2),
            row("(b) mixed lengths: continuous / one at a time, tokens/s",
                [found["continuous"] / found["alone"]], 2),
            row("(d) prompt tokens from the cache, of all", [found["cached"]], 3),
            row("(e) tokens/s with the grammar / without", found["grammar"], 3),
        ],
    )  # fmt: skip


def by_turns(profile: str, turns: int) -> dict[str, Any]:
    """All that the section needs, of one engine."""
    with turns_taken(profile, turns, told=True) as (engine, desk, found):
        tell(found)
        # Not those of the turns, which are in the cache as wholes.
        asked = desk_prompts(engine.profile, desk, PROMPTS + TICKETS)[PROMPTS:]
        return found | engine.alone(lambda llm: alone(llm, desk.grammar, asked))


async def alone(llm: Any, grammar: Grammar, asked: Prompts) -> dict[str, Any]:
    """What the engine does when nobody but this asks it."""
    found = await generate(llm, asked, sampling(grammar.ebnf, grammar.max_tokens))
    result: dict[str, Any] = {"cached": found.cached_share}
    short, some = sampling(grammar.ebnf, ANSWER), asked[:SHORT]
    result["grammar"] = await ratios_to_free(llm, some, short, turns=TURNS)
    tell(result)
    return result | await ways_of_batching(llm, asked, mixed_lengths(TICKETS), alone=ALONE)


def tell(found: dict[str, Any]) -> None:
    """What is known so far: an engine takes minutes."""
    print(found, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    print("RESULT", json.dumps(by_turns(given.profile, given.turns)))
