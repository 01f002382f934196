"""A logits processor that changes nothing: it tells the alternatives of labels (`alternatives`).

vLLM loads it into the engine's process and calls it in each step, after the grammar's mask.
"""

import contextlib
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
            some = logits.index_select(0, torch.tensor(indices))
            top = some.topk(COUNT, dim=-1)
            logprobs = top.values - some.logsumexp(dim=-1, keepdim=True)
            records = np.empty(len(open_), RECORD)
            records["key"], records["place"] = keys, places
            records["ids"], records["logprobs"] = top.indices.numpy(), logprobs.numpy()
            self._send(records.tobytes())
        return logits

    def _send(self, told: bytes) -> None:
        """To the worker that asks; if it is gone, so will this process be."""
        wanted, _ = next(iter(self._rows.values()))
        with contextlib.suppress(OSError):
            if self._connection is None:
                self._connection = Client(wanted.address, family="AF_UNIX")
            self._connection.send_bytes(told)


def row(params: SamplingParams, _prompt: list[int] | None, written: list[int]) -> Row | None:
    asked: dict[str, Any] = (params.extra_args or {}).get(NAME) or {}
    return (Wanted(**asked), written) if asked else None
