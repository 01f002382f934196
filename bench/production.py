"""Mistral Nemo on a card: what product and grammar leave of the bare engine's tokens a second.

`python -m bench.production PROFILE` measures the engine in a process of its own and prints JSON.
"""

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.bare import generate, report, sampling, start
from bench.engine import MIXED, STATIC, mixed_lengths, ratio_to_free, ways_of_batching
from bench.models import production_profile, real_weights
from bench.report import gpu, row, write_section
from bench.speed import run
from bench.workload import workload
from worker.cli.desks import make_desk
from worker.engine.profiles import NVIDIA_DRIVER, load_profile
from worker.engine.tokens import PromptEncoder
from worker.settings import load_settings
from worker.triage import pipeline
from worker.triage.desk import Desk

TICKETS = 48
SHORT, ANSWER, TURNS = 32, 128, 6
"""For the grammar: tickets in a turn, the most tokens of an answer, turns with it and without."""
ALONE = 8


def measure(rounds: int) -> None:
    """Bare engine and whole product in turn, some rounds."""
    if not NVIDIA_DRIVER.exists():
        print("production: there is no NVIDIA GPU here")
        return
    with tempfile.TemporaryDirectory() as folder:
        profile = str(production_profile(Path(folder)))
        engine, stack = [], []
        for number in range(1, rounds + 1):
            print(f"round {number} of {rounds}: Nemo in vLLM alone", flush=True)
            engine.append(run("bench.production", profile))
            print(f"round {number} of {rounds}: Nemo in the whole product", flush=True)
            stack.append(run("bench.stack", "--profile", profile, "--tickets", str(TICKETS)))
    write(engine, stack)


def write(engine: Sequence[dict[str, float]], stack: Sequence[dict[str, float]]) -> None:
    def of(key: str) -> list[float]:
        return [one[key] for one in engine]

    weights = "its own weights" if real_weights() else "random weights, which write nonsense"
    write_section(
        f"Production on {gpu()}",
        text=f"Mistral Nemo 12B, profile nemo-awq-32k, {weights}; {TICKETS} held-out tickets, "
        f"{len(engine)} rounds. Grammar: {SHORT} of them with answers of up to {ANSWER} tokens, "
        f"{TURNS} turns with it and without, the median of the turns' ratios. Mixed: answers of "
        f"{MIXED[0]} to {MIXED[1]} tokens, log-uniform.",
        rows=[
            row("(a) worker / bare engine, tokens per second",
                [s["tokens_s"] / e["tokens_s"] for s, e in zip(stack, engine, strict=True)], 3),
            row("worker, tokens/s written", [one["tokens_s"] for one in stack], 0),
            row("bare engine, tokens/s written", of("tokens_s"), 0),
            row("mean sequences in the engine while the queue is full, of 16",
                [one["running"] for one in stack], 2),
            row("(b) mixed lengths: continuous / static batches of 16, tickets/s",
                [e["continuous"] / e["static"] for e in engine], 2),
            row("(b) mixed lengths: continuous / one at a time, tickets/s",
                [e["continuous"] / e["alone"] for e in engine], 2),
            row("(d) prompt tokens from the cache, of all", of("cached"), 3),
            row("(e) tokens/s with the grammar / without", of("grammar"), 3),
        ],
    )  # fmt: skip


async def bare(profile: str) -> dict[str, float]:
    """The engine alone with the production prompt: all that the section needs of it."""
    desk = make_desk(load_settings(profile=profile))
    asked, llm = prompts(profile, desk), start(profile)
    ours = sampling(desk.grammar.ebnf, desk.grammar.max_tokens)
    await generate(llm, asked[:STATIC], ours)
    found = await generate(llm, asked, ours)
    result = {"tokens_s": found.tokens_s, "cached": found.cached_share}
    tell(result | {"tokens a ticket": found.tokens / TICKETS})
    short = sampling(desk.grammar.ebnf, ANSWER)
    result["grammar"] = await ratio_to_free(llm, asked[:SHORT], short, turns=TURNS)
    tell(result)
    result |= await ways_of_batching(llm, asked, mixed_lengths(TICKETS), alone=ALONE)
    llm.shutdown()
    return result


def tell(found: dict[str, float]) -> None:
    """What is known so far: an engine takes minutes."""
    print(found, file=sys.stderr, flush=True)


def prompts(profile: str, desk: Desk) -> list[list[int]]:
    """Tickets as the worker asks about them."""
    loaded = load_profile(profile)
    encoder = PromptEncoder(loaded.model_path, shape=loaded.prompt_shape)

    def prompt(subject: str, body: str) -> list[int]:
        language = desk.detector.detect(f"{subject}\n{body}")
        return encoder.encode(pipeline.build_prompt(desk, language, subject, body, ()))

    return [prompt(one.subject, one.body) for one in workload(TICKETS)]


if __name__ == "__main__":
    report(partial(bare, sys.argv[1]), sys.argv[1])
