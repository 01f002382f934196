"""vLLM behind HTTP: one or several `vllm serve` endpoints, driven as the engine in the process is.

The same prompt tokens, grammar, priorities and log-probabilities go over the wire; a deadline that
passes closes the connection, and the server drops the request. Of several endpoints the one with
the fewest requests of ours gets the next.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from worker import logs
from worker.engine.alternatives import ALTERNATIVES
from worker.engine.contract import Generation, Identity, Request, Token
from worker.engine.endpoint import Endpoint
from worker.engine.endpoints import Endpoints
from worker.engine.finished import identity, refuse_unfinished
from worker.engine.profiles import Profile
from worker.engine.tokens import PromptEncoder
from worker.engine.told import token
from worker.errors import (
    AnswerLost,
    DeadlineExceeded,
    EngineCrashed,
    EngineUnavailable,
    PromptTooLong,
    RequestRefused,
)

log = logs.get(__name__)

AS_IDS = "token_id:"
"""How the server writes a token when it is asked for ids: texts of two tokens may be the same."""
CONNECT_S = 5.0
PLAIN_SAMPLING = {
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""As an engine in the worker samples; a server takes the model's `generation_config.json` else."""
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
        self._endpoints = Endpoints(profile, urls, key=key)
        self.identity = identity(
            profile, version=f"{self._endpoints.version} (server)", hardware=", ".join(urls)
        )
        self._is_stopping = threading.Event()

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
            body = {"model": served.model, **body_of(ids, request)}
            answer = self._post(endpoint, body, deadline_s)
        return self._generation(
            answer,
            engine_ms=int((time.monotonic() - started) * 1000),
            identity=identity(
                self.profile, version=f"{served.version} (server)", hardware=endpoint.url
            ),
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

    def _post(self, endpoint: Endpoint, body: dict[str, Any], deadline_s: float) -> dict[str, Any]:
        """
        Raises:
            AnswerLost, DeadlineExceeded, EngineCrashed, EngineUnavailable, RequestRefused: as they
                say.
        """
        try:
            answer = endpoint.post(
                "/v1/completions", body, timeout=httpx.Timeout(deadline_s, connect=CONNECT_S)
            )
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
        try:
            parsed: dict[str, Any] = answer.json()
        except ValueError as error:
            raise AnswerLost(f"the server's answer is no JSON: {answer.text[:200]}") from error
        return parsed

    def _generation(
        self, answer: dict[str, Any], *, engine_ms: int, identity: Identity
    ) -> Generation:
        written, usage = answer["choices"][0], answer["usage"]
        refuse_unfinished(written["finish_reason"])
        ids = [id_of(one) for one in written["logprobs"]["tokens"]]
        details = usage.get("prompt_tokens_details") or {}
        return Generation(
            text=self._encoder.decode(ids),
            finish_reason=written["finish_reason"] or "error",
            tokens=tuple(self._tokens(written["logprobs"])),
            prompt_tokens=usage["prompt_tokens"],
            cached_tokens=details.get("cached_tokens") or 0,
            output_tokens=usage["completion_tokens"],
            engine_ms=engine_ms,
            identity=identity,
        )

    def _tokens(self, told: dict[str, Any]) -> Iterator[Token]:
        for chosen, logprob, top in zip(
            told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True
        ):
            others = [(id_of(other), value) for other, value in top.items()]
            yield token(id_of(chosen), logprob, others, self._encoder)


def body_of(ids: list[int], request: Request) -> dict[str, Any]:
    """A request in the words of vLLM's completions API."""
    return {
        "prompt": ids,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        **PLAIN_SAMPLING,
        "seed": request.seed,
        "priority": request.priority,
        "logprobs": ALTERNATIVES,
        "return_tokens_as_token_ids": True,
        "structured_outputs": {"grammar": request.grammar},
    }


def refusal(endpoint: Endpoint, answer: httpx.Response) -> Exception:
    """What an answer that is none means for the ticket, and for its server."""
    said = f"the server said {answer.status_code}: {answer.text[:200]}"
    if answer.status_code in ANOTHER:
        endpoint.forget()
        return EngineUnavailable(said)
    if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
        return RequestRefused(f"the server refused the request: {said}")
    if answer.status_code == NOBODY_THERE and not endpoint.still_answers():
        return EngineUnavailable(said)
    return lost(endpoint, said)


def lost(endpoint: Endpoint, how: str) -> Exception:
    """An answer that did not come: from a server that lives, or from one that died over it."""
    return AnswerLost(how) if endpoint.still_answers() else EngineCrashed(how)


def id_of(token: str) -> int:
    return int(token.removeprefix(AS_IDS))
