"""The servers of an engine that is somewhere else: what each serves, and which of them answer.

Knows nothing of prompts and answers.
"""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakSet

import httpx

from worker import logs
from worker.engine.profiles import Profile
from worker.errors import (
    AnswerLost,
    DeadlineExceeded,
    EngineUnavailable,
    RequestRefused,
    SettingsError,
)

log = logs.get(__name__)

LOOK_S, LOOK_TIMEOUT_S = 1.0, 5.0
REST_S = 10.0
"""So long one that has failed is asked after the others."""
MOST_MISSES = 2
"""Looks in a row that a server may not answer in time, when no request of ours has failed."""
CONNECTED = {"connection.connect_tcp.complete", "connection.start_tls.complete"}
LIMITS = httpx.Limits(max_connections=256, keepalive_expiry=2.0)
"""A server closes a connection that nobody has used for five seconds: we must be sooner, or a
request meets one that has just been closed."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says of itself: the model's name there, its context in tokens, its vLLM."""

    model: str
    context: int
    version: str


@dataclass(slots=True)
class Endpoint:
    """One server, whether it answers, and how many of our requests it has."""

    http: httpx.Client
    served: Served | None = None
    is_up: bool = False
    running: int = 0
    misses: int = 0
    rests_until: float = 0.0
    """It has failed: on the monotonic clock, until when those that have not go first."""
    refused: str = ""
    """Why it gets nothing though it answers."""
    _lines: "WeakSet[socket.socket]" = field(default_factory=WeakSet)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return str(self.http.base_url)

    @property
    def rests(self) -> bool:
        return time.monotonic() < self.rests_until

    def forget(self) -> None:
        """Another server may have come to this address: it gets nothing until it was looked at."""
        self.put_down()
        self.served = None

    def put_down(self) -> None:
        """It gets nothing until `look` has found it well."""
        if self.is_up:
            log.warning("server_down", url=self.url)
        self.is_up = False

    def post(self, path: str, body: dict[str, Any], *, timeout: httpx.Timeout) -> httpx.Response:
        return self.http.post(path, json=body, timeout=timeout, extensions={"trace": self._note})

    def get(self, path: str) -> httpx.Response:
        """Noted as well: what a look has opened a request goes over next."""
        return self.http.get(path, timeout=LOOK_TIMEOUT_S, extensions={"trace": self._note})

    def close(self) -> None:
        """End what is being asked at once: closing alone does not wake a thread that waits."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            with suppress(OSError):  # it is closed already
                line.shutdown(socket.SHUT_RDWR)
        self.http.close()

    def still_answers(self) -> bool:
        """Asked after a failure: one that does not answer is put down."""
        if self.answers():
            return True
        self.put_down()
        return False

    def answers(self) -> bool:
        try:
            return self.get("/health").is_success
        except (httpx.HTTPError, RuntimeError):
            return False

    def look(self, profile: Profile) -> None:
        """Ask what it serves; from then on it gets requests.

        Raises:
            EngineUnavailable: it does not answer.
            SettingsError: it does not know our key, serves another model, or is no vLLM.
        """
        try:
            models, version = self.get("/v1/models"), self.get("/version")
        except (httpx.HTTPError, RuntimeError) as error:
            raise self._silent(str(error)) from error
        if models.is_server_error:  # a proxy's, while the server behind it starts
            raise self._silent(f"said {models.status_code}")
        if models.status_code in {401, 403}:
            raise SettingsError(
                f"TRIAGE_SERVERS: {self.url} wants another key: set TRIAGE_SERVERS_KEY to its "
                "`--api-key`"
            )
        try:
            [served, *_] = models.json()["data"]
            found = Served(
                str(served["id"]), int(served["max_model_len"]), version.json()["version"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"TRIAGE_SERVERS: {self.url} does not speak the API of `vllm serve`: start there "
                f"what `triage profile command {profile.name}` prints"
            ) from error
        name = str(served.get("root") or served["id"])
        if last_part(name) != last_part(profile.model):
            raise SettingsError(
                f"TRIAGE_SERVERS: {self.url} serves {name}, but profile {profile.name} is for "
                f"{profile.model}: set TRIAGE_PROFILE to that model's"
            )
        if found.context < profile.max_model_len:
            log.warning("server_has_less_context", url=self.url, tokens=found.context)
        self.served, self.is_up, self.refused = found, True, ""

    def _note(self, event: str, info: dict[str, Any]) -> None:
        """httpx tells what becomes of a request; here, over which connection it goes."""
        if event in CONNECTED:
            with self._lock:
                self._lines.add(info["return_value"].get_extra_info("socket"))

    def _silent(self, why: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"TRIAGE_SERVERS: {self.url} does not answer ({why}): start it, or name another"
        )


class Endpoints:
    """Hands out the endpoint with the fewest requests. Safe to share between threads."""

    def __init__(self, profile: Profile, urls: Sequence[str], *, key: str) -> None:
        """
        Raises:
            SettingsError: one of them is not what the profile needs.
            EngineUnavailable: none of them answers.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._profile = profile
        self._all = [
            Endpoint(httpx.Client(base_url=url.rstrip("/"), limits=LIMITS, headers=headers))
            for url in urls
        ]
        self._lock, self._is_closing = threading.Lock(), threading.Event()
        try:
            self.version = self._look_at_all()
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._watch, name="server-watch", daemon=True).start()

    @contextmanager
    def least_busy(self) -> Iterator[tuple[Endpoint, Served]]:
        """It, and what it serves, with the least context of those that answer: what one of them has
        no room for is shortened, and may then go to any.

        Raises:
            EngineUnavailable: none answers.
        """
        with self._lock:
            up = [(one, one.served) for one in self._all if one.is_up and one.served]
            if not up:
                raise EngineUnavailable("no server answers")
            chosen, served = min(up, key=lambda each: (each[0].rests, each[0].running))
            chosen.running += 1
        least = min(one.context for _, one in up)
        try:
            yield chosen, replace(served, context=least)
        except (AnswerLost, DeadlineExceeded, RequestRefused):
            # One that fails at once has the fewest requests: it would get most of the tickets.
            chosen.rests_until = time.monotonic() + REST_S
            raise
        finally:
            with self._lock:
                chosen.running -= 1

    def any_is_up(self) -> bool:
        return any(one.is_up for one in self._all)

    def any_is_rested(self) -> bool:
        return any(one.is_up and not one.rests for one in self._all)

    def down(self) -> list[str]:
        """The addresses of those that get nothing."""
        return [one.url for one in self._all if not one.is_up]

    def close(self) -> None:
        self._is_closing.set()
        for endpoint in self._all:
            endpoint.close()

    def _look_at_all(self) -> str:
        """The version of vLLM of the first that answers."""
        silent: list[EngineUnavailable] = []
        for endpoint in self._all:
            try:
                endpoint.look(self._profile)
            except EngineUnavailable as error:
                log.warning("server_down", url=endpoint.url)
                silent.append(error)
        if len(silent) == len(self._all):
            raise silent[0]
        return next(one.served.version for one in self._all if one.served)

    def _watch(self) -> None:
        """Notice servers that go, and those that come, which may be others than before."""
        while not self._is_closing.wait(LOOK_S):
            for endpoint in self._all:
                if endpoint.answers():
                    endpoint.misses = 0
                    if not endpoint.is_up:
                        self._welcome(endpoint)
                else:
                    self._miss(endpoint)

    def _miss(self, endpoint: Endpoint) -> None:
        endpoint.misses += 1
        if endpoint.misses >= MOST_MISSES and not self._is_closing.is_set():
            endpoint.put_down()

    def _welcome(self, endpoint: Endpoint) -> None:
        try:
            endpoint.look(self._profile)
        except EngineUnavailable:
            return
        except SettingsError as error:
            if endpoint.refused != str(error):  # once, not each second
                endpoint.refused = str(error)
                log.error("server_refused", reason=endpoint.refused)  # noqa: TRY400  # no bug of ours
        else:
            log.warning("server_up", url=endpoint.url)


def last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
