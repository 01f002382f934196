"""The bare engine: prompts straight into AsyncLLM, so many in flight. Prints JSON.

Runs as a process of its own with the profile's environment, as the worker does; with the word
`plain` without what the product brings to vLLM to make grammars cheaper.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bench.workload import TICKETS, workload
from worker.cli.desks import make_desk
from worker.dispatch.serve import AHEAD
from worker.engine.arguments import engine_arguments
from worker.engine.attention import attention_backend
from worker.engine.environment import environment
from worker.engine.grammar import Grammar
from worker.engine.machine import this_machine
from worker.engine.profiles import Profile, load_profile
from worker.engine.tokens import PromptEncoder
from worker.settings import load_settings
from worker.triage import pipeline
from worker.triage.desk import Desk

IN_FLIGHT = 16
OUTSTANDING = IN_FLIGHT + AHEAD
"""As many as the worker has with its engine: those that run, and some that wait for a place."""
WARM_UP = 16
PLAIN = "plain"
NECESSARY = ("end_with_worker", "bring_int4_kernel")
"""The plugins that vLLM is left with then: old CPUs cannot run the model without."""
Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Generated:
    """What an engine wrote for all prompts, and how long it took."""

    seconds: float
    outputs: list[Any]

    @property
    def tokens(self) -> int:
        return sum(len(one.outputs[0].token_ids) for one in self.outputs)

    @property
    def tokens_s(self) -> float:
        return self.tokens / self.seconds

    @property
    def cached_share(self) -> float:
        """The share of the prompts' tokens that vLLM had in its cache."""
        prompts = sum(len(one.prompt_token_ids) for one in self.outputs)
        return sum(one.num_cached_tokens or 0 for one in self.outputs) / prompts


def start(profile: str = "demo", **changes: Any) -> Any:
    """A profile's engine, with some of vLLM's arguments changed."""
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415  # after the environment is set
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    made = load_profile(profile)
    arguments = engine_arguments(made, attention_backend(made, this_machine())) | changes
    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


def demo_prompts(count: int) -> tuple[list[list[int]], Grammar]:
    """Tickets as the demonstration's worker asks about them, and the grammar of the answer."""
    desk = make_desk(load_settings(profile="demo"))
    return desk_prompts(load_profile("demo"), desk, count), desk.grammar


def desk_prompts(profile: Profile, desk: Desk, count: int) -> list[list[int]]:
    """Tickets as the worker of that desk asks about them."""
    encoder = PromptEncoder(profile.model_path, shape=profile.prompt_shape)

    def prompt(subject: str, body: str) -> list[int]:
        language = desk.detector.detect(f"{subject}\n{body}")
        return encoder.encode(pipeline.build_prompt(desk, language, subject, body, ()))

    return [prompt(one.subject, one.body) for one in workload(count)]


def sampling(grammar: str | None, max_tokens: int, **changes: Any) -> Any:
    """Sampling parameters as the worker's, without log-probabilities."""
    from vllm import SamplingParams  # noqa: PLC0415
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams  # noqa: PLC0415

    forced = StructuredOutputsParams(grammar=grammar) if grammar else None
    arguments: dict[str, Any] = {
        "temperature": 0.0,
        "seed": 0,
        "max_tokens": max_tokens,
        "output_kind": RequestOutputKind.FINAL_ONLY,
        "detokenize": False,
        "structured_outputs": forced,
    }
    return SamplingParams(**arguments | changes)


async def generate(
    llm: Any, prompts: Prompts, parameters: Any, *, in_flight: int = OUTSTANDING
) -> Generated:
    """Generate for every prompt, so many at a time: as one ends the next begins.

    `parameters` are the same for all, or a list of each one's.
    """
    from vllm import TokensPrompt  # noqa: PLC0415

    free, outputs = asyncio.Semaphore(in_flight), []

    async def one(ids: Sequence[int], asked: Any) -> None:
        async with free:
            async for output in llm.generate(
                TokensPrompt(prompt_token_ids=list(ids)), asked, request_id=uuid4().hex
            ):
                final = output
        outputs.append(final)

    each = parameters if isinstance(parameters, list) else [parameters] * len(prompts)
    started = time.perf_counter()
    await asyncio.gather(*(one(ids, asked) for ids, asked in zip(prompts, each, strict=True)))
    return Generated(time.perf_counter() - started, outputs)


def report(measured: Callable[[], Coroutine[Any, Any, Any]], profile: str = "demo") -> None:
    """Run a measurement in this process, prepared for vLLM, and print what it found."""
    os.environ.update(environment(load_profile(profile)))
    sys.stdout.write(f"RESULT {json.dumps(asyncio.run(measured()))}\n")


async def measure() -> dict[str, float]:
    prompts, grammar = demo_prompts(TICKETS)
    llm = start()
    parameters = sampling(grammar.ebnf, grammar.max_tokens)
    await generate(llm, prompts[:WARM_UP], parameters)
    found = await generate(llm, prompts, parameters)
    llm.shutdown()
    return {
        "tickets_s": len(prompts) / found.seconds,
        "tokens_s": found.tokens_s,
        "seconds": found.seconds,
    }


if __name__ == "__main__":
    if PLAIN in sys.argv[1:]:
        os.environ["VLLM_PLUGINS"] = ",".join(NECESSARY)
    report(measure)
