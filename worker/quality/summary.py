"""The figures of one measurement as one JSON object."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from schemas.reply import LABELS
from schemas.thresholds import Thresholds
from worker.engine.contract import Identity
from worker.quality import metrics
from worker.quality.metrics import Pair, Scored
from worker.quality.run import Judged, Run
from worker.triage.confidence import Disposition
from worker.triage.desk import Desk

NOTHING = "(nothing)"
"""Stands for the label of a ticket whose output was no reply."""


def summary(run: Run, identity: Identity, desk: Desk) -> dict[str, Any]:
    """Everything measured; shares are None where nothing could be counted."""
    judged = run.judged
    languages = sorted({language_of(one) for one in judged})
    return {
        **asdict(identity),
        "prompt_version": desk.prompt_version,
        "taxonomy_version": desk.taxonomy.version,
        "tickets": len(judged),
        "tickets_s": len(judged) / run.seconds if run.seconds else None,
        "all": of_group(judged),
        "languages": {
            code: of_group([one for one in judged if language_of(one) == code])
            for code in languages
        },
        "fields": {field: of_field(judged, field, desk.thresholds) for field in LABELS},
        "dispositions": {
            verdict: sum(one.disposition is verdict for one in judged) for verdict in Disposition
        },
        "checks": dict(Counter(check for one in judged for check in set(one.checks))),
    }


def of_group(judged: Sequence[Judged]) -> dict[str, Any]:
    """What is said of a language, and of all of them."""
    asked = [one for one in judged if one.is_valid is not None]
    return {
        "tickets": len(judged),
        "language_accuracy": share(
            one.language == one.wanted_language[:2] for one in judged if one.wanted_language
        ),
        "json_validity": share(bool(one.is_valid) for one in asked),
        "reply_language_accuracy": share(
            one.reply_is_in_language for one in judged if one.reply_is_in_language is not None
        ),
        "no_finding": share(bool(one.is_valid) and not one.checks for one in asked),
        "output_tokens": fmean(one.output_tokens for one in asked) if asked else None,
        "fields": {
            field: {
                "labelled": len(found := pairs(judged, field)),
                "accuracy": metrics.accuracy(found),
                "macro_f1": metrics.macro_f1(found),
            }
            for field in LABELS
        },
    }


def of_field(judged: Sequence[Judged], field: str, thresholds: Thresholds) -> dict[str, Any]:
    found, sure = pairs(judged, field), scored(judged, field)
    bounds = thresholds.of(field)
    return {
        "confusion": metrics.confusion(found),
        "calibration": {
            "expected_calibration_error": metrics.expected_calibration_error(sure),
            "buckets": [asdict(one) for one in metrics.buckets(sure)],
        },
        "coverage": {
            "suggest": asdict(metrics.coverage(sure, bounds.suggest)),
            "auto": asdict(metrics.coverage(sure, bounds.auto)),
        },
    }


def pairs(judged: Iterable[Judged], field: str) -> list[Pair]:
    """Wanted and written values of a field, of the tickets that have a label for it."""
    return [
        (one.wanted[field], one.written.get(field, NOTHING))
        for one in judged
        if field in one.wanted
    ]


def scored(judged: Iterable[Judged], field: str) -> list[Scored]:
    """Confidence and correctness of a field, of the tickets that have a label for it."""
    return [
        (one.confidence.get(field, 0.0), one.wanted[field] == one.written.get(field))
        for one in judged
        if field in one.wanted
    ]


def language_of(one: Judged) -> str:
    return (one.wanted_language or one.language)[:2]


def share(found: Iterable[bool]) -> float | None:
    counted = list(found)
    return fmean(counted) if counted else None
