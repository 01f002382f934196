"""A logits processor that changes nothing: it tells the alternatives of labels (`alternatives`).

vLLM loads it into the engine's process and calls it in each step, after the grammar's mask. What it
sees of a request it keeps until the labels are written, or the request leaves: a message for each
step would wake the worker while the engine works.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(slots=True)
class Row:
    """A request in the batch: what it wants to be told, its tokens so far, what is untold."""

    wanted: Wanted
    written: Sequence[int]
    untold: bytes = b""


class Teller(LogitsProcessor):
    """Looks at the rows whose requests still write labels, and at no others."""

    def __init__(self, _config: "VllmConfig", _device: torch.device, _pinned: bool) -> None:
        self._rows: dict[int, Row] = {}
        self._connection: Connection | None = None

    def is_argmax_invariant(self) -> bool:
        return False  # those that are, vLLM skips where sampling is greedy

    def update_state(self, batch_update: "BatchUpdate | None") -> None:
        if not batch_update:  # as in most steps
            return
        before = list(self._rows.values())
        process_dict_updates(self._rows, batch_update, row)
        stay = {one.wanted.key for one in self._rows.values()}
        for gone in before:
            if gone.wanted.key not in stay:
                self._tell(gone)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        open_ = [
            (index, one)
            for index, one in self._rows.items()
            if len(one.written) < one.wanted.places
        ]
        if open_:
            indices, rows = zip(*open_, strict=True)
            values, ids = likeliest(logits.index_select(0, torch.tensor(indices)))
            records = np.empty(len(rows), RECORD)
            records["key"] = [one.wanted.key for one in rows]
            records["place"] = [len(one.written) for one in rows]
            records["ids"], records["logprobs"] = ids.numpy(), values.numpy()
            for one, record in zip(rows, records, strict=True):
                one.untold += record.tobytes()
                if len(one.written) + 1 == one.wanted.places:
                    self._tell(one)
        return logits

    def _tell(self, one: Row) -> None:
        """To the worker that asks; if it is gone, so will this process be."""
        if not one.untold:
            return
        with contextlib.suppress(OSError):
            if self._connection is None:
                self._connection = Client(one.wanted.address, family="AF_UNIX")
            self._connection.send_bytes(one.untold)
        one.untold = b""


def likeliest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and ids of each row's `COUNT` likeliest tokens."""
    values, ids = logits.topk(min(FEW, logits.shape[-1]), dim=-1)
    # Where the grammar allows few tokens, these are all of them; else the whole row is summed.
    whole = logits if values[:, -1].max() > -math.inf else values
    logprobs = values[:, :COUNT] - whole.logsumexp(dim=-1, keepdim=True)
    return logprobs, ids[:, :COUNT]


def row(params: SamplingParams, _prompt: list[int] | None, written: list[int]) -> Row | None:
    asked: dict[str, Any] = (params.extra_args or {}).get(NAME) or {}
    return Row(Wanted(**asked), written) if asked else None
