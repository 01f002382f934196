"""vLLM's own log-probabilities end where the labels of an answer do.

It tells them for every token: each step cuts them out of the batch's for every request, packs them
in the engine's process, which cannot prepare the next step meanwhile, and has the worker unpack
them. Labels stand first and only they are looked at, so a request whose labels are written asks for
no more. vLLM calls `tell_labels_only` in each of its processes (the entry point
`vllm.general_plugins`).
"""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from worker.engine.alternatives import MARKS_OF_A_LABEL, counter_of_marks

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.tokenizers import TokenizerLike
    from vllm.v1.engine import EngineCoreOutputs

MARKS = "triage_marks"
"""In a request's `extra_args`: the quotation marks that its labels have still to come to."""


def until_labels_end(labels: int) -> dict[str, int]:
    """The `extra_args` of a request that wants log-probabilities of its first labels alone."""
    return {MARKS: labels * MARKS_OF_A_LABEL}


def tell_labels_only() -> None:
    """Where vLLM has a scheduler of that name, have it look at what it tells."""
    try:
        from vllm.tokenizers import cached_tokenizer_from_config  # noqa: PLC0415
        from vllm.v1.core.sched.scheduler import Scheduler  # noqa: PLC0415  # imports torch
    except ImportError:
        return
    update = Scheduler.update_from_output
    if hasattr(update, "__wrapped__"):  # vLLM may call this in a process more than once
        return

    @wraps(update)
    def update_from_output(self: Any, *given: Any) -> "dict[int, EngineCoreOutputs]":
        told = update(self, *given)
        for outputs in told.values():
            for one in outputs.outputs:
                if one.new_logprobs and (request := self.requests.get(one.request_id)):
                    asked = request.sampling_params
                    if MARKS in (asked.extra_args or {}):
                        tokenizer = cached_tokenizer_from_config(self.vllm_config.model_config)
                        end_with_labels(asked, one.new_token_ids, marks_by(tokenizer))
        return told

    Scheduler.update_from_output = update_from_output  # type: ignore[method-assign, assignment]


@cache
def marks_by(tokenizer: "TokenizerLike") -> Callable[[int], int]:
    return counter_of_marks(tokenizer.decode)


def end_with_labels(
    asked: "SamplingParams", written: Sequence[int], marks_in: Callable[[int], int]
) -> None:
    """Count what a request has just written; after its labels' last mark it asks for no more."""
    assert asked.extra_args
    asked.extra_args[MARKS] -= sum(map(marks_in, written))
    if asked.extra_args[MARKS] <= 0:
        asked.logprobs = None
