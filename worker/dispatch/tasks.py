"""Triages one ticket, from its claim to its record. Celery carries; the row decides."""

from typing import Any

import structlog
from celery import Celery
from pydantic import ValidationError

from schemas.message import TicketMessage
from worker import logs
from worker.database import transaction
from worker.dispatch.celery_app import TASK
from worker.dispatch.runtime import Runtime
from worker.errors import Retryable
from worker.tickets import store
from worker.tickets.states import Outcome
from worker.tickets.store import Claim, Result
from worker.triage import pipeline
from worker.triage.pipeline import Triaged

log = logs.get(__name__)


def register(app: Celery, run: Runtime) -> None:
    """Give the application its one task, bound to this process's runtime."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery has no types
    def triage_ticket(**message: Any) -> None:
        try:
            ticket_id = TicketMessage.model_validate(message).ticket_id
        except ValidationError as error:
            log.warning("message_unreadable", errors=error.error_count())
            return
        with structlog.contextvars.bound_contextvars(ticket_id=ticket_id):
            triage_one(ticket_id, run)


def triage_one(ticket_id: int, run: Runtime) -> None:
    """Triage one ticket, unless another worker already holds it or it is done."""
    with transaction(run.sessions) as session:
        claim = store.claim(session, ticket_id, worker=run.worker, lease_s=run.lease_s)
    if claim is None:
        log.info("nothing_to_claim")
        return
    try:
        triaged = pipeline.triage(claim.subject, claim.body, claim.locale, run.engine, run.desk)
    except Retryable as error:
        give_back(claim, str(error), run)
    except Exception as error:  # a bug must not hold a ticket until its lease ends
        log.exception("triage_failed")
        give_back(claim, f"unexpected {type(error).__name__}: see the worker's log", run)
    else:
        record(claim, triaged, run)


def record(claim: Claim, triaged: Triaged, run: Runtime) -> None:
    result = Result(
        outcome=Outcome.NEEDS_HUMAN if triaged.reason else Outcome.REPLIED,
        reason=triaged.reason,
        attempt=attempt_columns(claim, triaged, run),
        reply=reply_columns(triaged),
        findings=[(finding.check, finding.detail) for finding in triaged.findings],
    )
    with transaction(run.sessions) as session:
        owned = store.record(session, claim, result)
    event = "ticket_triaged" if owned else "lease_lost"
    log.info(event, attempt=claim.attempt, outcome=result.outcome, reason=result.reason)


def give_back(claim: Claim, reason: str, run: Runtime) -> None:
    lineage = engine_columns(run)
    result = Result(Outcome.RETRY, reason, {**lineage, "queue_ms": claim.waited_ms})
    with transaction(run.sessions) as session:
        state = store.give_back(session, claim, result, run.retries)
    log.warning("ticket_given_back", attempt=claim.attempt, state=state, reason=reason)


def attempt_columns(claim: Claim, triaged: Triaged, run: Runtime) -> dict[str, Any]:
    """Everything an attempt is known by later, as columns of `attempts`."""
    columns: dict[str, Any] = {
        "language": triaged.language.code,
        "language_probability": triaged.language.probability,
        "language_evidence": triaged.language.evidence,
        "queue_ms": claim.waited_ms,
        **engine_columns(run),
    }
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


def engine_columns(run: Runtime) -> dict[str, Any]:
    identity, desk = run.engine.identity, run.desk
    return {
        "profile": identity.profile,
        "model": identity.model,
        "quantization": identity.quantization,
        "engine_version": identity.engine_version,
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
        "disposition": triaged.disposition,
    }
