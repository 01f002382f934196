"""Measures the demonstration model on held-out phrasings, through the product's own pipeline.

Every ticket goes through language detection, prompt, vLLM with the grammar, parsing and checks,
exactly as in a worker. Writes the table in README.md.

    python -m models.demo.evaluate [--tickets 1200]
"""

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from models.demo.prompt import INSTRUCTION, TAXONOMY, VERSION
from models.demo.tickets import LANGUAGES, Example, examples
from schemas.thresholds import Thresholds
from worker.engine.grammar import reply_grammar
from worker.engine.profiles import load_profile
from worker.engine.vllm_engine import VllmEngine
from worker.helpdesk import text
from worker.triage import pipeline
from worker.triage.desk import Desk
from worker.triage.language import NAMES, LanguageDetector
from worker.triage.pipeline import Triaged

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- accuracy: written by evaluate.py -->", "<!-- end of accuracy -->"
FIELDS = ("category", "type", "priority", "sentiment")
IN_FLIGHT = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, default=1200)
    tickets = list(islice(examples("heldout", seed=4711), parser.parse_args().tickets))
    engine = VllmEngine(load_profile("demo"))
    desk = Desk(
        taxonomy=TAXONOMY,
        language="en",
        prompt_version=VERSION,
        instruction=INSTRUCTION,
        grammar=reply_grammar(TAXONOMY),
        temperature=0.0,
        seed=0,
        thresholds=Thresholds.same(suggest=0.5, auto=0.9),
        deadline_s=600.0,
        detector=LanguageDetector(),
    )

    def triage(one: Example) -> Triaged:
        subject, body = text.one_line(one.subject), text.clean(one.body)
        return pipeline.triage(subject, body, None, engine, desk)

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        results = list(threads.map(triage, tickets))
    engine.stop()
    table = report(tickets, results)
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
    print(table)


def report(tickets: list[Example], results: list[Triaged]) -> str:
    """A Markdown table: share of tickets of each language for which each thing holds."""
    right: Counter[tuple[str, str]] = Counter()
    count: Counter[str] = Counter()
    for ticket, triaged in zip(tickets, results, strict=True):
        count[ticket.language] += 1
        for name in holds(ticket, triaged):
            right[ticket.language, name] += 1
    columns = ("language", *FIELDS, "all entities", "no finding")
    lines = [
        "| held-out tickets | n | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for code in LANGUAGES:
        shares = " | ".join(f"{right[code, name] / count[code]:.3f}" for name in columns)
        lines.append(f"| {NAMES[code]} | {count[code]} | {shares} |")
    return "\n".join(lines)


def holds(ticket: Example, triaged: Triaged) -> list[str]:
    """What is right about one result."""
    found = ["language"] if triaged.language.code == ticket.language else []
    if triaged.reply is None:
        return found
    written = triaged.reply.model_dump(mode="json")
    found += [name for name in FIELDS if written[name] == ticket.label[name]]
    if sorted(map(str, written["entities"])) == sorted(map(str, ticket.label["entities"])):
        found.append("all entities")
    if not triaged.findings:
        found.append("no finding")
    return found


if __name__ == "__main__":
    main()
