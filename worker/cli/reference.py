"""Writes docs/settings.md and docs/cli.md from the code.

python -m worker.cli.reference [--check]
"""

import sys
from pathlib import Path

from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from schemas.generate import write_or_check
from worker.settings import Settings

DOCS = Path(__file__).parent.parent.parent / "docs"
PREFIX = "TRIAGE_"


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Environment variables, or lines of a file `.env` in the working directory. Read once, at",
        "the start; a value that makes no sense is refused by its name.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = default.name if name == "taxonomy" else default
        lines.append(f"| `{PREFIX}{name.upper()}` | `{shown}` | {field.description} |")
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    from worker.cli.main import app  # noqa: PLC0415  # it imports every command

    click_app = get_command(app)
    return str(
        get_docs_for_click(obj=click_app, ctx=Context(click_app), name="triage", title="Commands")
    )


if __name__ == "__main__":
    pages = {"settings.md": settings_page(), "cli.md": cli_page()}
    sys.exit(write_or_check(DOCS, pages, sys.argv[1:]))
