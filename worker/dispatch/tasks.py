"""Triages one ticket, from its claim to its record. Celery carries; the row decides."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import Reject
from sqlalchemy.orm import Session

from schemas.message import TicketMessage
from worker import logs
from worker.database import UNAVAILABLE
from worker.dispatch.celery_app import TASK
from worker.dispatch.desks import language_then
from worker.dispatch.runtime import Runtime
from worker.errors import EngineCrashed, EngineUnavailable, PromptTooLong, Retryable
from worker.settings import QUEUES
from worker.tickets import store
from worker.tickets.states import Outcome, Queue, State
from worker.tickets.store import Claim, Result, Setting
from worker.triage import pipeline
from worker.triage.confidence import Disposition
from worker.triage.pipeline import Triaged

log = logs.get(__name__)

LOOK_S = 0.2
OWN = Setting()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a claim ends. `step` does it in Postgres and gives the ticket's new state (None if the
    lease was lost); `announce_on` is the queue on which a ticket that waits again can be taken at
    once."""

    step: Callable[[Session], State | None]
    announce_on: str | None = None


def register(app: Celery, run: Runtime) -> None:
    """Give the application its one task, bound to this process's runtime."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery has no types
    def triage_ticket(**message: Any) -> None:
        ticket_id = TicketMessage.model_validate(message).ticket_id
        with structlog.contextvars.bound_contextvars(ticket_id=ticket_id):
            try:
                triage_one(ticket_id, run)
            except UNAVAILABLE as error:  # this process ends and Postgres is away
                raise Reject(requeue=True) from error


def triage_one(ticket_id: int, run: Runtime) -> None:
    """Triage one ticket, unless another worker already holds it or it is done.

    Raises:
        Reject: the process ends before the ticket was claimed.
        DBAPIError: the process ends and Postgres is away; the lease will run out.
    """
    wait_for_engine(run)
    claim = take(ticket_id, run)
    if claim is None:
        log.info("nothing_to_claim")
        return
    with run.held.hold(claim):
        ending = work_on(claim, run)
        state = run.in_postgres(ending.step)
    log.info("ticket_left", attempt=claim.attempt, state=state or "lease lost")
    if state is State.RECEIVED and ending.announce_on and claim.setting is None:
        run.publisher.announce([(claim.ticket_id, ending.announce_on)])


def take(ticket_id: int, run: Runtime) -> Claim | None:
    """Claim a ticket, or its rerun in a replay."""

    def claim(session: Session) -> Claim | None:
        return store.claim(
            session, ticket_id, worker=run.worker, lease_s=run.lease_s
        ) or store.claim_rerun(
            session,
            ticket_id,
            worker=run.worker,
            lease_s=run.lease_s,
            profile=run.engine.identity.profile,
        )

    return run.in_postgres(claim)


def wait_for_engine(run: Runtime) -> None:
    """Return when there is an engine: no ticket is claimed without one.

    Raises:
        Reject: the process ends first; another worker gets the message.
    """
    while not run.engine.is_alive():
        if run.giving_up.wait(LOOK_S):
            raise Reject(requeue=True)


def work_on(claim: Claim, run: Runtime) -> Ending:
    """Triage a claimed ticket, whatever happens; how its claim ends."""
    try:
        with run.suspects.watch(claim) as is_to_blame:
            triaged = triage(claim, run)
    except PromptTooLong as error:
        return move(claim, error, run)
    except (EngineCrashed, EngineUnavailable) as error:
        return without_engine(claim, error, run, is_to_blame=is_to_blame())
    except Retryable as error:
        return failure(claim, error, str(error), run)
    except Exception as error:  # a bug must not hold a ticket until its lease ends
        log.exception("triage_failed")
        return failure(claim, error, f"unexpected {type(error).__name__}: see the log", run)
    if may_repair(claim, run) and pipeline.is_repairable(triaged, run.desks.of(claim)):
        return repair(claim, triaged, run)
    return record(claim, triaged, run)


def may_repair(claim: Claim, run: Runtime) -> bool:
    """What is run as it was, is: what came of it then was one answer, good or bad."""
    is_as_it_was = claim.setting is not None and claim.setting.as_it_was is not None
    return claim.repairs < run.retries.max_repairs and not is_as_it_was


def without_engine(
    claim: Claim, error: EngineCrashed | EngineUnavailable, run: Runtime, *, is_to_blame: bool
) -> Ending:
    if isinstance(error, EngineUnavailable):
        return release(claim, str(error))
    if is_to_blame:
        return crash(claim, error, run)
    return release(claim, "the engine died over another ticket")


def triage(claim: Claim, run: Runtime) -> Triaged:
    """Triage a claimed ticket; what does not fit is shortened where nobody has more room.

    Raises:
        PromptTooLong: it does not fit here, and there is a worker for long tickets.
    """
    setting = claim.setting or OWN
    look = partial(
        pipeline.triage,
        claim.subject,
        claim.body,
        claim.locale,
        run.engine,
        run.desks.of(claim),
        priority=QUEUES.index(claim.queue),
        faults=claim.faults or setting.faults,
        language=language_then(setting.as_it_was) if setting.as_it_was else None,
    )
    try:
        return look(shortens=False)
    except PromptTooLong:
        if claim.queue != Queue.LONG and run.in_postgres(
            partial(store.is_served, queue=Queue.LONG)
        ):
            raise
        return look(shortens=True)


def record(claim: Claim, triaged: Triaged, run: Runtime) -> Ending:
    return Ending(partial(store.record, claim=claim, result=result_of(claim, triaged, run)))


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
    log.info("answer_to_be_repaired", attempt=claim.attempt, reason=triaged.reason)
    result = replace(result_of(claim, triaged, run), outcome=Outcome.REPAIR, reply=None)
    return Ending(partial(store.repair, claim=claim, result=result), announce_on=claim.queue)


def move(claim: Claim, error: PromptTooLong, run: Runtime) -> Ending:
    log.info("ticket_moved", attempt=claim.attempt, queue=Queue.LONG)
    result = Result(Outcome.MOVED, str(error), columns_without_output(claim, run, error))
    step = partial(store.move, claim=claim, result=result, queue=Queue.LONG)
    return Ending(step, announce_on=Queue.LONG)


def failure(claim: Claim, error: Exception, reason: str, run: Runtime) -> Ending:
    log.warning("ticket_failed", attempt=claim.attempt, reason=reason)
    result = Result(Outcome.RETRY, reason, columns_without_output(claim, run, error))
    return Ending(partial(store.give_back, claim=claim, result=result, policy=run.retries))


def crash(claim: Claim, error: EngineCrashed, run: Runtime) -> Ending:
    log.error("engine_crashed_over_ticket", attempt=claim.attempt, crashes=claim.crashes + 1)
    result = Result(Outcome.CRASHED, str(error), columns_without_output(claim, run, error))
    step = partial(store.crashed, claim=claim, result=result, policy=run.retries)
    return Ending(step, announce_on=claim.queue)


def release(claim: Claim, reason: str) -> Ending:
    return Ending(partial(store.release, claim=claim, reason=reason), announce_on=claim.queue)


def attempt_columns(claim: Claim, triaged: Triaged, run: Runtime) -> dict[str, Any]:
    """Everything an attempt is known by later, as columns of `attempts`."""
    columns: dict[str, Any] = {
        "language": triaged.language.code,
        "language_tag": triaged.language.tag,
        "language_probability": triaged.language.probability,
        "language_evidence": triaged.language.evidence,
        **columns_without_output(claim, run),
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
        }
    return columns


def columns_without_output(
    claim: Claim, run: Runtime, error: Exception | None = None
) -> dict[str, Any]:
    identity, desk = run.engine.identity, run.desks.of(claim)
    return {
        "error": type(error).__name__ if error else None,
        "queue_ms": claim.waited_ms,
        "profile": identity.profile,
        "model": identity.model,
        "quantization": identity.quantization,
        "engine_version": identity.engine_version,
        "hardware": identity.hardware,
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
