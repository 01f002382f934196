"""How a claim ends: what is written, and what is counted of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from worker import logs, metrics
from worker.dispatch.runtime import Runtime
from worker.engine.contract import Identity
from worker.errors import DeskUnknown, EngineCrashed, PromptTooLong
from worker.queues import Queue
from worker.tickets import store
from worker.tickets.states import Outcome, State
from worker.tickets.store import Claim, Result
from worker.triage.confidence import Disposition
from worker.triage.pipeline import Triaged

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a claim ends. `step` does it in Postgres and gives the ticket's new state (None if the
    lease was lost); `announce_on` is the queue on which a ticket that waits again can be taken at
    once. `triaged` is what was made of the ticket, None if it was not answered.
    """

    outcome: Outcome
    step: Callable[[Session], State | None]
    announce_on: str | None = None
    triaged: Triaged | None = None

    def count(self, state: State | None) -> None:
        """Count it, now that it has come to this state."""
        outcome = self.outcome if state else Outcome.SUPERSEDED
        language = self.triaged.language.code if self.triaged else None
        metrics.TICKETS.labels(language or "unknown", outcome).inc()
        if self.triaged is None:
            return
        for finding in self.triaged.findings:
            metrics.CHECKS_FAILED.labels(finding.check).inc()
        if written := self.triaged.generation:
            metrics.TOKENS.labels("prompt").inc(written.prompt_tokens)
            metrics.TOKENS.labels("cached").inc(written.cached_tokens)
            metrics.TOKENS.labels("output").inc(written.output_tokens)


def record(claim: Claim, triaged: Triaged, run: Runtime) -> Ending:
    result = result_of(claim, triaged, run)
    return Ending(
        result.outcome,
        partial(store.record, claim=claim, result=result, writes_back=run.writes_back(claim)),
        triaged=triaged,
    )


def result_of(claim: Claim, triaged: Triaged, run: Runtime) -> Result:
    needs_human = triaged.disposition is Disposition.HUMAN
    return Result(
        outcome=Outcome.NEEDS_HUMAN if needs_human else Outcome.REPLIED,
        reason=triaged.reason if needs_human else None,
        attempt=attempt_columns(claim, triaged, run),
        reply=reply_columns(triaged),
        findings=[(finding.check, finding.detail) for finding in triaged.findings],
    )


def repair(claim: Claim, triaged: Triaged, run: Runtime) -> Ending:
    log.info("answer_to_be_repaired", reason=triaged.reason)
    result = replace(result_of(claim, triaged, run), outcome=Outcome.REPAIR, reply=None)
    step = partial(store.repair, claim=claim, result=result)
    return Ending(Outcome.REPAIR, step, announce_on=claim.queue, triaged=triaged)


def move(claim: Claim, error: PromptTooLong, run: Runtime) -> Ending:
    log.info("ticket_moved", queue=Queue.LONG)
    result = Result(Outcome.MOVED, str(error), columns_without_output(claim, run, error))
    step = partial(store.move, claim=claim, result=result, queue=Queue.LONG)
    return Ending(Outcome.MOVED, step, announce_on=Queue.LONG)


def failure(claim: Claim, error: Exception, reason: str, run: Runtime) -> Ending:
    log.warning("ticket_failed", reason=reason)
    result = Result(Outcome.RETRY, reason, columns_without_output(claim, run, error))
    step = partial(store.give_back, claim=claim, result=result, policy=run.retries)
    return Ending(Outcome.RETRY, step)


def crash(claim: Claim, error: EngineCrashed, run: Runtime) -> Ending:
    log.error("engine_crashed_over_ticket", crashes=claim.crashes + 1)
    result = Result(Outcome.CRASHED, str(error), columns_without_output(claim, run, error))
    step = partial(store.crashed, claim=claim, result=result, policy=run.retries)
    return Ending(Outcome.CRASHED, step, announce_on=claim.queue)


def release(claim: Claim, reason: str) -> Ending:
    step = partial(store.release, claim=claim, reason=reason)
    return Ending(Outcome.RELEASED, step, announce_on=claim.queue)


def attempt_columns(claim: Claim, triaged: Triaged, run: Runtime) -> dict[str, Any]:
    """Everything an attempt is known by later, as columns of `attempts`."""
    columns: dict[str, Any] = {
        "language": triaged.language.code,
        "language_tag": triaged.language.tag,
        "language_probability": triaged.language.probability,
        "language_evidence": triaged.language.evidence,
        **columns_without_output(claim, run),
        "error": triaged.error,
    }
    if triaged.prompt:
        columns["prompt_hash"] = triaged.prompt.sha256
    if written := triaged.generation:
        columns |= {
            "raw_output": written.text,
            "finish_reason": written.finish_reason,
            "prompt_tokens": written.prompt_tokens,
            "cached_tokens": written.cached_tokens,
            "output_tokens": written.output_tokens,
            "engine_ms": written.engine_ms,
            **engine_columns(written.identity),
        }
    return columns


def columns_without_output(
    claim: Claim, run: Runtime, error: Exception | None = None
) -> dict[str, Any]:
    return {
        "error": type(error).__name__ if error else None,
        "queue_ms": claim.waited_ms,
        **engine_columns(run.engine.identity),
        **desk_columns(claim, run, error),
    }


def engine_columns(identity: Identity) -> dict[str, str]:
    return {
        "profile": identity.profile,
        "model": identity.model,
        "quantization": identity.quantization,
        "engine_version": identity.engine_version,
        "hardware": identity.hardware,
    }


def desk_columns(claim: Claim, run: Runtime, error: Exception | None) -> dict[str, Any]:
    """Nothing, if what went wrong is that this worker can make no such desk."""
    if isinstance(error, DeskUnknown):
        return {}
    desk = run.desks.of(claim)
    return {
        "desk_sha256": desk.sha256,
        "prompt_version": desk.prompt_version,
        "grammar_hash": desk.grammar.sha256,
        "taxonomy_version": desk.taxonomy.version,
        "sampling": {"temperature": desk.temperature},
        "seed": desk.seed,
    }


def reply_columns(triaged: Triaged) -> dict[str, Any] | None:
    if triaged.reply is None:
        return None
    return {
        **triaged.reply.model_dump(mode="json"),
        "confidence": triaged.confidence,
        "least_confidence": min(triaged.confidence.values(), default=None),
        "disposition": triaged.disposition,
        "disposition_reason": triaged.reason,
    }
