"""Turns a ticket into the two messages the model reads: the desk's instruction and the ticket.

The instruction depends on the desk alone, so it is the same for every ticket and the engine
keeps it cached. Nothing here knows about tokens: control tokens in a ticket are made harmless
where text becomes token ids (`worker.engine.tokens`).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from schemas.taxonomy import Category, Taxonomy
from worker.engine.contract import Prompt
from worker.triage.language import NAMES, name_of

DIRECTORY = Path(__file__).with_name("prompts")
MARK = re.compile(r"[<＜](?=\s*(?:[/／]\s*)?ticket)", re.IGNORECASE)
FAULT_CHARS = 200
"""What a finding quotes is the model's own writing, and that may quote a hostile ticket."""


def build(
    *,
    version: str,
    instruction: str,
    language: str,
    subject: str,
    body: str,
    faults: Sequence[str] = (),
) -> Prompt:
    """The prompt of one ticket.

    `instruction` is the desk's (see `instruction`), `language` the ticket's tag (`de`, `zh-Hant`);
    `faults` are what the checks found in an earlier answer, to be mended in this one.
    """
    return Prompt(
        instruction,
        fenced(language, subject, body),
        note(version, faults) if faults else "",
    )


def instruction(version: str, taxonomy: Taxonomy, desk_language: str) -> str:
    """The prompt file `prompts/{version}.txt` with the taxonomy filled in.

    `desk_language`, that of the summaries, is an ISO 639-1 code.
    """
    template = (DIRECTORY / f"{version}.txt").read_text(encoding="utf-8")
    return template.format(
        desk_language=NAMES[desk_language],
        category_values=", ".join(taxonomy.values),
        category_list="\n".join(map(described, taxonomy.categories)),
    ).strip()


def described(category: Category) -> str:
    line = f"- {category.value}: {category.description}"
    examples = "; ".join(f'"{example}"' for example in category.examples)
    return f"{line} Such as {examples}." if examples else line


def fenced(language: str, subject: str, body: str) -> str:
    """The ticket between marks that it can neither close nor open itself."""
    text = f"Subject: {subject}\n\n{body}" if subject else body
    text = MARK.sub(r"\g<0> ", text)
    return f'<ticket language="{name_of(language)}">\n{text}\n</ticket>'


def note(version: str, faults: Sequence[str]) -> str:
    """The prompt file `prompts/{version}.repair.txt` with what was wrong, a line each."""
    lines = "\n".join(f"- {' '.join(fault.split())[:FAULT_CHARS]}" for fault in faults)
    template = (DIRECTORY / f"{version}.repair.txt").read_text(encoding="utf-8")
    return f"\n\n{template.format(faults=lines).strip()}"


def can_repair(version: str) -> bool:
    """Whether there is such a file: a small model does not understand what it is told there."""
    return (DIRECTORY / f"{version}.repair.txt").is_file()


def available_versions() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.txt") if "." not in path.stem))
