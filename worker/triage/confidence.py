"""How sure the engine was of each label, and what follows for the reply.

Confidence is never the model's own word. It is the probability of the label's value among the
values the grammar allowed: the product of the probabilities of the tokens that spell it, each
already renormalised over the allowed tokens by the engine.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.reply import LABELS
from worker.engine.contract import Token


class Disposition(StrEnum):
    """What a desk does with a reply: send it, look at it first, or write its own."""

    AUTO = "auto"
    SUGGEST = "suggest"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Probabilities: from `auto` on nobody has to look, below `suggest` a person decides."""

    suggest: float
    auto: float


def of_labels(tokens: Sequence[Token]) -> dict[str, float]:
    """The probability of each label's value, by field; a field that is missing gets none.

    Labels are the first fields and ASCII, so the tokens' texts joined are the output's beginning
    character by character, whatever the tokens after them split.
    """
    text = "".join(token.text for token in tokens)
    found = {}
    for field in LABELS:
        opening = f'"{field}":"'
        start = text.find(opening)
        end = text.find('"', start + len(opening))
        if start >= 0 and end >= 0:
            found[field] = probability(tokens, start + len(opening), end + 1)
    return found


def probability(tokens: Sequence[Token], start: int, end: int) -> float:
    """The product of the probabilities of all tokens that overlap characters `start` to `end`."""
    position, logprob = 0, 0.0
    for token in tokens:
        if position >= end:
            break
        if position + len(token.text) > start:
            logprob += token.logprob
        position += len(token.text)
    return round(math.exp(min(0.0, logprob)), 4)


def disposition(confidence: Mapping[str, float], thresholds: Thresholds) -> Disposition:
    """The weakest label decides; a label without a confidence is one nobody can trust."""
    weakest = min(confidence.get(field, 0.0) for field in LABELS)
    if weakest >= thresholds.auto:
        return Disposition.AUTO
    return Disposition.SUGGEST if weakest >= thresholds.suggest else Disposition.HUMAN
