"""Is a build as good as its reference? Paired, with a confidence interval.

Both answer the same tickets or questions. A case scores the share of its labels that are right.
The mean difference of the scores has a normal 95 % interval (paired, so what is hard for both
cancels out), but never a narrower one than 3 / n: what did not happen in n cases may still happen
in so many (the rule of three). The gate passes when the whole interval lies above the margin.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist, fmean, stdev

from worker.quality.run import Judged

CONFIDENCE = 0.95
MARGIN = 0.01
"""One point."""
UNSEEN = 3


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean scores, their difference and its interval; `enough` cases would decide (None: did)."""

    cases: int
    candidate: float
    reference: float
    difference: float
    low: float
    high: float
    verdict: Verdict
    enough: int | None


def compare(
    candidate: Sequence[float], reference: Sequence[float], *, margin: float = MARGIN
) -> Comparison:
    """Compare two builds by their scores on the same cases, in the same order.

    Raises:
        ValueError: fewer than two cases, or not the same number of each.
    """
    if len(candidate) < 2:
        raise ValueError("a comparison needs at least two labelled cases")
    differences = [one - other for one, other in zip(candidate, reference, strict=True)]
    mean, spread = fmean(differences), stdev(differences)
    width = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * spread
    half = max(width / math.sqrt(len(differences)), UNSEEN / len(differences))
    low, high = mean - half, mean + half
    verdict = verdict_of(low, high, margin)
    return Comparison(
        cases=len(differences),
        candidate=fmean(candidate),
        reference=fmean(reference),
        difference=mean,
        low=low,
        high=high,
        verdict=verdict,
        enough=cases_needed(width, abs(mean + margin)) if verdict is Verdict.UNDECIDED else None,
    )


def verdict_of(low: float, high: float, margin: float) -> Verdict:
    if low >= -margin:
        return Verdict.PASSED
    return Verdict.FAILED if high < -margin else Verdict.UNDECIDED


def cases_needed(width: float, distance: float) -> int | None:
    """Cases at which the interval would no longer contain the margin; None if that is no number."""
    return math.ceil(max((width / distance) ** 2, UNSEEN / distance)) if distance > 0 else None


def score(judged: Judged) -> float | None:
    """The share of a ticket's labels that are right; None of a ticket without labels."""
    if not judged.wanted:
        return None
    return fmean(judged.written.get(field) == value for field, value in judged.wanted.items())
