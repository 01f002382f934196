"""Triages one ticket, from its claim to its record. Celery carries; the row decides."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog
from celery import Celery
from celery.exceptions import Reject
from opentelemetry.trace import SpanKind
from sqlalchemy.orm import Session

from schemas.message import TicketMessage
from worker import logs, stages, tracing
from worker.database import UNAVAILABLE
from worker.dispatch.celery_app import TASK
from worker.dispatch.desks import language_then
from worker.dispatch.holding import LOOK_S
from worker.dispatch.outcomes import Ending, crash, failure, move, record, release, repair
from worker.dispatch.runtime import Runtime
from worker.errors import EngineCrashed, EngineUnavailable, PromptTooLong, Retryable
from worker.queues import QUEUES, Queue
from worker.tickets import store
from worker.tickets.states import State
from worker.tickets.store import Claim, Setting
from worker.triage import pipeline
from worker.triage.pipeline import Triaged

log = logs.get(__name__)

OWN = Setting()


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
        Reject: the process ends before the ticket was claimed, or before it is a suspect's turn.
        One of `worker.database.UNAVAILABLE`: the process ends and Postgres is away; the lease will
            run out.
    """
    wait_for_engine(run)
    claim = None if run.suspects.is_waiting(ticket_id) else take(ticket_id, run)
    if claim is None:
        log.info("nothing_to_claim")
    elif run.suspects.must_wait(claim):
        ending = release(claim, "another suspect is in the engine")
        ending.count(run.in_postgres(ending.step))
        with run.suspects.turn(ticket_id, run.draining.is_set) as is_ours:
            if not is_ours:
                raise Reject(requeue=True)
            triage_one(ticket_id, run)
    else:
        triage_claimed(claim, run)


def triage_claimed(claim: Claim, run: Runtime) -> None:
    with seen(claim), run.held.hold(claim):
        ending = work_on(claim, run)
        with stages.stage("record"):
            state = run.in_postgres(ending.step)
        ending.count(state)
        log.info("ticket_left", state=state or "lease lost")
    if state is State.RECEIVED and ending.announce_on and claim.setting is None:
        run.publisher.announce([(claim.ticket_id, ending.announce_on)])


@contextmanager
def seen(claim: Claim) -> Iterator[None]:
    """Every line of the log names the attempt; a trace goes on from the webhook's."""
    attributes = {
        "messaging.system": "celery",
        "messaging.operation.type": "process",
        "messaging.destination.name": claim.queue,
        "triage.ticket_id": claim.ticket_id,
        "triage.attempt": claim.attempt,
    }
    with (
        structlog.contextvars.bound_contextvars(attempt=claim.attempt),
        tracing.span(
            f"process {claim.queue}",
            kind=SpanKind.CONSUMER,
            parent=claim.traceparent,
            attributes=attributes,
        ),
    ):
        stages.waited(claim.waited_ms / 1000)
        yield


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
    repairs = may_repair(claim, run) and pipeline.is_repairable(triaged, run.desks.of(claim))
    return (repair if repairs else record)(claim, triaged, run)


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
        if may_move(claim) and run.in_postgres(partial(store.is_served, queue=Queue.LONG)):
            raise
        return look(shortens=True)


def may_move(claim: Claim) -> bool:
    """A rerun for one profile stays: on another queue no worker of that profile would take it."""
    is_bound = claim.setting is not None and claim.setting.profile is not None
    return claim.queue != Queue.LONG and not is_bound
