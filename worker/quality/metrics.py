"""Figures over pairs of what was wanted and what was written. Pure; shares are between 0 and 1."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

BUCKETS = 10

Pair = tuple[str, str]
"""What a person says, what the model wrote."""
Scored = tuple[float, bool]
"""A confidence, and whether the value was right."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The labels whose confidence lies from `low` to below `high` (1 belongs to the last)."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a threshold lets pass: its share of all, and how much of that is right (None: none)."""

    threshold: float
    coverage: float
    precision: float | None


def accuracy(pairs: Sequence[Pair]) -> float | None:
    """The share of right values; None of nothing."""
    return fmean(wanted == written for wanted, written in pairs) if pairs else None


def macro_f1(pairs: Sequence[Pair]) -> float | None:
    """The mean over all wanted values of the harmonic mean of precision and recall."""
    if not pairs:
        return None
    wanted, written = Counter(one for one, _ in pairs), Counter(one for _, one in pairs)
    right = Counter(one for one, other in pairs if one == other)
    return fmean(2 * right[value] / (wanted[value] + written[value]) for value in wanted)


def confusion(pairs: Sequence[Pair]) -> dict[str, dict[str, int]]:
    """How often each value was written for each wanted one: `{wanted: {written: n}}`."""
    table: dict[str, dict[str, int]] = {}
    for (wanted, written), count in sorted(Counter(pairs).items()):
        table.setdefault(wanted, {})[written] = count
    return table


def buckets(scored: Sequence[Scored]) -> list[Bucket]:
    """Confidence against accuracy in ten steps of equal width; empty ones are left out."""
    sorted_in: dict[int, list[Scored]] = {}
    for sure, right in scored:
        sorted_in.setdefault(min(int(sure * BUCKETS), BUCKETS - 1), []).append((sure, right))
    return [
        Bucket(
            low=place / BUCKETS,
            high=(place + 1) / BUCKETS,
            count=len(inside),
            confidence=fmean(sure for sure, _ in inside),
            accuracy=fmean(right for _, right in inside),
        )
        for place, inside in sorted(sorted_in.items())
    ]


def expected_calibration_error(scored: Sequence[Scored]) -> float | None:
    """The mean distance of confidence and accuracy over the buckets, weighted by their size."""
    if not scored:
        return None
    return sum(one.count * abs(one.confidence - one.accuracy) for one in buckets(scored)) / len(
        scored
    )


def coverage(scored: Sequence[Scored], threshold: float) -> Coverage:
    """What passes a threshold."""
    passed = [right for sure, right in scored if sure >= threshold]
    return Coverage(
        threshold=threshold,
        coverage=len(passed) / len(scored) if scored else 0.0,
        precision=fmean(passed) if passed else None,
    )
