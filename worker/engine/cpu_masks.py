"""Grammars on CPUs: what a model chooses is held against the grammar, masks come where it must.

On a card the masks of the next tokens are found while the card computes, and laid over the logits
by one small kernel. On a CPU the thread that computes does all of it, a tenth of the demonstration
model's step. But the model mostly chooses what its grammar allows, and where an answer is greedy
the likeliest token of all is then the likeliest of those allowed: it is looked up first, and only
where the grammar refuses it a mask is found and laid over the row. Where that settles every row's
token, nothing is left to sample. The answers are the same.

vLLM calls `bring_masks` in each of its processes (the entry point `vllm.general_plugins`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from xgrammar import allocate_token_bitmask

from worker.engine.ahead import AheadGrammar, accept
from worker.engine.logits import Numbers, as_floats, as_integers, lowest
from worker.engine.teller import Teller

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
    from vllm.v1.outputs import SamplerOutput
    from vllm.v1.request import Request
    from vllm.v1.sample.logits_processor import LogitsProcessors
    from vllm.v1.sample.metadata import SamplingMetadata
    from vllm.v1.structured_output import StructuredOutputManager
    from vllm.v1.structured_output.backend_types import StructuredOutputGrammar
    from vllm.v1.worker.gpu_input_batch import InputBatch

IN_ONE_PROCESS = "uni"
"""vLLM's word for an executor that runs the model in the scheduler's own process."""
CHOSEN = "chosen_tokens"
"""The attribute of logits, from which nothing has to be sampled any more, with each row's token."""
Row = tuple[int, "StructuredOutputGrammar", bool]
"""Of a batch: its index, the grammar of its request, and whether that may be held against it."""
BYTES = np.arange(256, dtype=np.uint8)
FORBIDDEN = (np.unpackbits(BYTES[:, None], axis=1, bitorder="little") == 0).view("V8").ravel()
"""For each byte of a mask which of its eight tokens it forbids."""


@dataclass(slots=True)
class Constraints:
    """In place of masks: the requests themselves, in the process that runs the model, too."""

    requests: Mapping[str, "Request"]
    vocabulary: int


@dataclass(slots=True)
class Rows:
    """The rows of a batch that are under a grammar: in most steps they are those of the last."""

    names: Sequence[str] = ()
    batch: Sequence[str] = ()
    rows: Sequence[Row] = ()

    def going_on(
        self, requests: Mapping[str, "Request"], names: Sequence[str], batch: Sequence[str]
    ) -> Sequence[Row]:
        """`names` are the requests with a grammar, `batch` are all requests, row by row."""
        if names != self.names or batch != self.batch:
            self.names, self.batch = list(names), list(batch)
            row_of = {name: row for row, name in enumerate(batch)}
            self.rows = [under(row_of[name], requests[name]) for name in names if name in row_of]
        return [one for one in self.rows if not one[1].is_terminated()]


def under(row: int, request: "Request") -> Row:
    assert request.structured_output_request is not None
    grammar = cast("StructuredOutputGrammar", request.structured_output_request.grammar)
    return row, grammar, is_held(request, grammar)


def bring_masks() -> None:
    """On a CPU have vLLM do as above, before it imports what masks; else nothing."""
    from vllm.platforms import current_platform  # noqa: PLC0415  # only engines have vLLM

    if not current_platform.is_cpu():
        return  # on a card masks are made while the step before is calculated
    from vllm.v1.sample.sampler import Sampler  # noqa: PLC0415
    from vllm.v1.structured_output import (  # noqa: PLC0415
        StructuredOutputManager,
        backend_xgrammar,
        utils,
    )

    backend_xgrammar.XgrammarGrammar = AheadGrammar  # type: ignore[misc]
    StructuredOutputManager.grammar_bitmask = constraining(  # type: ignore[method-assign]
        StructuredOutputManager.grammar_bitmask
    )
    utils.apply_grammar_bitmask = holding(utils.apply_grammar_bitmask)
    Sampler.forward = choosing(Sampler.forward)  # type: ignore[method-assign]


def constraining(find_masks: Callable[..., Any]) -> Callable[..., Any]:
    """vLLM's `grammar_bitmask`, which finds a mask for each request, where it has to."""

    def constraints(
        manager: "StructuredOutputManager",
        requests: Mapping[str, "Request"],
        names: Sequence[str],
        drafts: Mapping[str, Sequence[int]],
    ) -> Any:
        config = manager.vllm_config
        executor = config.parallel_config.distributed_executor_backend
        if config.speculative_config or executor != IN_ONE_PROCESS:
            return find_masks(manager, requests, names, drafts)
        return Constraints(requests, config.model_config.get_vocab_size())

    return constraints


def holding(lay_masks: Callable[..., None]) -> Callable[..., None]:
    """vLLM's `apply_grammar_bitmask`, where it got masks."""

    rows = Rows()

    def apply_grammar_bitmask(
        scheduled: "SchedulerOutput", found: "GrammarOutput", batch: "InputBatch", *logits: Any
    ) -> None:
        if isinstance(found.grammar_bitmask, Constraints):
            names = found.structured_output_request_ids
            going_on = rows.going_on(found.grammar_bitmask.requests, names, batch.req_ids)
            hold(found.grammar_bitmask.vocabulary, going_on, batch, *logits)
        else:
            lay_masks(scheduled, found, batch, *logits)

    return apply_grammar_bitmask


