"""One engine asked in two ways or three, each held against the others."""

import random
from math import exp, log
from statistics import median
from typing import Any

from bench.bare import Generated, Prompts, generate, sampling

STATIC = 16
MIXED = (16, 512)
"""Tokens of an answer where short confirmations and long explanations mix; log-uniform, so that
there are as many from 16 to 32 as from 256 to 512."""


def mixed_lengths(count: int) -> list[Any]:
    rng = random.Random(4)
    lengths = [int(exp(rng.uniform(*map(log, MIXED)))) for _ in range(count)]
    return [sampling(None, length, ignore_eos=True) for length in lengths]


async def ways_of_batching(
    llm: Any, asked: Prompts, each: list[Any], *, alone: int
) -> dict[str, float]:
    """Tokens a second: as one ends the next begins; in batches; one at a time, so many of them.

    Every way finds the prompts in the cache.
    """
    await generate(llm, asked, sampling(None, 1))
    continuous = await generate(llm, asked, each)
    batches = [
        await generate(llm, asked[first : first + STATIC], each[first : first + STATIC])
        for first in range(0, len(asked), STATIC)
    ]
    one_by_one = await generate(llm, asked[:alone], each[:alone], in_flight=1)
    return {
        "continuous": continuous.tokens_s,
        "static": sum(one.tokens for one in batches) / sum(one.seconds for one in batches),
        "alone": one_by_one.tokens_s,
        "spread": median(spread(one) for one in batches),
    }


def spread(batch: Generated) -> float:
    """How much longer the longest answer of a batch is than the mean."""
    lengths = [len(one.outputs[0].token_ids) for one in batch.outputs]
    return max(lengths) * len(lengths) / sum(lengths)


async def ratios_to_free(llm: Any, asked: Prompts, forced: Any, *, turns: int) -> list[float]:
    """Tokens a second with a grammar / without, in each turn.

    Without a grammar each answer is made as long as it was with one, so that as many sequences run
    at each step: an answer that ends sooner or later changes the last steps, when few still run.
    """
    lengths = {
        tuple(one.prompt_token_ids): len(one.outputs[0].token_ids)
        for one in (await generate(llm, asked, forced)).outputs
    }
    free = [sampling(None, lengths[tuple(ids)], ignore_eos=True) for ids in asked]
    return await ratios_of_turns(llm, asked, forced, free, turns=turns)


async def ratios_of_turns(
    llm: Any, asked: Prompts, one: Any, other: Any, *, turns: int
) -> list[float]:
    """Tokens a second with `one`'s parameters / with the `other`'s, in each turn."""
    pair = {"one": one, "other": other}
    ratios = []
    for turn in range(turns):
        speeds = {
            which: (await generate(llm, asked, pair[which])).tokens_s
            for which in list(pair)[:: 1 if turn % 2 else -1]
        }
        ratios.append(speeds["one"] / speeds["other"])
    return ratios
