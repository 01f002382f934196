"""(a) the pipeline against the bare engine, by turns, beside a card that is only a clock.

What a worker takes from an engine drowns in the noise of a model that computes on the same two
processors. So vLLM's CPU build does what it does beside a card (it prepares a step while the one
before is calculated, and tells log-probabilities itself), but nothing is calculated (`clocked`).
"""

import argparse
import json
import os
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

from bench.open_engine import MEASURED_S
from bench.pipeline import TURNS_IN_A_ROUND, ratios
from bench.report import row, write_section
from bench.speed import run
from bench.turns import turns_taken
from worker.engine import vllm_engine
from worker.engine.arguments import engine_arguments
from worker.engine.machine import Machine
from worker.engine.profiles import Profile

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

PACES_MS = (16.0, 6.5)
"""A step of Mistral Nemo 12B in AWQ with 16 sequences: on an RTX 4090, which writes 1,020 tokens a
second (docs/capacity.md), and on an H200 ("Production on NVIDIA H200" in RESULTS.md)."""
PLUGINS = ("end_with_worker", "bring_int4_kernel", "parse_once", "tell_labels_only")
"""The product's that do something beside a card, and what the model is loaded with."""


def measure(rounds: int) -> None:
    rows = []
    for pace in PACES_MS:
        print(f"the bare engine and the worker around it, {pace:g} ms a step", flush=True)
        turns = str(rounds * TURNS_IN_A_ROUND)
        found = run("bench.clock", "--step-ms", str(pace), "--turns", turns)
        rows += [
            row(f"(a) worker / bare engine, {pace:g} ms a step", ratios(found, "worker"), 3),
            row(f"bare engine that tells log-probabilities / bare engine, {pace:g} ms",
                ratios(found, "told"), 3),
            row(f"bare engine, tokens/s, {pace:g} ms", found["bare"], 0),
        ]  # fmt: skip
    write_section(
        "Pipeline beside a clock",
        text="As the section Pipeline, but the model computes nothing: a step is over when a card "
        "would be done with Mistral Nemo 12B and 16 sequences: 16 ms on an RTX 4090, 6.5 ms on an "
        "H200. vLLM's processes do what they do beside a card; answers are random, under the "
        f"grammar. Tokens per second, turns of {MEASURED_S:g} seconds.",
        rows=rows,
    )


async def load(step_ms: float, profile: Profile, _: Machine) -> "AsyncLLM":
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415  # after the environment is set
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    from bench.clocked import STEP_MS  # noqa: PLC0415

    arguments = AsyncEngineArgs(
        **engine_arguments(profile),
        worker_cls="bench.clocked.ClockedWorker",
        additional_config={STEP_MS: step_ms},
    )
    config = arguments.create_engine_config()
    config.scheduler_config.async_scheduling = True  # vLLM has a CPU finish a step first
    return AsyncLLM.from_vllm_config(config)


def by_turns(step_ms: float, turns: int) -> dict[str, list[float]]:
    os.environ["VLLM_PLUGINS"] = ",".join(PLUGINS)
    with (
        patch.object(vllm_engine, "told_beside", lambda _: False),
        patch.object(vllm_engine, "load", partial(load, step_ms)),
        turns_taken("demo", turns, told=True) as (*_, found),
    ):
        return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step-ms", type=float, default=PACES_MS[0])
    parser.add_argument("--turns", type=int, default=TURNS_IN_A_ROUND)
    asked = parser.parse_args()
    print("RESULT", json.dumps(by_turns(asked.step_ms, asked.turns)))
