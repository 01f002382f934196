"""The grammar that forces an output into the reply schema, and how long the output can get.

xgrammar turns the JSON Schema into EBNF. Its rule for a bounded string admits raw control
characters, which JSON does not; ours leaves them out, so every output is JSON. It stays one
character class on purpose: escapes cost milliseconds for every token (docs/decisions).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache

from schemas.reply import (
    ENTITIES,
    ENTITY_CHARS,
    REPLY_CHARS,
    SUMMARY_CHARS,
    EntityKind,
    canonical_json,
    label_values,
    reply_schema,
)
from schemas.taxonomy import Taxonomy

XGRAMMAR_CHARACTER = r"([^\"\\\r\n])"
OUR_CHARACTER = r"([^\0-\x1f\"\\])"
BYTES_PER_CHARACTER = 4
"""The longest UTF-8 character. A byte-level vocabulary needs at most one token per byte."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """EBNF, its hash for the lineage, and the tokens that the longest output it admits takes."""

    ebnf: str
    sha256: str
    max_tokens: int


@lru_cache(maxsize=8)
def reply_grammar(taxonomy: Taxonomy) -> Grammar:
    """The grammar of a reply under this taxonomy; no free whitespace, every string bounded."""
    from xgrammar import Grammar as XGrammar  # noqa: PLC0415  # imports torch: seconds

    generated = XGrammar.from_json_schema(
        json.dumps(reply_schema(taxonomy)), any_whitespace=False, separators=(",", ":")
    )
    ebnf = str(generated).replace(XGRAMMAR_CHARACTER, OUR_CHARACTER)
    if OUR_CHARACTER not in ebnf:
        raise RuntimeError("xgrammar writes bounded strings differently: adapt XGRAMMAR_CHARACTER")
    return Grammar(
        ebnf=ebnf,
        sha256=hashlib.sha256(ebnf.encode()).hexdigest(),
        max_tokens=len(longest_output(taxonomy).encode()) + 1,
    )


def longest_output(taxonomy: Taxonomy) -> str:
    """A reply with the most bytes the grammar admits; one more for the end makes the budget."""
    widest = "\U0001f5c3"
    assert len(widest.encode()) == BYTES_PER_CHARACTER
    labels = {name: max(values, key=len) for name, values in label_values(taxonomy).items()}
    entity = {"kind": max(EntityKind, key=len), "value": widest * ENTITY_CHARS}
    return canonical_json(
        {
            **labels,
            "entities": [entity] * ENTITIES,
            "summary": widest * SUMMARY_CHARS,
            "reply": widest * REPLY_CHARS,
        }
    )
