"""A measurement as one HTML page without anything from outside: tables, charts as SVG."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from schemas.reply import LABELS
from worker import charts
from worker.triage.language import NAMES

TEMPLATES = Environment(
    loader=PackageLoader("worker.quality"), autoescape=True, undefined=StrictUndefined
)


def page(measured: Mapping[str, Any]) -> str:
    """The page of a `summary`."""
    return TEMPLATES.get_template("report.html").render(
        measured=measured,
        fields=LABELS,
        names=NAMES,
        made_at=datetime.now(UTC),
        accuracy_chart=Markup(accuracy_chart(measured)),  # noqa: S704  # our own SVG
        calibration_charts={
            field: Markup(calibration_chart(measured["fields"][field]))  # noqa: S704
            for field in LABELS
        },
    )


def accuracy_chart(measured: Mapping[str, Any]) -> str:
    languages = measured["languages"]
    return charts.bars(
        [NAMES.get(code, code) for code in languages],
        {
            field: [one["fields"][field]["accuracy"] for one in languages.values()]
            for field in LABELS
        },
        highest=1.0,
    )


def calibration_chart(field: Mapping[str, Any]) -> str:
    """Accuracy beside confidence, for each step of confidence: calibrated means the same height."""
    found = field["calibration"]["buckets"]
    return charts.bars(
        [f"{one['low']:.1f}–{one['high']:.1f}" for one in found],
        {
            "confidence": [one["confidence"] for one in found],
            "share right": [one["accuracy"] for one in found],
        },
        highest=1.0,
    )
