"""Sends labelled tickets through the product's own pipeline and keeps what came of each."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from schemas.labelled import LabelledTicket
from schemas.reply import LABELS
from worker.engine.contract import Engine
from worker.helpdesk import text
from worker.triage import pipeline
from worker.triage.checks import is_judgeable
from worker.triage.confidence import Disposition
from worker.triage.desk import Desk
from worker.triage.language import same_language
from worker.triage.pipeline import Triaged


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled ticket beside what the model made of it.

    `wanted` and `written` are labels by field; `written` is empty if the output did not parse
    (`is_valid` is False) or nothing was asked (None). `reply_is_in_language` is None where there
    is no reply to judge. `output_tokens` is 0 if nothing was asked.
    """

    language: str
    wanted_language: str | None
    wanted: dict[str, str]
    written: dict[str, str]
    confidence: dict[str, float]
    disposition: Disposition
    is_valid: bool | None
    reply_is_in_language: bool | None
    checks: tuple[str, ...]
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Run:
    """All tickets of one measurement, and the seconds they took."""

    judged: Sequence[Judged]
    seconds: float


def run(
    tickets: Sequence[LabelledTicket],
    engine: Engine,
    desk: Desk,
    *,
    in_flight: int,
    advance: Callable[[], None] = lambda: None,
) -> Run:
    """Triage every ticket, `in_flight` at a time, its text cleaned as a webhook's is.

    Raises:
        Retryable: the engine died or let a deadline pass: such a measurement says nothing.
    """

    def judge_one(ticket: LabelledTicket) -> Judged:
        triaged = pipeline.triage(
            text.one_line(ticket.subject), text.clean(ticket.body), ticket.locale, engine, desk
        )
        advance()
        return judged(ticket, triaged, desk)

    started = time.monotonic()
    with ThreadPoolExecutor(in_flight) as threads:
        results = list(threads.map(judge_one, tickets))
    return Run(results, time.monotonic() - started)


def judged(ticket: LabelledTicket, triaged: Triaged, desk: Desk) -> Judged:
    reply = triaged.reply
    return Judged(
        language=triaged.language.code or "none",
        wanted_language=ticket.language,
        wanted=ticket.labels,
        written={field: str(getattr(reply, field)) for field in LABELS} if reply else {},
        confidence=triaged.confidence,
        disposition=triaged.disposition,
        is_valid=None if triaged.generation is None else reply is not None,
        reply_is_in_language=same_language(
            desk.detector.detect(reply.reply).tag, ticket.language or triaged.language.tag
        )
        if reply and is_judgeable(reply.reply)
        else None,
        checks=tuple(finding.check for finding in triaged.findings),
        output_tokens=triaged.generation.output_tokens if triaged.generation else 0,
    )
