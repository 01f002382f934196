"""A logits processor that changes nothing: it tells the alternatives of labels (`alternatives`).

vLLM loads it into the engine's process and calls it in each step, after the grammar's mask. What it
sees of a request it keeps until the labels are written, or the request leaves: a message for each
step would wake the worker while the engine works.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from vllm import SamplingParams
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from worker.engine.alternatives import (
    MARKS_OF_A_LABEL,
    NAME,
    RECORD,
    Wanted,
    counter_of_marks,
    may_write_a_value,
)
from worker.engine.logits import Numbers

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate


@dataclass(slots=True)
class Row:
    """A request in the batch whose labels are not over: what it wants, may write and has written.

    `marks` are the quotation marks in the first `read` tokens of what it has written; `seen`, by
    place, the tokens that its values so far could have been written with, and their logits.
    """

    wanted: Wanted
    written: Sequence[int]
    read: int = 0
    marks: int = 0
    seen: dict[int, tuple[Numbers, Numbers]] = field(default_factory=dict)

    def see(self, allowed: Numbers, logits: Numbers) -> None:
        # A prompt that is read in parts comes by more than once; the last time counts.
        self.seen[len(self.written)] = allowed, logits


class Teller(LogitsProcessor):
    """Looks at the rows whose next token may be of a label's value, and at no others."""

    def __init__(self, config: "VllmConfig", _device: torch.device, _pinned: bool) -> None:
        tokenizer = cached_tokenizer_from_config(config.model_config)
        self._marks_in = counter_of_marks(tokenizer.decode)
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
        """Keep what may be written next; `logits` are (sequences, vocabulary) under their masks."""
        for index in self.rows():
            values = logits[index].float().numpy()
            allowed = np.flatnonzero(values > -math.inf)
            self.see(index, allowed, values[allowed])
        return logits

    def see(self, index: int, allowed: Numbers, logits: Numbers) -> None:
        """What `apply` keeps, from who knows what is allowed."""
        self._rows[index].see(allowed, logits)

    def rows(self) -> list[int]:
        """The rows of which this step's probabilities are wanted; those that are over are told."""
        open_ = []
        for index, one in list(self._rows.items()):
            for token in one.written[one.read :]:
                one.marks += self._marks_in(token)
            one.read = len(one.written)
            if one.marks >= one.wanted.labels * MARKS_OF_A_LABEL:
                self._tell(self._rows.pop(index))
            elif may_write_a_value(one.marks):
                open_.append(index)
        return open_

    def _tell(self, one: Row) -> None:
        """To the worker that asks; if it is gone, so will this process be."""
        if not one.seen:
            return
        ids, logits = zip(*one.seen.values(), strict=True)
        told = np.empty(sum(map(len, ids)), RECORD)
        told["key"] = one.wanted.key
        told["place"] = np.repeat(list(one.seen), list(map(len, ids)))
        told["id"], told["logit"] = np.concatenate(ids), np.concatenate(logits)
        with contextlib.suppress(OSError):
            if self._connection is None:
                self._connection = Client(one.wanted.address, family="AF_UNIX")
            self._connection.send_bytes(told.tobytes())
        one.seen.clear()


def row(params: SamplingParams, _prompt: list[int] | None, written: list[int]) -> Row | None:
    asked: dict[str, Any] = (params.extra_args or {}).get(NAME) or {}
    return Row(Wanted(**asked), written) if asked else None
