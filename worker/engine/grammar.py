"""The grammar that forces an output into the reply schema, and how long the output can get.

xgrammar turns the JSON Schema into EBNF; we write its bounded strings anew. Its rule for them
admits raw control characters, which JSON does not, and halves of surrogate pairs, which UTF-8
does not; ours leaves them out, so every output is JSON in UTF-8. And it counts characters while
the model writes; ours are counted when the grammar is compiled (docs/decisions/bounded-strings).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

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
from worker.errors import SettingsError

XGRAMMAR_STRING = re.compile(r'\b\w+_characters\{(\d+), (\d+)\} "\\""')
"""So many characters and the closing quote, in xgrammar's EBNF."""
XGRAMMAR_CHARACTER = re.compile(r"^\w+_characters ::= .*\n", re.MULTILINE)
CHARACTER = r"[^\0-\x1f\"\\\ud800-\udfff]"
"""No escapes: docs/decisions/replies-are-one-paragraph."""
CHARACTERS = re.compile(f"{CHARACTER}*")
"""Python reads the class as xgrammar does."""
BOUNDS = "# Strings of any characters, at most: "
"""How our EBNF begins; the names of the fields follow, and how many. `bounds_in` reads it.

It says more: what comes after a field's value does not depend on the value (`beginnings`).
"""
STRIDE = 2
"""Characters that one rule of a chain takes: fewer rules to walk through, longer to write."""
BYTES_PER_CHARACTER = 4
"""The longest UTF-8 character. A byte-level vocabulary needs at most one token per byte."""


SCHEMAS_BY_NAME = ("properties", "$defs")
ENFORCED = frozenset(
    {"type", "required", "additionalProperties", "enum", "const", "$ref", "default"}
    | {"minItems", "maxItems", "minLength", "maxLength", "title", "description"}
)
"""JSON Schema keywords that xgrammar 0.2.8 enforces or that say nothing of a value. It ignores
`not` and lookaheads in silence, and a `pattern` beside `maxLength` fails only in the engine."""


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

    schema = reply_schema(taxonomy)
    refuse_unenforced(schema)
    generated = XGrammar.from_json_schema(
        json.dumps(schema), any_whitespace=False, separators=(",", ":")
    )
    bounds = ", ".join(f"{name} {most}" for name, most in bounded_strings(schema))
    ebnf = f"{BOUNDS}{bounds}\n{with_counted_strings(str(generated))}"
    return Grammar(
        ebnf=ebnf,
        sha256=hashlib.sha256(ebnf.encode()).hexdigest(),
        max_tokens=len(longest_output(taxonomy).encode()) + 1,
    )


def with_counted_strings(ebnf: str) -> str:
    """The EBNF with every bounded string as a chain of rules, each of which may end it or go on.

    Raises:
        RuntimeError: this xgrammar writes bounded strings differently.
    """
    chains: list[str] = []
    names = (f"s{number}_" for number in count())

    def chained(found: re.Match[str]) -> str:
        name, least, most = next(names), int(found[1]), int(found[2])
        for taken in range(0, most + 1, STRIDE):
            ends = [
                f'{CHARACTER * more} "\\""'
                for more in range(min(STRIDE, most + 1 - taken))
                if taken + more >= least
            ]
            goes_on = [f"{CHARACTER * STRIDE} {name}{taken + STRIDE}"] * (taken + STRIDE <= most)
            chains.append(f"{name}{taken} ::= {' | '.join(ends + goes_on)}")
        return f"{name}0"

    counted, strings = XGRAMMAR_STRING.subn(chained, ebnf)
    rest, characters = XGRAMMAR_CHARACTER.subn("", counted)
    if not strings or strings != characters:
        raise RuntimeError("xgrammar writes bounded strings differently: adapt XGRAMMAR_STRING")
    return rest + "\n".join(chains) + "\n"


def bounded_strings(schema: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The fields that hold bounded strings, and how many characters those have at most.

    Without those that need more than one: for the others one stands for all of them (`reader`).
    """
    objects = (schema, *schema.get("$defs", {}).values())
    found = [
        (name, field["maxLength"])
        for one in objects
        for name, field in one.get("properties", {}).items()
        if "maxLength" in field and field.get("minLength", 0) <= 1
    ]
    assert len(dict(found)) == len(found), "two strings of one name: bounds_in would confuse them"
    return found


def bounds_in(ebnf: str) -> Mapping[str, int]:
    """How many characters the strings of which fields take; none if the EBNF is not ours."""
    return read_bounds(ebnf[: ebnf.index("\n")]) if ebnf.startswith(BOUNDS) else {}


@lru_cache(maxsize=8)
def read_bounds(line: str) -> Mapping[str, int]:
    named = (each.split() for each in line.removeprefix(BOUNDS).split(", "))
    return {name: int(most) for name, most in named}


def refuse_unenforced(schema: Mapping[str, Any], place: str = "reply") -> None:
    """
    Raises:
        SettingsError: the JSON Schema uses a keyword that xgrammar ignores or does not know, so
            that an output could break it; names the keyword and its place.
    """
    for keyword, value in schema.items():
        if keyword in SCHEMAS_BY_NAME:
            for name, inner in value.items():
                refuse_unenforced(inner, f"{place}.{name}")
        elif keyword == "items":
            refuse_unenforced(value, f"{place}[]")
        elif keyword not in ENFORCED:
            raise SettingsError(
                f"the schema of {place} uses {keyword!r}, which xgrammar does not enforce"
            )


def longest_output(taxonomy: Taxonomy) -> str:
    """A reply with the most bytes the grammar admits; one more for the end makes the budget."""
    widest = "\U0001f5c3"
    assert len(widest.encode()) == BYTES_PER_CHARACTER
    longest_labels = {name: max(values, key=len) for name, values in label_values(taxonomy).items()}
    entity = {"kind": max(EntityKind, key=len), "value": widest * ENTITY_CHARS}
    return canonical_json(
        {
            **longest_labels,
            "entities": [entity] * ENTITIES,
            "summary": widest * SUMMARY_CHARS,
            "reply": widest * REPLY_CHARS,
        }
    )
