"""How a desk wants its tickets triaged; the same for every ticket."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from schemas.taxonomy import Taxonomy
from schemas.thresholds import Thresholds
from worker.engine.grammar import Grammar
from worker.triage.language import NAMES, LanguageDetector


@dataclass(frozen=True, slots=True)
class Desk:
    """What the model is told and held to, and what happens with its answer.

    Tickets in other `languages` than these go to a person. `instruction` is the prompt's part that
    is the same for all tickets; `sha256` is over `asked_with`, by which an attempt is known later.
    """

    taxonomy: Taxonomy
    language: str
    prompt_version: str
    instruction: str
    grammar: Grammar
    temperature: float
    seed: int
    thresholds: Thresholds
    deadline_s: float
    detector: LanguageDetector
    languages: frozenset[str] = frozenset(NAMES)
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        canonical = json.dumps(self.asked_with(), sort_keys=True, ensure_ascii=False)
        object.__setattr__(self, "sha256", hashlib.sha256(canonical.encode()).hexdigest())

    def asked_with(self) -> dict[str, Any]:
        """All that decides what a ticket's prompt is, as JSON."""
        return {
            "prompt_version": self.prompt_version,
            "language": self.language,
            "taxonomy": self.taxonomy.model_dump(mode="json"),
            "instruction": self.instruction,
        }
