"""The grammar's mask on CPUs, laid over the logits in one pass.

On a card xgrammar masks with one small kernel. On a CPU it writes minus infinity into the logits
one by one, and vLLM converts them to 32 bits before and back after: half a millisecond for 16 rows
of the demonstration's vocabulary, of a step's seven. Here each byte of the mask is looked up as
eight numbers that a logit may at most be, and the minimum is taken, whatever the mask says.

vLLM calls `bring_mask` in each of its processes (the entry point `vllm.general_plugins`).
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
    from vllm.v1.worker.gpu_input_batch import InputBatch

ALL_ALLOWED = -1
"""A mask's 32 bits, one for each token, set where the grammar allows it."""


def bring_mask() -> None:
    """On a CPU have vLLM mask as below, before it imports what masks; else nothing."""
    from vllm.platforms import current_platform  # noqa: PLC0415  # only engines have vLLM
    from vllm.v1.structured_output import utils  # noqa: PLC0415

    if current_platform.is_cpu():
        utils.apply_grammar_bitmask = apply_grammar_bitmask


def apply_grammar_bitmask(
    scheduler_output: "SchedulerOutput",
    grammar_output: "GrammarOutput",
    input_batch: "InputBatch",
    logits: torch.Tensor,
) -> None:
    """vLLM's function of this name: forbid, in place, what the grammars of a batch do not allow.

    `logits` are (sequences, vocabulary); the masks (sequences with a grammar, vocabulary / 32).
    """
    assert not scheduler_output.scheduled_spec_decode_tokens, "no profile guesses tokens ahead"
    bitmask = grammar_output.grammar_bitmask
    masks = np.concatenate([bitmask, np.full_like(bitmask[:1], ALL_ALLOWED)])
    place = {name: at for at, name in enumerate(grammar_output.structured_output_request_ids)}
    rows = masks[[place.get(request, -1) for request in input_batch.req_ids]]
    found = bounds(logits.dtype).take(rows.view(np.uint8)).view(np.uint8)
    at_most = torch.from_numpy(found).view(logits.dtype)
    width = min(logits.shape[1], at_most.shape[1])
    masked = logits[:, :width]
    torch.minimum(masked, at_most[:, :width], out=masked)


@cache
def bounds(dtype: torch.dtype) -> "np.ndarray[Any, Any]":
    """For each byte of a mask what eight logits may at most be, as bytes of their type."""
    allowed = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    numbers = torch.where(torch.from_numpy(allowed).bool(), torch.inf, -torch.inf).to(dtype)
    return numbers.view(torch.uint8).numpy().view(f"V{8 * dtype.itemsize}").ravel()
