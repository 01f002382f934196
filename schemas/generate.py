"""Writes `schemas/json/` from the models: what other systems can rely on.

python -m schemas.generate [--check]
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.message import TicketMessage
from schemas.reply import reply_schema
from schemas.taxonomy import Taxonomy, load_taxonomy
from schemas.ticket import GenericTicket

DIRECTORY = Path(__file__).with_name("json")


def generated() -> dict[str, str]:
    """Each file's name and its JSON Schema."""
    found: dict[str, dict[str, Any]] = {
        "generic_ticket.json": GenericTicket.model_json_schema(),
        "message.json": TicketMessage.model_json_schema(),
        "reply.json": reply_schema(load_taxonomy()),
        "taxonomy.json": Taxonomy.model_json_schema(),
    }
    return {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in found.items()
    }


def write_or_check(directory: Path, files: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Write what is generated, or with `--check` name what is out of date; the exit code.

    `files` are texts by name.
    """
    stale = []
    for name, text in files.items():
        path = directory / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            directory.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"out of date: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(write_or_check(DIRECTORY, generated(), sys.argv[1:]))
