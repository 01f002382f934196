"""The bare engine: the workload's prompts straight into AsyncLLM, 16 in flight. Prints JSON.

Runs as a process of its own with the profile's environment, as the worker does.
"""

import asyncio
import json
import os
import time
from typing import Any
from uuid import uuid4

from bench.workload import workload
from models.demo.prompt import TAXONOMY, example_prompt
from worker.engine.grammar import reply_grammar
from worker.engine.profiles import load_profile
from worker.engine.tokens import PromptEncoder
from worker.engine.vllm_engine import environment, load

IN_FLIGHT = 16
WARM_UP = 16


async def measure() -> dict[str, float]:
    profile = load_profile("demo")
    encoder, grammar = PromptEncoder(profile.model_path), reply_grammar(TAXONOMY)
    prompts = [encoder.encode(example_prompt(example)) for example in workload()]
    llm = await load(profile)
    await run(llm, prompts[:WARM_UP], grammar.ebnf, grammar.max_tokens)
    started = time.perf_counter()
    tokens = await run(llm, prompts, grammar.ebnf, grammar.max_tokens)
    seconds = time.perf_counter() - started
    llm.shutdown()
    return {"tickets_s": len(prompts) / seconds, "tokens_s": tokens / seconds, "seconds": seconds}


async def run(llm: Any, prompts: list[list[int]], ebnf: str, max_tokens: int) -> int:
    """Generate for every prompt, 16 at a time; the tokens written."""
    from vllm import SamplingParams, TokensPrompt  # noqa: PLC0415  # after the environment is set
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams  # noqa: PLC0415

    free, tokens = asyncio.Semaphore(IN_FLIGHT), 0

    async def one(ids: list[int]) -> None:
        nonlocal tokens
        sampling = SamplingParams(
            temperature=0.0,
            seed=0,
            max_tokens=max_tokens,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(grammar=ebnf),
        )
        async with free:
            async for output in llm.generate(
                TokensPrompt(prompt_token_ids=ids), sampling, request_id=uuid4().hex
            ):
                tokens += len(output.outputs[0].token_ids)

    await asyncio.gather(*(one(ids) for ids in prompts))
    return tokens


if __name__ == "__main__":
    os.environ.update(environment(load_profile("demo")))
    print("RESULT", json.dumps(asyncio.run(measure())))
