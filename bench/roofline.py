"""Tokens a second by batch, context and precision, and how near that is to what memory allows.

A step reads all weights once and the cache of every sequence; memory's bandwidth divided by those
bytes is the roofline. `python -m bench.roofline PRECISION CONTEXT` measures one engine in a process
of its own and prints JSON.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.bare import Generated, generate, sampling
from bench.models import Model, model_under_test
from bench.report import write_table
from bench.speed import run
from worker import charts
from worker.engine.memory import Precision
from worker.engine.profiles import load_profile
from worker.engine.vllm_engine import environment

BATCHES = (1, 4, 8, 16)
STEPS = 48
"""Tokens that each sequence writes; the first comes with the prompt and is not counted."""
READ_BYTES = 2**30


def measure(_rounds: int) -> None:
    model = model_under_test()
    lines, drawn = [], {}
    for precision in model.precisions:
        for context in model.contexts:
            print(f"{model.name}, {precision}, {context:,} tokens", flush=True)
            found = run("bench.roofline", precision, str(context))
            lines.append(line(model, precision, context, found))
            name = f"{precision}, {context // 1024}k"
            drawn[name] = [found.get(str(batch)) for batch in BATCHES]
    write_table(
        "Roofline",
        text=f"(c) {model.label} Tokens a second of all sequences together while they write, after "
        "their contexts have been read; in brackets the share of what memory's bandwidth "
        "allows, if a step reads all weights once and each sequence's cache.",
        head="| precision | context | " + " | ".join(f"batch {one}" for one in BATCHES) + " |",
        rows=lines,
        picture=charts.bars([f"batch {one}" for one in BATCHES], drawn),
    )


def line(model: Model, precision: str, context: int, found: dict[str, float]) -> str:
    cells = []
    for batch in BATCHES:
        if (tokens_s := found.get(str(batch))) is None:
            cells.append("–")
            continue
        read = model.weight_bytes(precision) + batch * context * model.kv_bytes
        roof = batch * found["bytes_s"] / read
        cells.append(f"{tokens_s:,.0f} ({tokens_s / roof:.0%})")
    return f"| {precision} | {context // 1024}k | " + " | ".join(cells) + " |"


async def decode(model: Model, precision: str, context: int) -> dict[str, float]:
    """Tokens a second for each batch that the cache has room for, and memory's bytes a second."""
    with tempfile.TemporaryDirectory() as path:
        llm = model.start(Path(path), precision, context)
        room = llm.vllm_config.cache_config.num_gpu_blocks * llm.vllm_config.cache_config.block_size
        found = {"bytes_s": bytes_s(model.device)}
        for batch in BATCHES:
            needed = context + (batch - 1) * (context if model.has_own_contexts else STEPS + 64)
            if needed < room:
                found[str(batch)] = await tokens_s(llm, model, batch, context)
        llm.shutdown()
    return found


async def tokens_s(llm: Any, model: Model, batch: int, context: int) -> float:
    """Reads the contexts first; then what `STEPS` tokens take beyond the first."""
    rng = random.Random(batch)
    shared = [rng.randrange(1000, model.vocabulary) for _ in range(context - STEPS - 32)]
    prompts = [
        [rng.randrange(1000, model.vocabulary), *shared] if model.has_own_contexts
        else [*shared, *(rng.randrange(1000, model.vocabulary) for _ in range(8))]
        for _ in range(batch)
    ]  # fmt: skip
    for prompt in prompts:
        await write(llm, [prompt], 1)
    one = await write(llm, prompts, 1)
    many = await write(llm, prompts, STEPS)
    return batch * (STEPS - 1) / (many.seconds - one.seconds)


async def write(llm: Any, prompts: list[list[int]], tokens: int) -> Generated:
    parameters = sampling(None, tokens, ignore_eos=True, detokenize=False)
    return await generate(llm, prompts, parameters, in_flight=len(prompts))


def bytes_s(device: str) -> float:
    """What reading a gigabyte takes, at best of five, with as many threads as the engine has."""
    import torch  # noqa: PLC0415

    data = torch.ones(READ_BYTES // 4, dtype=torch.float32, device=device)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        float(data.sum())
        best = max(best, READ_BYTES / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    os.environ.update(
        environment(load_profile("demo")) if model_under_test().device == "cpu" else {}
    )
    result = asyncio.run(decode(model_under_test(), Precision(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.write(f"RESULT {json.dumps(result)}\n")
