"""The way of one ticket: language → prompt → engine → parse → confidence → checks.

Pure but for the engine it is given: no database, no queue. Whatever a ticket or a model says
comes back as a value; only what a retry can help is raised.
"""

from dataclasses import dataclass, field

from schemas.reply import Reply
from schemas.taxonomy import Taxonomy
from worker.engine.contract import Engine, Generation, Prompt, Request
from worker.engine.grammar import Grammar
from worker.errors import Hopeless
from worker.triage import checks, confidence, prompts
from worker.triage.checks import Finding
from worker.triage.confidence import Disposition, Thresholds
from worker.triage.language import Detected, LanguageDetector


@dataclass(frozen=True, slots=True)
class Desk:
    """How this desk wants its tickets triaged; the same for every ticket."""

    taxonomy: Taxonomy
    language: str
    prompt_version: str
    grammar: Grammar
    temperature: float
    seed: int
    thresholds: Thresholds
    deadline_s: float
    detector: LanguageDetector


@dataclass(frozen=True, slots=True)
class Triaged:
    """What came of a ticket. `reason` says why a person has to look; None if nobody has to.

    `reply` is None if nothing usable was written, `generation` if nothing was asked.
    """

    language: Detected
    disposition: Disposition
    reason: str | None = None
    reply: Reply | None = None
    confidence: dict[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    generation: Generation | None = None


def triage(
    subject: str,
    body: str,
    locale: str | None,
    engine: Engine,
    desk: Desk,
    *,
    priority: int = 0,
) -> Triaged:
    """Classify one ticket and draft its reply; a lower `priority` goes first in the engine.

    Raises:
        Retryable: the engine is down or died, or took longer than `desk.deadline_s` seconds.
    """
    language = desk.detector.detect(f"{subject}\n{body}", locale=locale)
    if language.code is None:
        return Triaged(language, Disposition.HUMAN, "there is no text to read")
    if not language.is_supported:
        return Triaged(language, Disposition.HUMAN, f"unsupported language: {language.code}")
    prompt = prompts.build(
        version=desk.prompt_version,
        taxonomy=desk.taxonomy,
        desk_language=desk.language,
        language=language.code,
        subject=subject,
        body=body,
    )
    try:
        generation = engine.generate(
            request(prompt, desk, priority=priority), deadline_s=desk.deadline_s
        )
    except Hopeless as error:
        return Triaged(language, Disposition.HUMAN, str(error))
    return judge(generation, prompt, language, desk)


def request(prompt: Prompt, desk: Desk, *, priority: int) -> Request:
    return Request(
        prompt=prompt,
        grammar=desk.grammar.ebnf,
        max_tokens=desk.grammar.max_tokens,
        temperature=desk.temperature,
        seed=desk.seed,
        priority=priority,
    )


def judge(generation: Generation, prompt: Prompt, language: Detected, desk: Desk) -> Triaged:
    """Read what the engine wrote and decide who has to look at it."""
    assert language.code is not None
    try:
        reply = Reply.parse(generation.text, desk.taxonomy)
    except ValueError as error:
        reason = f"the output is no reply: {error}"
        return Triaged(language, Disposition.HUMAN, reason, generation=generation)
    found = checks.findings(
        checks.Subject(prompt.ticket, language.code, reply, prompt.instruction, desk.detector)
    )
    sure = confidence.of_labels(generation.tokens)
    disposition = Disposition.HUMAN if found else confidence.disposition(sure, desk.thresholds)
    return Triaged(
        language=language,
        disposition=disposition,
        reason=why_a_person(disposition, found, sure),
        reply=reply,
        confidence=sure,
        findings=found,
        generation=generation,
    )


def why_a_person(
    disposition: Disposition, found: tuple[Finding, ...], sure: dict[str, float]
) -> str | None:
    if found:
        return "failed checks: " + ", ".join(dict.fromkeys(finding.check for finding in found))
    if disposition is Disposition.HUMAN:
        weakest = min(sure, key=lambda name: sure[name], default="every label")
        return f"unsure of {weakest} ({sure.get(weakest, 0.0):.2f})"
    return None
