"""Log-probabilities on a card: a row of logits is read in few wide pieces.

vLLM's kernel reads the 131,072 logits of a row 1,024 at a time, twice, and waits for each piece: 97
microseconds in every step that tells log-probabilities, of seven milliseconds on an H200. Started
with wider pieces it takes 17. vLLM calls `read_wide` in each of its processes (the entry point
`vllm.general_plugins`).
"""

from collections.abc import Callable
from typing import Any

from worker.engine.profiles import NVIDIA_DRIVER

PIECE, WARPS = 16_384, 16
"""Logits read at once, and groups of 32 threads that read them (docs/decisions/alternatives.md)."""


class Wide:
    """A kernel of Triton's that is always started with these two."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        launch = self._kernel[grid]

        def wide(*arguments: Any, **named: Any) -> None:
            launch(*arguments, **named | {"BLOCK_SIZE": PIECE, "num_warps": WARPS})

        return wide


def read_wide() -> None:
    """Where there is a card, and in vLLM a kernel of that name and shape."""
    if not NVIDIA_DRIVER.exists():
        return
    try:
        from vllm.v1.worker.gpu.sample import logprob  # noqa: PLC0415  # imports torch: seconds
    except ImportError:
        return
    kernel = getattr(logprob, "_topk_log_softmax_kernel", None)
    if "BLOCK_SIZE" in getattr(kernel, "arg_names", ()):
        logprob._topk_log_softmax_kernel = Wide(kernel)
