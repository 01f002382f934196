"""What telling alternatives costs, and how much of a label's probability stays undecided."""

import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any
from uuid import uuid4

from bench.report import fact, row, write_section
from bench.speed import run as run_module
from bench.workload import workload
from models.demo.prompt import TAXONOMY, example_prompt
from schemas.reply import label_values
from worker.engine.contract import Generation, Token
from worker.engine.grammar import reply_grammar
from worker.engine.profiles import load_profile
from worker.engine.tokens import PromptEncoder
from worker.engine.vllm_engine import ALTERNATIVES, environment, generation, load
from worker.triage.confidence import can_become, spelling

IN_FLIGHT = 16
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
    profile = load_profile("demo")
    encoder, grammar = PromptEncoder(profile.model_path), reply_grammar(TAXONOMY)
    prompts = [encoder.encode(example_prompt(example)) for example in workload(TICKETS)]
    llm = await load(profile)

    async def pass_over(logprobs: int | None) -> tuple[float, list[Any]]:
        return await generate_all(llm, prompts, grammar.ebnf, grammar.max_tokens, logprobs)

    await pass_over(ALTERNATIVES)
    outputs: list[Any] = []
    speeds: dict[int | None, list[float]] = {None: [], ALTERNATIVES: []}
    for number in range(PASSES):
        for logprobs in (None, ALTERNATIVES) if number % 2 else (ALTERNATIVES, None):
            seconds, found = await pass_over(logprobs)
            speeds[logprobs].append(len(prompts) / seconds)
            outputs = found if logprobs else outputs
    llm.shutdown()
    masses = sorted(
        mass for output in outputs for mass in undecided(generation(output, encoder, engine_ms=0))
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


async def generate_all(
    llm: Any, prompts: Sequence[list[int]], ebnf: str, max_tokens: int, logprobs: int | None
) -> tuple[float, list[Any]]:
    """Generate for every prompt, 16 at a time, as the worker asks; seconds and outputs."""
    from vllm import SamplingParams, TokensPrompt  # noqa: PLC0415  # after the environment is set
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams  # noqa: PLC0415

    free, outputs = asyncio.Semaphore(IN_FLIGHT), []

    async def one(ids: list[int]) -> None:
        sampling = SamplingParams(
            temperature=0.0,
            seed=0,
            max_tokens=max_tokens,
            logprobs=logprobs,
            detokenize=logprobs is None,  # as vLLM does by itself, and as the worker asks
            flat_logprobs=logprobs is not None,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(grammar=ebnf),
        )
        async with free:
            async for output in llm.generate(
                TokensPrompt(prompt_token_ids=ids), sampling, request_id=uuid4().hex
            ):
                final = output
        outputs.append(final)

    started = time.perf_counter()
    await asyncio.gather(*(one(ids) for ids in prompts))
    return time.perf_counter() - started, outputs


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
    os.environ.update(environment(load_profile("demo")))
    sys.stdout.write(f"RESULT {json.dumps(asyncio.run(compare()))}\n")
