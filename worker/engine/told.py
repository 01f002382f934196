"""The tokens of an answer with what was told of each; a token is made when it is looked at.

Labels come first and only they are looked at: most of an answer costs nothing here.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from worker.engine.alternatives import NEGLIGIBLE_LOGPROB, Told
from worker.engine.contract import Token
from worker.engine.tokens import PromptEncoder

if TYPE_CHECKING:
    from vllm.logprobs import FlatLogprobs


class ToldBeside:
    """What `Teller` told; of a token that was not told of, nothing is known."""

    def __init__(self, ids: Sequence[int], told: Told, encoder: PromptEncoder) -> None:
        self._ids, self._told, self._encoder = ids, told, encoder

    def __iter__(self) -> Iterator[Token]:
        for place, chosen in enumerate(self._ids):
            told = self._told.get(place, {})
            yield token(chosen, told.get(chosen, -math.inf), told.items(), self._encoder)


class ToldByVllm:
    """vLLM's own log-probabilities; it ends with the labels (`labels_only`)."""

    def __init__(self, ids: Sequence[int], told: "FlatLogprobs", encoder: PromptEncoder) -> None:
        self._ids, self._told, self._encoder = ids, told, encoder

    def __iter__(self) -> Iterator[Token]:
        told = self._told
        for start, end in zip(told.start_indices, told.end_indices, strict=True):
            chosen, *others = zip(
                told.token_ids[start:end], told.logprobs[start:end], strict=True
            )  # vLLM tells the chosen one first, and again among the likeliest
            yield token(*chosen, others, self._encoder)
        for untold in self._ids[len(told.start_indices) :]:
            yield token(untold, -math.inf, (), self._encoder)


def token(
    chosen: int, logprob: float, others: Iterable[tuple[int, float]], encoder: PromptEncoder
) -> Token:
    return Token(
        encoder.text_of(chosen),
        logprob,
        tuple(
            (encoder.text_of(token_id), value)
            for token_id, value in others
            if token_id != chosen and value > NEGLIGIBLE_LOGPROB
        ),
    )
