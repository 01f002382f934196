"""Fits thresholds of confidence to a wanted precision, on one half of the tickets.

The other half says what they are worth: a threshold judged on the tickets that made it looks
better than it is.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from schemas.reply import LABELS
from schemas.thresholds import NEVER, Bounds, Thresholds
from worker.quality import metrics
from worker.quality.metrics import Scored
from worker.quality.run import Judged
from worker.quality.summary import scored

LEAST_TICKETS = 20
"""Fewer above a threshold say nothing of its precision."""
GAP = 0.0001
"""Thresholds are kept with four digits: `suggest` stays below `auto` by at least this."""


def calibrate(
    judged: Sequence[Judged], *, auto_precision: float, suggest_precision: float
) -> tuple[Thresholds, dict[str, Any]]:
    """Thresholds for each field, and what they come to on the tickets that did not make them."""
    mixed = list(judged)
    random.Random(0).shuffle(mixed)
    half = len(mixed) // 2
    fitting, judging = mixed[:half], mixed[half:]
    bounds = {
        field: fit(
            scored(fitting, field),
            auto_precision=auto_precision,
            suggest_precision=suggest_precision,
        )
        for field in LABELS
    }
    report = {field: of_field(scored(judging, field), bounds[field]) for field in LABELS}
    return Thresholds(**bounds), report


def fit(found: Sequence[Scored], *, auto_precision: float, suggest_precision: float) -> Bounds:
    auto = lowest_threshold(found, auto_precision)
    suggest = lowest_threshold(found, suggest_precision)
    return Bounds(auto=max(auto, GAP), suggest=max(0.0, min(suggest, round(auto - GAP, 4))))


def lowest_threshold(found: Sequence[Scored], precision: float) -> float:
    """The lowest confidence from which on at least this share is right; `NEVER` if there is
    none.

    Labels of the same confidence pass together or not at all.
    """
    best, right = NEVER, 0
    falling = sorted(found, reverse=True)
    for count, (sure, is_right) in enumerate(falling, 1):
        right += is_right
        is_last_of_its_kind = count == len(falling) or falling[count][0] < sure
        if is_last_of_its_kind and count >= LEAST_TICKETS and right / count >= precision:
            best = sure
    return best


def below(report: Mapping[str, Any], wanted: Mapping[str, float]) -> Iterator[str]:
    """Where a threshold did not keep what was wanted of it, by the tickets that judge it."""
    for field, one in report.items():
        for bound, precision in wanted.items():
            right = one[bound]["precision"]
            if right is None:
                yield (
                    f"{field}, {bound}: nothing passes: too few tickets are labelled, or too many "
                    "labels are wrong however sure the model is"
                )
            elif right < precision:
                yield (
                    f"{field}, {bound}: {right:.3f} of what passes is right, "
                    f"{precision:g} was wanted: label more tickets"
                )


def of_field(found: Sequence[Scored], bounds: Bounds) -> dict[str, Any]:
    return {
        "tickets": len(found),
        "expected_calibration_error": metrics.expected_calibration_error(found),
        "suggest": asdict(metrics.coverage(found, bounds.suggest)),
        "auto": asdict(metrics.coverage(found, bounds.auto)),
    }
