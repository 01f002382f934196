"""The FastAPI application: webhooks, health, whatever routers it is given; errors as statuses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from worker import logs, metrics, migrate
from worker.database import UNAVAILABLE, Sessions, reason
from worker.errors import BodyTooLarge, Refused
from worker.gateway.refusals import Refusals
from worker.gateway.webhooks import Challenge, Intake, Status
from worker.helpdesk import Webhook

log = logs.get(__name__)

RETRY_AFTER_S = 5


def create_app(
    intake: Intake,
    sessions: Sessions,
    *routers: APIRouter,
    max_body_bytes: int,
    threads: int,
) -> FastAPI:
    """`threads` webhooks are worked on at once; each needs a connection to Postgres."""

    refusals = Refusals(sessions)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        refusals.start()
        yield
        refusals.stop()

    app = FastAPI(title="ticket-triage gateway", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.post("/webhooks/{source}")
    @app.post("/webhooks/{source}/{desk}")
    async def webhook(source: str, request: Request, desk: str = "") -> JSONResponse:
        body = await read_body(request, limit=max_body_bytes)
        delivery = Webhook(body, request.headers, received_at=datetime.now(UTC))
        with metrics.WEBHOOK_SECONDS.time():
            accepted = await intake.accept(source, delivery, desk=desk)
        if isinstance(accepted, Challenge):
            return JSONResponse({"challenge": accepted.answer})
        count(intake.name_of(source, desk), accepted.status)
        return JSONResponse(
            {"ticket_id": accepted.ticket_id, "status": accepted.status},
            status_code=200 if accepted.status is Status.DUPLICATE else 202,
        )

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        """Webhooks can be kept: Postgres answers and has this version's schema, or a later one."""
        found = migrate.current_revision(sessions)
        if not migrate.is_outdated(found):
            return JSONResponse({"status": "ready", "schema": found})
        wanted = migrate.latest_revision()
        reason = f"schema {found or 'missing'}, need {wanted}: run `triage migrate`"
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    for more in routers:
        app.include_router(more)

    errors_become_statuses(app, intake, refusals)
    return app


def errors_become_statuses(app: FastAPI, intake: Intake, refusals: Refusals) -> None:
    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        source = intake.name_of(**request.path_params)
        refusals.note(source, error)
        count(source, "refused")
        return refusal(request, error)

    async def postgres_unavailable(request: Request, error: Exception) -> JSONResponse:
        count(intake.name_of(**request.path_params), "unavailable")
        log.error("postgres_unavailable", path=request.url.path, error=reason(error))
        return JSONResponse(
            {"status": "unavailable", "reason": "Postgres takes nothing now: nothing was kept"},
            status_code=503,
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )

    app.add_exception_handler(Refused, refused)
    for unavailable in UNAVAILABLE:
        app.add_exception_handler(unavailable, postgres_unavailable)


async def read_body(request: Request, *, limit: int) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: it has more than `limit` bytes; the rest is not read.
    """
    refusal = BodyTooLarge(f"the body is larger than {limit} bytes (TRIAGE_MAX_BODY_BYTES)")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise refusal
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise refusal
    return bytes(body)


def count(source: str, verdict: str) -> None:
    metrics.WEBHOOKS.labels(source, verdict).inc()


def refusal(request: Request, error: Refused) -> JSONResponse:
    log.warning("webhook_refused", path=request.url.path, status=error.status, reason=str(error))
    return JSONResponse({"status": "refused", "reason": str(error)}, status_code=error.status)
