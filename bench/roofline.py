"""Tokens a second by batch, context and precision, and how near that is to what memory allows.

A step reads all weights once and the cache of every sequence; memory's bandwidth divided by those
bytes is the roofline. `python -m bench.roofline PRECISION` measures one engine in a process of its
own, tells each cell as it is known, and prints JSON.
"""

import asyncio
import json
import os
import random
import sys
import time
from typing import Any

from bench.bare import Generated, generate, sampling
from bench.models import PRODUCTION, Model, model_under_test
from bench.report import gpu, write_table
from bench.speed import run
from worker import charts
from worker.engine.environment import environment
from worker.engine.machine import this_machine
from worker.engine.memory import Precision
from worker.engine.profiles import load_profile

BATCHES = (1, 4, 8, 16)
STEPS = 48
"""Tokens that each sequence writes; the first comes with the prompt and is not counted."""
READ_BYTES = 2**31
Cells = dict[str, float]


def measure(_rounds: int) -> None:
    model = model_under_test()
    lines = []
    drawn: dict[str, list[float | None]] = {}
    for precision in model.precisions:
        print(f"{model.name}, {precision}", flush=True)
        found = run("bench.roofline", precision)
        for context in model.contexts:
            cells: Cells = found.get(str(context), {})
            lines.append(line(model, precision, context, cells, found["bytes_s"]))
            name = f"{precision}, {context // 1024}k"
            drawn[name] = [cells.get(str(batch)) for batch in BATCHES]
    write_table(
        "Roofline" if model.device == "cpu" else f"Roofline on {gpu()}",
        text=f"(c) {model.label} vLLM {this_machine().vllm}. "
        "Tokens a second of all sequences together while they write. Contexts, one for each "
        "sequence, are not read: their cache is filled with a number. In brackets the share of "
        "what memory's bandwidth allows, if a step reads all weights once and each sequence's "
        "cache.",
        head="| precision | context | " + " | ".join(f"batch {one}" for one in BATCHES) + " |",
        rows=lines,
        picture=charts.bars([f"batch {one}" for one in BATCHES], drawn),
    )


def line(model: Model, precision: str, context: int, found: Cells, bytes_s: float) -> str:
    cells = []
    for batch in BATCHES:
        if (tokens_s := found.get(str(batch))) is None:
            cells.append("–")
            continue
        read = model.weight_bytes(precision) + batch * context * model.kv_bytes
        cells.append(f"{tokens_s:,.0f} ({tokens_s * read / batch / bytes_s:.0%})")
    return f"| {precision} | {context // 1024}k | " + " | ".join(cells) + " |"


async def decode(model: Model, precision: str) -> dict[str, Any]:
    """For each context tokens a second by batch, as far as they fit; memory's bytes a second."""
    contexts = model.fitting(precision)
    llm = model.start(precision, max(contexts))
    room = llm.vllm_config.cache_config.num_gpu_blocks * llm.vllm_config.cache_config.block_size
    found: dict[str, Any] = {"bytes_s": bytes_s(model.device)}
    for context in contexts:
        prompts = contexts_of(model, context)
        cells = found[str(context)] = {}
        for batch in BATCHES:
            if batch * context < room:
                cells[str(batch)] = await tokens_s(llm, prompts[:batch])
                print(f"{context:,} tokens × {batch}: {cells[str(batch)]:,.0f} tokens/s",
                      file=sys.stderr, flush=True)  # fmt: skip
    llm.shutdown()
    return found


def contexts_of(model: Model, context: int) -> list[list[int]]:
    """Random prompts, different from their first token on."""
    rng = random.Random(0)
    firsts = rng.sample(range(1000, model.vocabulary), max(BATCHES))
    rest = [rng.randrange(1000, model.vocabulary) for _ in range(context - STEPS - 32)]
    return [[first, *rest] for first in firsts]


async def tokens_s(llm: Any, prompts: list[list[int]]) -> float:
    """Brings the contexts into the cache first; then what `STEPS` tokens take beyond the first."""
    for prompt in prompts:
        await write(llm, [prompt], 1)
    one = await write(llm, prompts, 1)
    many = await write(llm, prompts, STEPS)
    return len(prompts) * (STEPS - 1) / (many.seconds - one.seconds)


async def write(llm: Any, prompts: list[list[int]], tokens: int) -> Generated:
    parameters = sampling(None, tokens, ignore_eos=True, detokenize=False)
    return await generate(llm, prompts, parameters, in_flight=len(prompts))


def cache_gib(model: Model) -> int:
    """Room for all contexts, but no more than half of the memory. Only a CPU's vLLM asks for it."""
    wanted = max(BATCHES) * max(model.contexts) * model.kv_bytes / 2**30
    return int(min(wanted, this_machine().memory_gb / 2)) + 1


def bytes_s(device: str) -> float:
    """How fast two gigabytes are read, at best of five, with as many threads as the engine has."""
    import torch  # noqa: PLC0415

    data = torch.ones(READ_BYTES // 4, dtype=torch.float32, device=device)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        float(data.sum())
        best = max(best, READ_BYTES / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    model = model_under_test()
    profile = load_profile("demo" if model.device == "cpu" else PRODUCTION)
    os.environ.update(environment(profile))  # before torch is imported, which counts its threads
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(cache_gib(model))
    result = asyncio.run(decode(model, Precision(sys.argv[1])))
    sys.stdout.write(f"RESULT {json.dumps(result)}\n")
