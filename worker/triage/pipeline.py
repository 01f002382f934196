"""The way of one ticket: language → prompt → engine → parse → confidence → checks.

Pure but for the engine it is given: no database, no queue. Whatever a ticket or a model says
comes back as a value; only what a retry can help is raised.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from schemas.reply import LABELS, Reply, label_values
from worker.engine.contract import PROBE, Engine, Generation, Prompt, Request
from worker.errors import Hopeless, PromptTooLong
from worker.stages import stage
from worker.triage import checks, confidence, prompts
from worker.triage.checks import Finding
from worker.triage.confidence import Disposition
from worker.triage.desk import Desk
from worker.triage.language import Detected
from worker.triage.shortening import shorten

WARM_UP_S = 300.0
"""A first compilation of the grammar takes seconds, a first run of a large model's kernels more."""
SHORTENED = "ticket_is_whole"
"""The check, among an attempt's findings, that a ticket fails which did not fit the context."""


@dataclass(frozen=True, slots=True)
class Triaged:
    """What came of a ticket. `reason` says why somebody has to look; None if nobody has to.

    `reply` is None if nothing usable was written, `generation` and `prompt` if nothing was asked;
    `error` is the name of the error with which the engine refused it.
    """

    language: Detected
    disposition: Disposition
    reason: str | None = None
    reply: Reply | None = None
    confidence: dict[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    prompt: Prompt | None = None
    generation: Generation | None = None
    error: str | None = None


def triage(
    subject: str,
    body: str,
    locale: str | None,
    engine: Engine,
    desk: Desk,
    *,
    priority: int = 0,
    faults: Sequence[str] = (),
    shortens: bool = True,
    language: Detected | None = None,
) -> Triaged:
    """Classify one ticket and draft its reply; a lower `priority` goes first in the engine.

    `faults` are what the checks found in an earlier answer. A ticket that does not fit the
    engine's context is shortened if `shortens`; a person gets it. `language` is detected unless
    it is given.

    Raises:
        Retryable: the engine is down or died, or took longer than `desk.deadline_s` seconds.
        PromptTooLong: the ticket does not fit and may not be shortened.
    """
    if language is None:
        with stage("language"):
            language = desk.detector.detect(
                f"{subject}\n{body}", locale=locale, among=desk.languages
            )
    if language.code is None:
        return Triaged(language, Disposition.HUMAN, "there is no text to read")
    if language.code not in desk.languages:
        return Triaged(language, Disposition.HUMAN, f"unsupported language: {language.code}")

    def ask(text: str) -> Triaged:
        prompt = build_prompt(desk, language, subject, text, faults)
        with stage("engine") as span:
            generation = engine.generate(
                request(prompt, desk, priority=priority), deadline_s=desk.deadline_s
            )
            span.set_attributes(told(generation))
        with stage("checks"):
            return judge(generation, prompt, language, desk)

    try:
        return ask(body)
    except PromptTooLong as error:
        if not shortens:
            raise
        return ask_in_short(ask, body, error, engine, language)
    except Hopeless as error:
        return refused(language, error)


def warm_up(engine: Engine, desk: Desk, *, engines: int = 1) -> Sequence[BaseException]:
    """Before the first ticket waits: compile the desk's grammar, put its prompt into the cache.

    `engines`: how many servers the engine is; of as many requests at once each takes one.

    Returns:
        Why some were not answered: one server that is warm is enough to begin.

    Raises:
        PromptTooLong: beside the longest answer there is no room even for an empty ticket.
        Retryable: the engine did not answer.
    """
    prompt = prompts.build(
        version=desk.prompt_version,
        instruction=desk.instruction,
        language="en",
        subject="",
        body="",
        faults=(),
    )
    longest = request(prompt, desk, priority=0)
    first = replace(longest, max_tokens=1)
    with ThreadPoolExecutor(engines) as threads:
        asked = [
            threads.submit(engine.generate, first, deadline_s=WARM_UP_S) for _ in range(engines)
        ]
    failures = [error for one in asked if (error := one.exception())]
    if len(failures) == engines:
        raise failures[0]
    engine.generate(replace(longest, grammar=PROBE.grammar), deadline_s=WARM_UP_S)
    return failures


def build_prompt(
    desk: Desk, language: Detected, subject: str, body: str, faults: Sequence[str]
) -> Prompt:
    assert language.tag is not None
    return prompts.build(
        version=desk.prompt_version,
        instruction=desk.instruction,
        language=language.tag,
        subject=subject,
        body=body,
        faults=faults,
    )


def ask_in_short(
    ask: Callable[[str], Triaged],
    body: str,
    too_long: PromptTooLong,
    engine: Engine,
    language: Detected,
) -> Triaged:
    """Ask about what fits of a ticket; a person has to look, whatever the answer is."""
    around = too_long.tokens - engine.count(body)
    short = shorten(body, room=too_long.room - around, count=engine.count)
    left_out = (
        f"{short.left_out:,} of {short.parts:,} parts left out: the prompt took "
        f"{too_long.tokens:,} tokens, there is room for {too_long.room:,}"
    )
    try:
        triaged = ask(short.text)
    except Hopeless as error:
        return refused(language, error)
    return replace(
        triaged,
        disposition=Disposition.HUMAN,
        reason=f"shortened: {left_out}",
        findings=(*triaged.findings, Finding(SHORTENED, left_out)),
    )


def refused(language: Detected, error: Hopeless) -> Triaged:
    return Triaged(language, Disposition.HUMAN, str(error), error=type(error).__name__)


def request(prompt: Prompt, desk: Desk, *, priority: int) -> Request:
    return Request(
        prompt=prompt,
        grammar=desk.grammar.ebnf,
        max_tokens=desk.grammar.max_tokens,
        temperature=desk.temperature,
        seed=desk.seed,
        priority=priority,
        labels=len(LABELS),
    )


def told(generation: Generation) -> dict[str, str | int]:
    """What a trace says of a generation, by OpenTelemetry's conventions for models."""
    return {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.request.model": generation.identity.model,
        "gen_ai.usage.input_tokens": generation.prompt_tokens,
        "gen_ai.usage.output_tokens": generation.output_tokens,
        "gen_ai.response.finish_reason": generation.finish_reason,
    }


def judge(generation: Generation, prompt: Prompt, language: Detected, desk: Desk) -> Triaged:
    """Read what the engine wrote and decide who has to look at it."""
    assert language.tag is not None
    try:
        reply = Reply.parse(generation.text, desk.taxonomy)
    except ValueError as error:
        unusable = f"the output is no reply: {error}"
        return Triaged(language, Disposition.HUMAN, unusable, prompt=prompt, generation=generation)
    found = checks.findings(
        checks.Subject(prompt.ticket, language.tag, reply, prompt.instruction, desk.detector)
    )
    sure = confidence.of_labels(generation.tokens, label_values(desk.taxonomy))
    disposition, reason = verdict(found, sure, desk)
    return Triaged(
        language=language,
        disposition=disposition,
        reason=reason,
        reply=reply,
        confidence=sure,
        findings=found,
        prompt=prompt,
        generation=generation,
    )


def verdict(
    found: Sequence[Finding], sure: Mapping[str, float], desk: Desk
) -> tuple[Disposition, str | None]:
    """Who has to look at a reply, and why; nobody has a reason of None."""
    if found:
        named = dict.fromkeys(finding.check for finding in found)
        return Disposition.HUMAN, "failed checks: " + ", ".join(named)
    return confidence.disposition(sure, desk.thresholds)


def is_repairable(triaged: Triaged, desk: Desk) -> bool:
    """Whether asking once more, with the findings named, may give an answer that passes."""
    return (
        bool(triaged.findings)
        and not any(finding.check == SHORTENED for finding in triaged.findings)
        and prompts.can_repair(desk.prompt_version)
    )
