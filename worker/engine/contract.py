"""What an engine is to the rest of the product: a question, its answer, and who gives it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads. `instruction` is the desk's own; `ticket` is hostile text.

    `note` follows the ticket: what was wrong with an earlier answer. Empty at the first try.
    """

    instruction: str
    ticket: str
    note: str = ""

    @property
    def sha256(self) -> str:
        """The same for the same prompt only."""
        whole = "\0".join((self.instruction, self.ticket, self.note))
        return hashlib.sha256(whole.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """One generation. `grammar` is EBNF; `max_tokens` admits the longest text it allows.

    Of the requests that wait, those with the lowest `priority` go first. The probabilities of
    `labels` values are wanted: of the fields, `"field":"value"`, that the answer begins with.
    """

    prompt: Prompt
    grammar: str
    max_tokens: int
    temperature: float
    seed: int
    priority: int = 0
    labels: int = 0


PROBED = "."
PROBE = Request(
    Prompt("Are you there?", ""), 'root ::= "."', 1, temperature=0.0, seed=0, priority=-1
)
"""What every engine answers at once, and in one way: `PROBED`."""


@dataclass(frozen=True, slots=True)
class Token:
    """One output token: its text and its log-probability among the tokens the grammar allowed.

    `alternatives` are the most likely other ones at its place, as (text, log-probability). Beyond
    the labels an engine need not know: the log-probability is then that of nothing, -inf.
    """

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """Which engine answered: the lineage every attempt keeps."""

    profile: str
    model: str
    quantization: str
    engine_version: str
    hardware: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What was written, and by which engine. `finish_reason`: `stop`, `length`, `abort` or `error`.

    `tokens` may be read again and again; an engine may make each only when it is looked at.
    """

    text: str
    finish_reason: str
    tokens: Iterable[Token]
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    engine_ms: int
    identity: Identity


class Engine(Protocol):
    """Writes text for prompts. Called from many threads at once; calls share one batch."""

    identity: Identity

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        """Write one text; returns within about `deadline_s` seconds.

        Raises:
            PromptTooLong: the prompt does not fit the engine's context (no retry helps).
            DeadlineExceeded: time is up; the request has left the engine.
            EngineUnavailable: the engine is down or was stopped.
            EngineCrashed: the engine died meanwhile.
            AnswerLost: the engine lives, but could not answer this.
            RequestRefused: it does not take such a request.
        """
        ...

    def count(self, text: str) -> int:
        """How many tokens of the engine's own tokenizer a piece of plain text takes."""
        ...

    def is_alive(self) -> bool:
        """Whether `generate` can be expected to answer; costs nothing."""
        ...

    def stop(self) -> None:
        """End the engine and wait until it has ended."""
        ...
