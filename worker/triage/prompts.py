"""Turns a ticket into the two messages the model reads: the desk's instruction and the ticket.

The instruction depends on the desk alone, so it is the same for every ticket and the engine
keeps it cached. Nothing here knows about tokens: control tokens in a ticket are made harmless
where text becomes token ids (`worker.engine.tokens`).
"""

from functools import lru_cache
from pathlib import Path

from schemas.taxonomy import Taxonomy
from worker.engine.contract import Prompt
from worker.triage.language import NAMES

DIRECTORY = Path(__file__).with_name("prompts")


def build(
    *,
    version: str,
    taxonomy: Taxonomy,
    desk_language: str,
    language: str,
    subject: str,
    body: str,
) -> Prompt:
    """The prompt of one ticket. `language` and `desk_language` are ISO 639-1 codes."""
    return Prompt(instruction(version, taxonomy, desk_language), fenced(language, subject, body))


@lru_cache(maxsize=16)
def instruction(version: str, taxonomy: Taxonomy, desk_language: str) -> str:
    """The prompt file `prompts/{version}.txt` with the taxonomy filled in."""
    template = (DIRECTORY / f"{version}.txt").read_text(encoding="utf-8")
    return template.format(
        desk_language=NAMES[desk_language],
        category_values=", ".join(taxonomy.values),
        category_list="\n".join(f"- {c.value}: {c.description}" for c in taxonomy.categories),
    ).strip()


def fenced(language: str, subject: str, body: str) -> str:
    """The ticket between marks it cannot close itself."""
    text = f"Subject: {subject}\n\n{body}" if subject else body
    text = text.replace("</ticket", "< /ticket")
    return f'<ticket language="{NAMES[language]}">\n{text}\n</ticket>'


def available_versions() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in DIRECTORY.glob("*.txt")))
