"""Writes RESULTS.md, section by section: a measurement replaces its own section alone."""

import os
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from worker.engine.machine import cpu, has_avx512

RESULTS = Path(__file__).with_name("RESULTS.md")
FONT = "font-family:sans-serif"
PICTURES = RESULTS.with_name("pictures")
GPUS = Path("/proc/driver/nvidia/gpus")
TITLE = """# Results

Ratios travel to other machines, absolute figures do not.
"""


def write_section(
    title: str, *, text: str, rows: Sequence[str], picture: str | None = None
) -> None:
    """Write a section whose rows come from `row` and `fact`."""
    write_table(title, text=text, head="| what | median | each |", rows=rows, picture=picture)


def write_table(
    title: str, *, text: str, head: str, rows: Sequence[str], picture: str | None = None
) -> None:
    """Put a section with this heading, a paragraph and a table into RESULTS.md, or replace it.

    `picture` is an SVG that shows the same.
    """
    sections = read_sections()
    dated = f"{text} Measured on {datetime.now(UTC):%Y-%m-%d}: {machine()}."
    rule = "|---" * (head.count("|") - 1) + "|"
    shown = [keep(title, picture), ""] if picture else []
    sections[title] = "\n".join([dated, "", *shown, head, rule, *rows, ""])
    parts = [TITLE, *(f"## {name}\n\n{body}" for name, body in sections.items())]
    RESULTS.write_text("\n".join(parts))


def keep(title: str, picture: str) -> str:
    """Save a picture beside RESULTS.md, with a colour that reads on light and dark; its link."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{title.lower().replace(' ', '-')}.svg"
    alone = picture.replace("currentColor", "#808080").replace("font-family:inherit", FONT)
    path.write_text(alone, encoding="utf-8")
    return f"![{title}]({PICTURES.name}/{path.name})"


def read_sections() -> dict[str, str]:
    if not RESULTS.exists():
        return {}
    _, *parts = re.split(r"^## (.*)\n\n", RESULTS.read_text(), flags=re.MULTILINE)
    return {
        name: body.rstrip("\n") + "\n" for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


def row(name: str, values: Sequence[float], digits: int) -> str:
    """A table's line: the median, then each value."""
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"| {name} | **{statistics.median(values):.{digits}f}** | {each} |"


def many(name: str, values: Sequence[float], digits: int) -> str:
    """A table's line for what was measured too often to show each: the median, the quartiles."""
    low, middle, high = (f"{one:.{digits}f}" for one in statistics.quantiles(values, n=4))
    return f"| {name} | **{middle}** | {len(values)} turns, half of them {low} to {high} |"


def fact(name: str, value: object, detail: str = "") -> str:
    """A table's line for what was found once."""
    return f"| {name} | **{value}** | {detail} |"


def machine() -> str:
    gib = psutil.virtual_memory().total / 2**30
    avx = ", with AVX-512" if has_avx512() else ""  # where it is missing `cpu` says so
    return f"{os.cpu_count()} cores ({cpu()}{avx}), {gib:.0f} GiB, {gpu()}"


def gpu() -> str:
    """The cards' names, as the driver tells them."""
    found = [
        re.findall(r"Model:\s*(.*)", path.read_text())
        for path in sorted(GPUS.glob("*/information"))
    ]
    return ", ".join(name for names in found for name in names) or "no GPU"
