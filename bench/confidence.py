"""What telling alternatives costs, and how much of a label's probability stays undecided."""

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

from bench.bare import demo_prompts, generate, report, sampling, start
from bench.report import fact, row, write_section
from bench.speed import run as run_module
from models.demo.prompt import TAXONOMY
from schemas.reply import label_values
from worker.engine.contract import Generation, Token
from worker.engine.profiles import load_profile
from worker.engine.tokens import PromptEncoder
from worker.engine.vllm_engine import ALTERNATIVES, generation
from worker.triage.confidence import can_become, spelling

TICKETS = 96
PASSES = 21


def measure(_rounds: int) -> None:
    """Run the engine in a process of its own, and write the section."""
    found: dict[str, Any] = run_module("bench.confidence")
    rest = found["undecided"]
    write_section(
        "Confidence",
        text=f"The demonstration model, {TICKETS} tickets with and without {ALTERNATIVES} "
        f"alternatives told for each token, {PASSES} times in turn on one engine. Undecided is the "
        "probability, under the grammar's mask, of spellings whose value is not known because they "
        "were neither written nor decided by one token: a confidence is too low by this at most.",
        rows=[
            fact(
                "tickets/s with alternatives / without any log-probabilities",
                f"{median(found['with']) / median(found['without']):.3f}",
                "ratio of the medians",
            ),
            row("tickets/s with alternatives", found["with"], 1),
            row("tickets/s without", found["without"], 1),
            fact("undecided, mean over all labels", f"{rest['mean']:.5f}", f"{rest['n']} labels"),
            fact("undecided, 99th percentile", f"{rest['p99']:.5f}"),
            fact("undecided, largest", f"{rest['max']:.5f}"),
        ],
    )


async def compare() -> dict[str, Any]:
    prompts, grammar = demo_prompts(TICKETS)
    ways = {
        None: sampling(grammar.ebnf, grammar.max_tokens),
        ALTERNATIVES: sampling(
            grammar.ebnf,
            grammar.max_tokens,
            logprobs=ALTERNATIVES,
            flat_logprobs=True,
            detokenize=False,  # as the worker asks
        ),
    }
    llm = start()
    last = await generate(llm, prompts, ways[ALTERNATIVES])
    speeds: dict[int | None, list[float]] = {None: [], ALTERNATIVES: []}
    for number in range(PASSES):
        for logprobs in (None, ALTERNATIVES) if number % 2 else (ALTERNATIVES, None):
            found = await generate(llm, prompts, ways[logprobs])
            speeds[logprobs].append(len(prompts) / found.seconds)
            last = found if logprobs else last
    llm.shutdown()
    encoder = PromptEncoder(load_profile("demo").model_path)
    masses = sorted(
        mass
        for output in last.outputs
        for mass in undecided(generation(output, encoder, engine_ms=0))
    )
    return {
        "without": speeds[None],
        "with": speeds[ALTERNATIVES],
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
    report(compare)
