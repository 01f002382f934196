"""Tables of quality for the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from schemas.reply import LABELS


def shown(share: float | None) -> str:
    return "–" if share is None else f"{share:.3f}"


def table_of(first: str, *headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def language_table(measured: Mapping[str, Any]) -> Table:
    """A line for each language and one for all: accuracy and macro-F1 of each label field."""
    table = table_of("", *(name for field in LABELS for name in (field, "F1")))
    for code, one in groups(measured):
        figures = (one["fields"][field] for field in LABELS)
        table.add_row(
            code, *(shown(each[name]) for each in figures for name in ("accuracy", "macro_f1"))
        )
    return table


def answer_table(measured: Mapping[str, Any]) -> Table:
    """A line for each language and one for all: what holds of the answers as a whole."""
    table = table_of(
        "", "tickets", "language told", "reply's language", "valid JSON", "no finding", "tokens"
    )
    names = ("language_accuracy", "reply_language_accuracy", "json_validity", "no_finding")
    for code, one in groups(measured):
        tokens = one["output_tokens"]
        table.add_row(
            code,
            str(one["tickets"]),
            *(shown(one[name]) for name in names),
            "–" if tokens is None else f"{tokens:.0f}",
        )
    return table


def groups(measured: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [*measured["languages"].items(), ("all", measured["all"])]


def coverage_table(measured: Mapping[str, Any]) -> Table:
    """For each field how well confidence says what is right, and what the thresholds let pass."""
    return thresholds_table(
        {
            field: {
                "expected_calibration_error": one["calibration"]["expected_calibration_error"],
                **one["coverage"],
            }
            for field, one in measured["fields"].items()
        }
    )


def thresholds_table(fields: Mapping[str, Any]) -> Table:
    """The same of `{field: {expected_calibration_error, suggest, auto}}`."""
    passes = ("passes", "right")
    table = table_of("", "calib. error", "suggest", *passes, "auto", *passes)
    for field, one in fields.items():
        bounds = (one[bound] for bound in ("suggest", "auto"))
        table.add_row(
            field,
            shown(one["expected_calibration_error"]),
            *(
                shown(bound[name])
                for bound in bounds
                for name in ("threshold", "coverage", "precision")
            ),
        )
    return table
