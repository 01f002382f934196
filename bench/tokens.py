"""Token economy: what a ticket costs to read and a reply to write, by language and tokenizer.

Writes docs/tokens.md. No model is needed: the tokenizers are those that mistral-common ships.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean

import mistral_common
from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from bench.workload import workload
from models.demo.tickets import Example
from schemas.reply import canonical_json
from worker.triage.language import NAMES

DATA = Path(mistral_common.__file__).parent / "data"
PAGE = Path(__file__).parent.parent / "docs" / "tokens.md"
Count = Callable[[str], int]
TICKETS = 1000

HEAD = """# Tokens

What a ticket costs to read and a reply to write. Written by `python -m bench tokens` over {tickets}
tickets that the demonstration model's generator makes ({each} a language, held-out phrasings), with
their right answers; the tokenizers are those in mistral-common. In brackets: how many fewer tokens
the first line takes.
"""


def measure(_rounds: int) -> None:
    """Write the page; token counts do not vary, so once is enough."""
    examples = workload(TICKETS)
    tekken = counter(Tekkenizer.from_file(DATA / "tekken_240718.json"))
    older = {
        "SentencePiece v1 (Mistral 7B v0.1)": "tokenizer.model.v1",
        "SentencePiece v3 (Mistral 7B v0.3)": "mistral_instruct_tokenizer_240323.model.v3",
    }
    readers = {"Tekken (Nemo)": tekken} | {
        name: counter(SentencePieceTokenizer(str(DATA / file))) for name, file in older.items()
    }
    writers: dict[str, Count] = {
        "the grammar's compact JSON": tekken,
        "with a space after `:` and `,`": lambda text: tekken(
            json.dumps(json.loads(text), ensure_ascii=False)
        ),
        "indented, as models write freely": lambda text: tekken(
            json.dumps(json.loads(text), ensure_ascii=False, indent=2)
        ),
        "indented, with escapes `\\uXXXX`": lambda text: tekken(
            json.dumps(json.loads(text), indent=2)
        ),
    }
    parts = [
        HEAD.format(tickets=TICKETS, each=TICKETS // len(NAMES)),
        "## Reading: mean tokens of a ticket (subject and body)",
        table(readers, examples, lambda one: f"{one.subject}\n{one.body}"),
        "## Writing: mean tokens of a whole answer, in Tekken",
        table(writers, examples, lambda one: canonical_json(one.label)),
    ]
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def counter(tokenizer: Tekkenizer | SentencePieceTokenizer) -> Count:
    return lambda text: len(tokenizer.encode(text, bos=False, eos=False))


def table(
    counts: dict[str, Count], examples: Iterable[Example], text_of: Callable[[Example], str]
) -> str:
    """A line for each way to count; in brackets how many fewer the first takes."""
    texts = {code: [text_of(one) for one in examples if one.language == code] for code in NAMES}
    lines = ["| | " + " | ".join(NAMES.values()) + " |", "|---" * (len(NAMES) + 1) + "|"]
    first: dict[str, float] = {}
    for name, count in counts.items():
        means = {code: fmean(map(count, texts[code])) for code in NAMES}
        first = first or means
        cells = (
            f"{mean:.0f}" + (f" ({1 - first[code] / mean:.0%})" if means is not first else "")
            for code, mean in means.items()
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
