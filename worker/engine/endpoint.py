"""One server of an engine that is somewhere else: what it serves, and whether it answers."""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import httpx

from worker import logs
from worker.engine.profiles import Profile
from worker.errors import EngineUnavailable, SettingsError

log = logs.get(__name__)

LOOK_TIMEOUT_S = 5.0
CONNECTED = {"connection.connect_tcp.complete", "connection.start_tls.complete"}


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
    is_met: bool = False
    """It answers again, and is being looked at."""
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

    def welcome(self, served: Served) -> None:
        """From now on it gets requests."""
        self.served, self.is_up, self.refused = served, True, ""

    def look(self, profile: Profile) -> Served:
        """Ask what it serves.

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
        return found

    def _note(self, event: str, info: dict[str, Any]) -> None:
        """httpx tells what becomes of a request; here, over which connection it goes."""
        if event in CONNECTED:
            with self._lock:
                self._lines.add(info["return_value"].get_extra_info("socket"))

    def _silent(self, why: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"TRIAGE_SERVERS: {self.url} does not answer ({why}): start it, or name another"
        )


def last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
