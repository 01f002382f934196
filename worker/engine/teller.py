"""A logits processor that changes nothing: it tells the alternatives of labels (`alternatives`).

vLLM loads it into the engine's process and calls it in each step, after the grammar's mask.
"""

import contextlib
import math
from collections.abc import Sequence
from multiprocessing.connection import Client, Connection
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from worker.engine.alternatives import COUNT, NAME, RECORD, Wanted

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate

FEW = 64
"""More than can begin a label or go on with it: 36 at most with the demonstration's vocabulary."""
Row = tuple[Wanted, Sequence[int]]
"""What is wanted of a request, and the tokens it has written so far."""


class Teller(LogitsProcessor):
    """Looks at the rows whose requests still write labels, and at no others."""

    def __init__(self, _config: "VllmConfig", _device: torch.device, _pinned: bool) -> None:
        self._rows: dict[int, Row] = {}
        self._connection: Connection | None = None

    def is_argmax_invariant(self) -> bool:
        return False  # those that are, vLLM skips where sampling is greedy

    def update_state(self, batch_update: "BatchUpdate | None") -> None:
        process_dict_updates(self._rows, batch_update, row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        open_ = [
            (index, wanted.key, len(written))
            for index, (wanted, written) in self._rows.items()
            if len(written) < wanted.places
        ]
        if open_:
            indices, keys, places = zip(*open_, strict=True)
            values, ids = likeliest(logits.index_select(0, torch.tensor(indices)))
            records = np.empty(len(open_), RECORD)
            records["key"], records["place"] = keys, places
            records["ids"], records["logprobs"] = ids.numpy(), values.numpy()
            self._send(records.tobytes())
        return logits

    def _send(self, told: bytes) -> None:
        """To the worker that asks; if it is gone, so will this process be."""
        wanted, _ = next(iter(self._rows.values()))
        with contextlib.suppress(OSError):
            if self._connection is None:
                self._connection = Client(wanted.address, family="AF_UNIX")
            self._connection.send_bytes(told)


def likeliest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and ids of each row's `COUNT` likeliest tokens."""
    values, ids = logits.topk(min(FEW, logits.shape[-1]), dim=-1)
    # Where the grammar allows few tokens, these are all of them; else the whole row is summed.
    whole = logits if values[:, -1].max() > -math.inf else values
    logprobs = values[:, :COUNT] - whole.logsumexp(dim=-1, keepdim=True)
    return logprobs, ids[:, :COUNT]


def row(params: SamplingParams, _prompt: list[int] | None, written: list[int]) -> Row | None:
    asked: dict[str, Any] = (params.extra_args or {}).get(NAME) or {}
    return (Wanted(**asked), written) if asked else None
