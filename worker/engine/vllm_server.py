"""vLLM behind HTTP: one or several `vllm serve` endpoints, driven as the engine in the process is.

The same prompt tokens, grammar, priorities and log-probabilities go over the wire; a deadline that
passes closes the connection, and the server drops the request. Of several endpoints the one with
the fewest requests of ours gets the next.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any

import httpx

from worker import logs
from worker.engine.completions import PATH, body_of, read
from worker.engine.contract import PROBE, PROBED, Generation, Request
from worker.engine.endpoint import Endpoint, Served
from worker.engine.endpoints import Endpoints
from worker.engine.finished import identity
from worker.engine.profiles import Profile
from worker.engine.tokens import PromptEncoder
from worker.errors import (
    AnotherApi,
    AnswerLost,
    DeadlineExceeded,
    EngineCrashed,
    EngineUnavailable,
    PromptTooLong,
    RequestRefused,
    SettingsError,
)

log = logs.get(__name__)

CONNECT_S = 5.0
PROBE_S = 30.0
"""A busy server begins nothing new before one of its sequences ends."""
ANOTHER = {401, 403, 404}
"""It does not know our key, or this model: another server has come to this address."""
NOBODY_THERE = 503
"""A proxy's word for having no server to send this to."""


class ServerEngine:
    """An engine that is somewhere else. `generate` from any thread."""

    def __init__(self, profile: Profile, urls: Sequence[str], *, key: str = "") -> None:
        """Find out what the servers run; those that do not answer yet get nothing until they do.

        `key` is the `--api-key` that they were started with; empty: none.

        Raises:
            SettingsError: one of them serves something else than vLLM's API or the profile's model.
            EngineUnavailable: none of them answers.
        """
        self.profile = profile
        self._encoder = PromptEncoder(
            profile.model_path, revision=profile.revision, shape=profile.prompt_shape
        )
        self._is_stopping = threading.Event()
        self._endpoints = Endpoints(profile, urls, key=key, try_out=self._try_out)
        self.identity = identity(
            profile, version=f"{self._endpoints.version} (server)", hardware=", ".join(urls)
        )

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        ids = self._encoder.encode(request.prompt)
        try:
            return self._ask_one(ids, request, deadline_s)
        except RequestRefused:  # by a server that is another than we think? It rests now
            if not self._endpoints.any_is_rested():
                raise
            return self._ask_one(ids, request, deadline_s)

    def _ask_one(self, ids: list[int], request: Request, deadline_s: float) -> Generation:
        started = time.monotonic()
        with self._endpoints.least_busy() as (endpoint, served):
            room = min(self.profile.max_model_len, served.context) - request.max_tokens
            if len(ids) > room:
                raise PromptTooLong(self.profile.name, tokens=len(ids), room=room)
            answer = self._post(endpoint, body_of(ids, request, model=served.model), deadline_s)
            engine_ms = int((time.monotonic() - started) * 1000)
            return self._read(answer, endpoint, served, engine_ms=engine_ms)

    def _read(
        self, answer: httpx.Response, endpoint: Endpoint, served: Served, *, engine_ms: int
    ) -> Generation:
        by = identity(self.profile, version=f"{served.version} (server)", hardware=endpoint.url)
        return read(answer.content, self._encoder, engine_ms=engine_ms, identity=by)

    def _try_out(self, endpoint: Endpoint, served: Served) -> None:
        """Ask for what its grammar leaves no choice in, before a ticket is sent there.

        Raises:
            EngineUnavailable: it does not answer.
            SettingsError: it refuses this, tells of it in another way, or minds no grammar.
        """
        body = body_of(self._encoder.encode(PROBE.prompt), PROBE, model=served.model)
        remedy = f"start there what `triage profile command {self.profile.name}` prints"
        where = f"TRIAGE_SERVERS: {endpoint.url}"
        try:
            answer = endpoint.post(PATH, body, timeout=httpx.Timeout(PROBE_S, connect=CONNECT_S))
        except httpx.TimeoutException as error:
            found = f"{where} wrote nothing within {PROBE_S:g} s: it hangs or is full, see its log"
            raise EngineUnavailable(found) from error
        except (httpx.HTTPError, RuntimeError) as error:
            raise EngineUnavailable(f"{where} hung up: {type(error).__name__}") from error
        said = f"said {answer.status_code} to what we ask: {answer.text[:200]}"
        if refuses(answer):
            raise SettingsError(f"{where} {said}; {remedy}")
        if not answer.is_success:
            raise EngineUnavailable(f"{where} {said}")
        try:
            written = self._read(answer, endpoint, served, engine_ms=0).text
        except (AnotherApi, RequestRefused) as error:
            raise SettingsError(f"{where}: {error}; {remedy}") from error
        if written.strip() != PROBED:
            raise SettingsError(
                f"{where} writes what the grammar does not allow (vLLM {served.version}): {remedy},"
                " with the vLLM of requirements/"
            )

    def count(self, text: str) -> int:
        return len(self._encoder.encode_text(text))

    def is_alive(self) -> bool:
        return not self._is_stopping.is_set() and self._endpoints.any_is_up()

    def down(self) -> list[str]:
        """The addresses of servers that do not answer."""
        return self._endpoints.down()

    def stop(self) -> None:
        """End every request of ours; the servers run on."""
        self._is_stopping.set()
        self._endpoints.close()

    def _post(self, endpoint: Endpoint, body: dict[str, Any], deadline_s: float) -> httpx.Response:
        """
        Raises:
            AnswerLost, DeadlineExceeded, EngineCrashed, EngineUnavailable, RequestRefused: as they
                say.
        """
        try:
            answer = endpoint.post(PATH, body, timeout=httpx.Timeout(deadline_s, connect=CONNECT_S))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            kind = AnswerLost if endpoint.still_answers() else EngineUnavailable
            raise kind(f"the server does not answer: {error}") from error
        except httpx.TimeoutException as error:
            raise DeadlineExceeded(
                f"no answer within {deadline_s:g} s; raise TRIAGE_DEADLINE_S or add a server"
            ) from error
        except (httpx.HTTPError, RuntimeError) as error:
            if self._is_stopping.is_set():
                raise EngineUnavailable("the engine was stopped") from error
            raise lost(endpoint, f"the server hung up: {type(error).__name__}") from error
        if not answer.is_success:
            raise refusal(endpoint, answer)
        return answer


def refuses(answer: httpx.Response) -> bool:
    """The same again would not help."""
    return answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS


def refusal(endpoint: Endpoint, answer: httpx.Response) -> Exception:
    """What an answer that is none means for the ticket, and for its server."""
    said = f"the server said {answer.status_code}: {answer.text[:200]}"
    if answer.status_code in ANOTHER:
        endpoint.forget()
        return EngineUnavailable(said)
    if refuses(answer):
        return RequestRefused(f"the server refused the request: {said}")
    if answer.status_code == NOBODY_THERE and not endpoint.still_answers():
        return EngineUnavailable(said)
    return lost(endpoint, said)


def lost(endpoint: Endpoint, how: str) -> Exception:
    """An answer that did not come: from a server that lives, or from one that died over it."""
    return AnswerLost(how) if endpoint.still_answers() else EngineCrashed(how)
