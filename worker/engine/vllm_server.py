"""vLLM behind HTTP: one or several `vllm serve` endpoints, driven as the engine in the process is.

The same prompt tokens, grammar, priorities and log-probabilities go over the wire; a deadline that
passes closes the connection, and the server drops the request. Of several endpoints the one with
the fewest requests of ours gets the next.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from worker import logs
from worker.engine.contract import Generation, Identity, Request, Token
from worker.engine.profiles import Profile
from worker.engine.tokens import PromptEncoder
from worker.engine.told import token
from worker.engine.vllm_engine import ALTERNATIVES
from worker.errors import (
    DeadlineExceeded,
    EngineCrashed,
    EngineUnavailable,
    PromptTooLong,
    RequestRefused,
    SettingsError,
)

log = logs.get(__name__)

LOOK_S, LOOK_TIMEOUT_S = 1.0, 5.0
MOST_CONNECTIONS = 256
AS_IDS = "token_id:"
"""How the server writes a token when it is asked for ids: texts of two tokens may be the same."""


@dataclass(slots=True)
class Endpoint:
    """One server, whether it answers, and how many of our requests it has."""

    http: httpx.Client
    is_up: bool = True
    running: int = 0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Hands out the endpoint with the fewest requests. Safe to share between threads."""

    all: Sequence[Endpoint]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def least_busy(self) -> Iterator[Endpoint]:
        """
        Raises:
            EngineUnavailable: none answers.
        """
        with self.lock:
            up = [one for one in self.all if one.is_up]
            if not up:
                raise EngineUnavailable("no server answers")
            chosen = min(up, key=lambda one: one.running)
            chosen.running += 1
        try:
            yield chosen
        finally:
            with self.lock:
                chosen.running -= 1


class ServerEngine:
    """An engine that is somewhere else. `generate` from any thread."""

    def __init__(self, profile: Profile, urls: Sequence[str]) -> None:
        """Find out what the servers run.

        Raises:
            SettingsError: one of them serves something else than vLLM's API or the profile's model.
            EngineUnavailable: one of them does not answer.
        """
        self.profile = profile
        self._encoder = PromptEncoder(
            profile.model_path, revision=profile.revision, shape=profile.prompt_shape
        )
        limits = httpx.Limits(max_connections=MOST_CONNECTIONS)
        self._endpoints = Endpoints(
            [Endpoint(httpx.Client(base_url=url.rstrip("/"), limits=limits)) for url in urls]
        )
        found = [self._served(one) for one in self._endpoints.all]
        self._model, self._room = found[0][0], min(length for _, length, _ in found)
        self.identity = Identity(
            profile=profile.name,
            model=profile.model,
            quantization=profile.quantization,
            engine_version=f"vllm {found[0][2]} (server)",
            hardware=", ".join(urls),
        )
        self._is_stopping = threading.Event()
        threading.Thread(target=self._watch, name="server-watch", daemon=True).start()

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        ids = self._encoder.encode(request.prompt)
        room = min(self.profile.max_model_len, self._room) - request.max_tokens
        if len(ids) > room:
            raise PromptTooLong(self.profile.name, tokens=len(ids), room=room)
        started = time.monotonic()
        with self._endpoints.least_busy() as endpoint:
            answer = self._post(endpoint, self._body(ids, request), deadline_s)
        return self._generation(answer, engine_ms=int((time.monotonic() - started) * 1000))

    def count(self, text: str) -> int:
        return len(self._encoder.encode_text(text))

    def is_alive(self) -> bool:
        return not self._is_stopping.is_set() and any(one.is_up for one in self._endpoints.all)

    def stop(self) -> None:
        """End every request of ours; the servers run on."""
        self._is_stopping.set()
        for endpoint in self._endpoints.all:
            endpoint.http.close()

    def _body(self, ids: list[int], request: Request) -> dict[str, Any]:
        return {
            "model": self._model,
            "prompt": ids,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "priority": request.priority,
            "logprobs": ALTERNATIVES,
            "return_tokens_as_token_ids": True,
            "structured_outputs": {"grammar": request.grammar},
        }

    def _post(self, endpoint: Endpoint, body: dict[str, Any], deadline_s: float) -> dict[str, Any]:
        """
        Raises:
            DeadlineExceeded, EngineCrashed, EngineUnavailable, RequestRefused: as they say.
        """
        try:
            answer = endpoint.http.post("/v1/completions", json=body, timeout=deadline_s)
        except httpx.TimeoutException as error:
            raise DeadlineExceeded(
                f"no answer within {deadline_s:g} s; raise TRIAGE_DEADLINE_S or add a server"
            ) from error
        except (httpx.HTTPError, RuntimeError) as error:
            if self._is_stopping.is_set():
                raise EngineUnavailable("the engine was stopped") from error
            endpoint.is_up = False
            if isinstance(error, httpx.ConnectError):
                raise EngineUnavailable(f"the server does not answer: {error}") from error
            raise EngineCrashed(f"the server hung up: {type(error).__name__}") from error
        if answer.status_code in {400, 404, 422}:
            raise RequestRefused(f"the server refused the request: {answer.text[:300]}")
        if not answer.is_success:
            endpoint.is_up = False
            raise EngineUnavailable(f"the server said {answer.status_code}: {answer.text[:200]}")
        parsed: dict[str, Any] = answer.json()
        return parsed

    def _generation(self, answer: dict[str, Any], *, engine_ms: int) -> Generation:
        written, usage = answer["choices"][0], answer["usage"]
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
        )

    def _tokens(self, told: dict[str, Any]) -> Iterator[Token]:
        for chosen, logprob, top in zip(
            told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True
        ):
            others = [(id_of(other), value) for other, value in top.items()]
            yield token(id_of(chosen), logprob, others, self._encoder)

    def _served(self, endpoint: Endpoint) -> tuple[str, int, str]:
        """The model's name there, its context in tokens, vLLM's version."""
        where = str(endpoint.http.base_url)
        try:
            models = endpoint.http.get("/v1/models", timeout=LOOK_TIMEOUT_S)
            version = endpoint.http.get("/version", timeout=LOOK_TIMEOUT_S)
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"TRIAGE_SERVERS: {where} does not answer ({error}): start it, or name another"
            ) from error
        try:
            [served, *_] = models.json()["data"]
            found = (str(served["id"]), int(served["max_model_len"]), version.json()["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"TRIAGE_SERVERS: {where} does not speak the API of `vllm serve`: start there what "
                f"`triage profile command {self.profile.name}` prints"
            ) from error
        name = str(served.get("root") or served["id"])
        if name.rstrip("/").rpartition("/")[2] != self.profile.model.rstrip("/").rpartition("/")[2]:
            raise SettingsError(
                f"TRIAGE_SERVERS: {where} serves {name}, but profile {self.profile.name} is for "
                f"{self.profile.model}: set TRIAGE_PROFILE to that model's"
            )
        return found

    def _watch(self) -> None:
        """Notice servers that go and come back."""
        while not self._is_stopping.wait(LOOK_S):
            for endpoint in self._endpoints.all:
                was_up, endpoint.is_up = endpoint.is_up, answers(endpoint)
                if was_up != endpoint.is_up:
                    log.warning("server_up" if endpoint.is_up else "server_down",
                                url=str(endpoint.http.base_url))  # fmt: skip


def answers(endpoint: Endpoint) -> bool:
    try:
        return endpoint.http.get("/health", timeout=LOOK_TIMEOUT_S).is_success
    except (httpx.HTTPError, RuntimeError):
        return False


def id_of(token: str) -> int:
    return int(token.removeprefix(AS_IDS))
