"""The prompt of a generated ticket: the very one that the worker sends with profile `demo`."""

from models.demo.tickets import Example
from schemas.taxonomy import load_taxonomy
from worker.engine.contract import Prompt
from worker.triage import prompts

VERSION = "demo-1"
TAXONOMY = load_taxonomy()
INSTRUCTION = prompts.instruction(VERSION, TAXONOMY, "en")


def example_prompt(example: Example, *, body: str | None = None) -> Prompt:
    """The prompt of `example`, or of the same ticket with another body."""
    return prompts.build(
        version=VERSION,
        instruction=INSTRUCTION,
        language=example.language,
        subject=example.subject,
        body=example.body if body is None else body,
    )
