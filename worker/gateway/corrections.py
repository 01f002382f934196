"""Takes people's corrections over HTTP, for who bears the token."""

import secrets
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Request
from fastapi.responses import JSONResponse
from pydantic import SecretStr, ValidationError
from starlette.concurrency import run_in_threadpool

from schemas.correction import CorrectionRequest
from schemas.desks import Taxonomies
from schemas.mistakes import first_mistake
from worker.database import Sessions, transaction
from worker.errors import BodyTooLarge
from worker.gateway.app import read_body
from worker.tickets import read, store
from worker.tickets.rows import LARGEST_ID

MOST_BYTES = 1_048_576


def router(sessions: Sessions, taxonomies: Taxonomies, token: SecretStr | None) -> APIRouter:
    """The endpoint; without a token nobody may use it."""
    api = APIRouter(prefix="/api", dependencies=[Depends(bearer_of(token))])

    @api.post("/tickets/{ticket_id}/corrections", status_code=201)
    async def correct(
        ticket_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], request: Request
    ) -> JSONResponse:
        source = await run_in_threadpool(source_of, sessions, ticket_id)
        if source is None:
            reason = f"there is no ticket {ticket_id}"
            return JSONResponse({"status": "refused", "reason": reason}, status_code=404)
        try:
            correction = CorrectionRequest.model_validate_json(
                await read_body(request, limit=MOST_BYTES), context=taxonomies.of(source)
            )
        except BodyTooLarge:
            reason = f"the body is larger than {MOST_BYTES} bytes"
            return JSONResponse({"status": "refused", "reason": reason}, status_code=413)
        except ValidationError as error:
            reason = first_mistake(error, whole="correction")
            return JSONResponse({"status": "refused", "reason": reason}, status_code=422)
        if not await run_in_threadpool(keep, sessions, ticket_id, correction):
            reason = f"the text of ticket {ticket_id} was erased"
            return JSONResponse({"status": "refused", "reason": reason}, status_code=404)
        return JSONResponse(
            {"ticket_id": ticket_id, "corrected": sorted(correction.values)}, status_code=201
        )

    return api


def source_of(sessions: Sessions, ticket_id: int) -> str | None:
    with transaction(sessions) as session:
        return read.source_of(session, ticket_id)


def keep(sessions: Sessions, ticket_id: int, correction: CorrectionRequest) -> bool:
    with transaction(sessions) as session:
        return store.correct(
            session, ticket_id, correction.values, by=correction.by, note=correction.note
        )


def bearer_of(token: SecretStr | None) -> Callable[..., None]:
    """A dependency that lets pass who bears this token."""

    def require(authorization: Annotated[str, Header()] = "") -> None:
        if token is None:
            raise HTTPException(403, "the API is closed: set TRIAGE_API_TOKEN")
        expected = f"Bearer {token.get_secret_value()}"
        if not secrets.compare_digest(authorization.encode(), expected.encode()):
            raise HTTPException(
                401, "bearer token missing or wrong", headers={"WWW-Authenticate": "Bearer"}
            )

    return require
