"""How sure the engine was of each label, and what follows for the reply.

Confidence is never the model's own word. It is the probability of the label's value among the
values that the taxonomy and the schema allow, under the mask of the grammar.

A value can be spelled by many sequences of tokens: `billing` as `bill·ing"`, `b·illing"` and so
on. Where the engine chose a token, it also tells the probabilities of others (`alternatives`).
Once what is written can become one value only, everything that follows is certain to spell it,
so the probability of a value is the sum over all tokens that decide for it, of the probability
of coming so far times that of the token. What is left out is what neither decides nor was
written, and what lies beyond the alternatives told: `bench` measures how much that is.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from schemas.reply import LABELS
from schemas.thresholds import Thresholds
from worker.engine.contract import Token


class Disposition(StrEnum):
    """What a desk does with a reply: send it, look at it first, or write its own."""

    AUTO = "auto"
    SUGGEST = "suggest"
    HUMAN = "human"


def of_labels(tokens: Iterable[Token], allowed: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The probability of each label's value among the `allowed` ones, by field.

    A field that is missing gets none. Labels are the first fields and ASCII, so the tokens' texts
    joined are the output's beginning character by character, whatever the tokens after them split.
    """
    tokens, text = beginning(tokens, list(allowed)[-1])
    found = {}
    for field, values in allowed.items():
        opening = f'"{field}":"'
        start = text.find(opening) + len(opening)
        end = text.find('"', start) + 1
        if start >= len(opening) and end > 0:
            spellings = [f'{value}"' for value in values]
            found[field] = probability(tokens, start, text[start:end], spellings)
    return found


def beginning(tokens: Iterable[Token], last_field: str) -> tuple[list[Token], str]:
    """The tokens up to the end of the last label, and their text: what follows is not read."""
    read, text, opening = [], "", f'"{last_field}":"'
    for token in tokens:
        read.append(token)
        text += token.text
        start = text.find(opening)
        if start >= 0 and '"' in text[start + len(opening) :]:
            break
    return read, text


def probability(
    tokens: Iterable[Token], start: int, written: str, spellings: Sequence[str]
) -> float:
    """The probability of `written`, which begins at character `start`, among the `spellings`.

    A spelling is a value and the quotation mark that ends it, so that none begins another.
    """
    came_so_far, total = 1.0, 0.0
    for token, before, overlap in spelling(tokens, start):
        for text, logprob in token.alternatives:
            if len(text) > overlap and can_become(before + text[overlap:], spellings) == [written]:
                total += came_so_far * math.exp(logprob)
        came_so_far *= math.exp(token.logprob)
        if can_become(before + token.text[overlap:], spellings) == [written]:
            break
    return round(min(1.0, total + came_so_far), 4)


def spelling(tokens: Iterable[Token], start: int) -> Iterator[tuple[Token, str, int]]:
    """The tokens from the one that reaches beyond character `start` on.

    With each what the tokens before it wrote from `start` on, and how many of its own characters
    lie before `start`.
    """
    position, before = 0, ""
    for token in tokens:
        end = position + len(token.text)
        if end > start:
            overlap = max(0, start - position)
            yield token, before, overlap
            before += token.text[overlap:]
        position = end


def can_become(beginning: str, spellings: Sequence[str]) -> list[str]:
    """The spellings that a text which begins so can become, or already is."""
    return [one for one in spellings if one.startswith(beginning) or beginning.startswith(one)]


def disposition(
    confidence: Mapping[str, float], thresholds: Thresholds
) -> tuple[Disposition, str | None]:
    """What the labels' confidence allows, and the fields that allow no more (None for `auto`).

    A label without a confidence is one nobody can trust.
    """
    for verdict, bound in ((Disposition.HUMAN, "suggest"), (Disposition.SUGGEST, "auto")):
        below = [
            f"{field} {confidence.get(field, 0.0):.2f} is below {least:g} ({bound})"
            for field in LABELS
            if confidence.get(field, 0.0) < (least := getattr(thresholds.of(field), bound))
        ]
        if below:
            return verdict, "unsure: " + ", ".join(below)
    return Disposition.AUTO, None
