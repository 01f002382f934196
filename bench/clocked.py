"""A card that is only a clock: a worker of vLLM's whose steps take time, and no processor.

Its model computes nothing; what is written is random, under the grammar.
"""

import time
from functools import partial
from itertools import cycle
from typing import Any

import torch
from vllm.v1.worker.cpu_worker import CPUWorker

STEP_MS = "step_ms"
"""In vLLM's `additional_config`: how long a step takes."""
ROWS, ROWS_APART = 4096, 17
"""Random logits; each step begins so many rows after the one before."""


class Clock:
    """When a card would be done with what it was given, one step after the other."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self.done_at = 0.0

    def give(self) -> None:
        self.done_at = max(self.done_at, time.perf_counter()) + self._step_s


class Event:
    """What vLLM waits for: that the card is done with all it was given before."""

    def __init__(self, clock: Clock, **_: bool) -> None:
        self._clock, self._at = clock, 0.0

    def record(self) -> None:
        self._at = self._clock.done_at

    def synchronize(self) -> None:
        time.sleep(max(0.0, self._at - time.perf_counter()))


class ClockedWorker(CPUWorker):
    def load_model(self, *given: Any, **named: Any) -> None:
        super().load_model(*given, **named)
        asked: Any = self.vllm_config.additional_config
        clock = Clock(asked[STEP_MS] / 1000)
        width, words = self.model_config.get_hidden_size(), self.model_config.get_vocab_size()
        random = torch.randn(ROWS, words, dtype=torch.bfloat16)
        starts = cycle(range(0, ROWS - self.scheduler_config.max_num_seqs, ROWS_APART))

        def forward(input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
            clock.give()
            return torch.zeros(len(input_ids), width, dtype=torch.bfloat16)

        def logits(hidden: torch.Tensor) -> torch.Tensor:
            first = next(starts)
            return random[first : first + len(hidden)].clone()

        runner: Any = self.model_runner
        runner._model_forward, runner.model.compute_logits = forward, logits
        runner.prepare_inputs_event = Event(clock)
        torch.cuda.Event = partial(Event, clock)  # type: ignore[assignment, misc]