def choosing(sample: Callable[..., "SamplerOutput"]) -> Callable[..., "SamplerOutput"]:
    """vLLM's `Sampler.forward`, where a token is still to be chosen."""
    from vllm.v1.outputs import SamplerOutput  # noqa: PLC0415

    def forward(
        sampler: object, logits: torch.Tensor, sampling_metadata: "SamplingMetadata", **more: Any
    ) -> SamplerOutput:
        chosen = getattr(logits, CHOSEN, None)
        if chosen is None:
            return sample(sampler, logits, sampling_metadata, **more)
        return SamplerOutput(torch.tensor(chosen, dtype=torch.int32).unsqueeze(-1), None)

    return forward


def hold(vocabulary: int, rows: Sequence[Row], batch: "InputBatch", logits: torch.Tensor) -> None:
    """Forbid, in place, what the grammars of these rows do not allow, where it may be chosen.

    `logits` are (sequences, vocabulary). If all of them are greedy, they stay as they are, `CHOSEN`
    says their tokens, and the tellers have seen what may be chosen: vLLM's sampler, which shows
    them logits, is passed over.
    """
    numbers = as_integers(logits)
    told = {row: teller for teller in tellers(batch.logitsprocs) for row in teller.rows()}
    tokens = numbers.argmax(axis=1).tolist()
    held: list[Row] = []
    masked: list[Row] = []
    for one in rows:
        row, _, is_held = one
        is_certain = is_held and row not in told and numbers.item(row, tokens[row]) > 0
        (held if is_certain else masked).append(one)
    accepted = accept([(cast("AheadGrammar", grammar), tokens[row]) for row, grammar, _ in held])
    masked += [one for one, is_accepted in zip(held, accepted, strict=True) if not is_accepted]
    if sum(is_held for _, _, is_held in rows) == len(tokens):
        for row, grammar, _ in masked:
            allowed = allowed_tokens(cast("AheadGrammar", grammar), vocabulary, numbers.shape[1])
            tokens[row] = choose(row, numbers[row], logits.dtype, allowed, told.get(row))
        setattr(logits, CHOSEN, tokens)
    else:
        for row, grammar, _ in masked:
            mask_row(numbers[row], lowest(logits.dtype), grammar, vocabulary)


def allowed_tokens(grammar: AheadGrammar, vocabulary: int, count: int) -> Numbers:
    """Those of the first `count` that may be next, by a mask if they were not found there yet."""
    allowed = grammar.allowed
    if allowed is None:
        allowed = np.flatnonzero(~forbidden_tokens(grammar, vocabulary)[:count])
        grammar.keep_allowed(allowed)
    return allowed


def choose(
    row: int, logits: Numbers, dtype: torch.dtype, allowed: Numbers, teller: Teller | None
) -> int:
    """The likeliest of a row's allowed tokens; its teller, if it has one, sees them all."""
    values = as_floats(logits.take(allowed), dtype)
    if teller:
        teller.see(row, allowed, values)
    return int(allowed[values.argmax()]) if len(values) else 0  # as of equals the first is taken


def is_held(request: "Request", grammar: "StructuredOutputGrammar") -> bool:
    """Whether an answer can be held against its grammar: the same at each of its steps."""
    if not isinstance(grammar, AheadGrammar):
        return False
    if grammar.is_held is None:
        assert request.sampling_params is not None
        asked = request.sampling_params
        grammar.is_held = is_greedy(asked)
        if asked.structured_outputs and (ebnf := asked.structured_outputs.grammar):
            grammar.read_later(ebnf)
    return grammar.is_held


def is_greedy(asked: "SamplingParams") -> bool:
    """Whether the likeliest token that the grammar allows is taken, and vLLM tells no others."""
    return (
        asked.temperature == 0
        and asked.logprobs is None
        and not (asked.presence_penalty or asked.frequency_penalty or asked.min_tokens)
        and asked.repetition_penalty == 1
        and not (asked.logit_bias or asked.bad_words or asked.allowed_token_ids)
        and not asked.logprob_token_ids
    )


def tellers(processors: "LogitsProcessors") -> Iterator[Teller]:
    """Those who tell probabilities: they are those under the mask."""
    return (one for one in processors.non_argmax_invariant if isinstance(one, Teller))


def mask_row(
    row: Numbers, forbid: int, grammar: "StructuredOutputGrammar", vocabulary: int
) -> None:
    """Lay a grammar's mask over one row of logits."""
    forbidden = forbidden_tokens(grammar, vocabulary)[: len(row)]
    np.copyto(row[: len(forbidden)], forbid, where=forbidden)


def forbidden_tokens(grammar: "StructuredOutputGrammar", vocabulary: int) -> Numbers:
    """For each token whether the grammar forbids it: each byte of its mask is eight truths."""
    mask = empty_mask(vocabulary)
    grammar.fill_bitmask(mask, 0)
    forbidden: Numbers = FORBIDDEN.take(mask.numpy().view(np.uint8)[0]).view(bool)
    return forbidden


@cache
def empty_mask(vocabulary: int) -> torch.Tensor:
    """Room for one mask, (1, vocabulary / 32): a bit for each token, set where it is allowed."""
    return allocate_token_bitmask(1, vocabulary)
