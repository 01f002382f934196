"""Writes held-out tickets with their labels, as `triage quality` reads them.

python -m models.demo.labelled FILE [--tickets 600] [--seed 4711]
"""

import argparse
import json
from itertools import islice
from pathlib import Path

from models.demo.tickets import examples
from schemas.reply import LABELS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tickets", type=int, default=600)
    parser.add_argument("--seed", type=int, default=4711)
    arguments = parser.parse_args()
    with arguments.file.open("w", encoding="utf-8") as file:
        held_out = islice(examples("heldout", seed=arguments.seed), arguments.tickets)
        for number, one in enumerate(held_out, 1):
            labels = {field: one.label[field] for field in LABELS}
            line = {"id": str(number), "subject": one.subject, "body": one.body}
            line |= {"language": one.language, **labels}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
