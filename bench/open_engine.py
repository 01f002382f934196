"""The worker's own engine, asked past the worker, and the speed that vLLM counts."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from uuid import uuid4

from prometheus_client import REGISTRY

from bench.bare import OUTSTANDING, Prompts
from worker.engine.vllm_engine import VllmEngine

BEGUN_WITHIN_S, SETTLE_S, MEASURED_S = 1.0, 3.0, 10.0
WRITTEN, STEPS = "vllm:generation_tokens_total", "vllm:iteration_tokens_total_count"


class OpenEngine(VllmEngine):
    """The worker's engine, which can be asked past the worker."""

    def keep_busy(self, prompts: Prompts, parameters: Any) -> Callable[[], int]:
        """Ask for one prompt after the other, OUTSTANDING at a time.

        They begin one by one, as tickets come: answers of one length, which random weights write,
        would all end in the same step, and a step with a new prompt costs more.

        Returns what ends that and says how many were answered.
        """
        from vllm import TokensPrompt  # noqa: PLC0415  # after the environment is set

        is_over = threading.Event()

        async def ask(mine: Prompts, begin_s: float) -> int:
            await asyncio.sleep(begin_s)
            for answered, ids in enumerate(cycle(mine)):
                if is_over.is_set():
                    return answered
                prompt = TokensPrompt(prompt_token_ids=list(ids))
                async for _ in self._llm.generate(prompt, parameters, request_id=uuid4().hex):
                    pass
            raise AssertionError("there is nothing to ask")

        asked: list[Future[int]] = [
            self._on_loop(ask(prompts[one::OUTSTANDING], one * BEGUN_WITHIN_S / OUTSTANDING))
            for one in range(OUTSTANDING)
        ]

        def end() -> int:
            is_over.set()
            return sum(one.result() for one in asked)

        return end

    def alone(
        self, measure: Callable[[Any], Coroutine[Any, Any, dict[str, float]]]
    ) -> dict[str, float]:
        """What somebody measures of vLLM itself, on its own event loop."""
        found: dict[str, float] = self._on_loop(measure(self._llm)).result()
        return found


@dataclass(frozen=True, slots=True)
class Speed:
    """What vLLM itself counts: tokens written a second, and a step; that is, sequences in it."""

    tokens_s: float
    tokens_step: float


def measured_speed() -> Speed:
    """Once the batch is full."""
    time.sleep(SETTLE_S)
    started, written, steps = time.perf_counter(), counted(WRITTEN), counted(STEPS)
    time.sleep(MEASURED_S)
    took = time.perf_counter() - started
    tokens = counted(WRITTEN) - written
    return Speed(tokens / took, tokens / (counted(STEPS) - steps))


def counted(name: str) -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == name
    )
