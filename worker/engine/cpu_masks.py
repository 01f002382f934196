"""Grammars on CPUs: what a model chooses is held against the grammar, masks come where it must.

On a card the masks of the next tokens are found while the card computes, and laid over the logits
by one small kernel. On a CPU the thread that computes does all of it, a tenth of the demonstration
model's step. But the model mostly chooses what its grammar allows, and where an answer is greedy
the likeliest token of all is then the likeliest of those allowed: it is looked up first, and only
where the grammar refuses it a mask is found and laid over the row. The answers are the same.

vLLM calls `bring_masks` in each of its processes (the entry point `vllm.general_plugins`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from xgrammar import allocate_token_bitmask

from worker.engine.ahead import AheadGrammar, accept
from worker.engine.teller import Teller

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
    from vllm.v1.request import Request
    from vllm.v1.structured_output import StructuredOutputManager
    from vllm.v1.structured_output.backend_types import StructuredOutputGrammar
    from vllm.v1.worker.gpu_input_batch import InputBatch

Numbers = np.ndarray[Any, Any]
BYTES = np.arange(256, dtype=np.uint8)
FORBIDDEN = (np.unpackbits(BYTES[:, None], axis=1, bitorder="little") == 0).view("V8").ravel()
"""For each byte of a mask which of its eight tokens it forbids."""


@dataclass(slots=True)
class Constraints:
    """What a step's requests may write, in place of vLLM's masks: the requests themselves.

    Given by the scheduler to what runs the model, in the same process: a CPU's profiles have one
    for both (`distributed_executor_backend`).
    """

    requests: Mapping[str, "Request"]
    vocabulary: int


def bring_masks() -> None:
    """On a CPU have vLLM do as above, before it imports what masks; else nothing."""
    from vllm.platforms import current_platform  # noqa: PLC0415  # only engines have vLLM
    from vllm.v1.structured_output import (  # noqa: PLC0415
        StructuredOutputManager,
        backend_xgrammar,
        utils,
    )

    if current_platform.is_cpu():
        backend_xgrammar.XgrammarGrammar = AheadGrammar  # type: ignore[misc]
        StructuredOutputManager.grammar_bitmask = constraints  # type: ignore[method-assign, assignment]
        utils.apply_grammar_bitmask = apply_grammar_bitmask


def constraints(
    manager: "StructuredOutputManager",
    requests: dict[str, "Request"],
    _names: list[str],
    _drafts: dict[str, list[int]],
) -> Constraints:
    """In place of vLLM's `grammar_bitmask`, which finds a mask for each request."""
    assert manager.backend is not None
    return Constraints(requests, manager.backend.vocab_size)


def is_greedy(asked: "SamplingParams") -> bool:
    """Whether the likeliest token that the grammar allows is taken, and vLLM tells no others."""
    return (
        asked.temperature == 0
        and asked.logprobs is None
        and not (asked.presence_penalty or asked.frequency_penalty or asked.min_tokens)
        and asked.repetition_penalty == 1
        and not (asked.logit_bias or asked.bad_words or asked.allowed_token_ids)
    )


def apply_grammar_bitmask(
    scheduler_output: "SchedulerOutput",
    grammar_output: "GrammarOutput",
    input_batch: "InputBatch",
    logits: torch.Tensor,
) -> None:
    """vLLM's function of this name: forbid, in place, what the grammars of a batch do not allow.

    `logits` are (sequences, vocabulary); `grammar_output` holds `Constraints`.
    """
    assert not scheduler_output.scheduled_spec_decode_tokens, "no profile guesses tokens ahead"
    wanted = cast("Constraints", grammar_output.grammar_bitmask)
    row_of = {name: row for row, name in enumerate(input_batch.req_ids)}
    numbers, told = as_integers(logits), told_rows(input_batch)
    likeliest = numbers.argmax(axis=1)
    is_certain = (numbers[np.arange(len(numbers)), likeliest] > 0).tolist()
    masked, held = [], []
    for name in grammar_output.structured_output_request_ids:
        row = row_of.get(name)
        if row is None or (grammar := grammar_of(wanted.requests[name])).is_terminated():
            continue
        if is_certain[row] and row not in told and is_held(wanted.requests[name], grammar):
            held.append((row, cast("AheadGrammar", grammar)))
        else:
            masked.append((row, grammar))
    tokens = likeliest.tolist()
    accepted = accept([(grammar, tokens[row]) for row, grammar in held])
    masked += [one for one, is_accepted in zip(held, accepted, strict=True) if not is_accepted]
    for row, grammar in masked:
        mask_row(numbers[row], lowest(logits.dtype), grammar, wanted.vocabulary)


def grammar_of(request: "Request") -> "StructuredOutputGrammar":
    assert request.structured_output_request is not None
    return request.structured_output_request.grammar  # type: ignore[return-value]  # it is compiled


def is_held(request: "Request", grammar: "StructuredOutputGrammar") -> bool:
    """Whether an answer can be held against its grammar: the same at each of its steps."""
    if not isinstance(grammar, AheadGrammar):
        return False
    if grammar.is_held is None:
        assert request.sampling_params is not None
        grammar.is_held = is_greedy(request.sampling_params)
    return grammar.is_held


def told_rows(batch: "InputBatch") -> set[int]:
    """The rows of which probabilities are told: they are those under the mask."""
    tellers = (one for one in batch.logitsprocs.all if isinstance(one, Teller))
    return {row for teller in tellers for row in teller.rows()}


def as_integers(logits: torch.Tensor) -> Numbers:
    """The same memory: numbers that are positive are ordered as integers of their size are.

    So where one is, the first of the largest is the one that torch's `argmax` documents to find.
    """
    return logits.view({2: torch.int16, 4: torch.int32}[logits.itemsize]).numpy()


@cache
def lowest(dtype: torch.dtype) -> int:
    """Minus infinity, as `as_integers` shows it."""
    return int(as_integers(torch.tensor([-torch.inf], dtype=dtype))[0])


def mask_row(
    row: Numbers, forbid: int, grammar: "StructuredOutputGrammar", vocabulary: int
) -> None:
    """Lay a grammar's mask over one row of logits: each byte of it is looked up as eight truths."""
    mask = empty_mask(vocabulary)
    grammar.fill_bitmask(mask, 0)
    forbidden = FORBIDDEN.take(mask.numpy().view(np.uint8)[0]).view(bool)[: len(row)]
    np.copyto(row[: len(forbidden)], forbid, where=forbidden)


@cache
def empty_mask(vocabulary: int) -> torch.Tensor:
    """Room for one mask, (1, vocabulary / 32): a bit for each token, set where it is allowed."""
    return allocate_token_bitmask(1, vocabulary)
