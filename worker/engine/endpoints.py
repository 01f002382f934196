"""The servers of an engine that is somewhere else: which of them gets what is asked next.

Knows nothing of prompts and answers.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import httpx

from worker import logs
from worker.engine.endpoint import Endpoint, Served
from worker.engine.profiles import Profile
from worker.errors import (
    AnswerLost,
    DeadlineExceeded,
    EngineUnavailable,
    RequestRefused,
    SettingsError,
)

log = logs.get(__name__)

LOOK_S = 1.0
REST_S = 10.0
"""So long one that has failed is asked after the others."""
MOST_MISSES = 2
"""Looks in a row that a server may not answer in time, when no request of ours has failed."""
LIMITS = httpx.Limits(max_connections=256, keepalive_expiry=2.0)
"""A server closes a connection that nobody has used for five seconds: we must be sooner, or a
request meets one that has just been closed."""


class Endpoints:
    """Hands out the endpoint with the fewest requests. Safe to share between threads."""

    def __init__(
        self,
        profile: Profile,
        urls: Sequence[str],
        *,
        key: str,
        try_out: Callable[[Endpoint, Served], None],
    ) -> None:
        """`try_out` asks one something before it is asked for tickets, and raises as `look` does.

        Raises:
            SettingsError: one of them is not what the profile needs.
            EngineUnavailable: none of them answers.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._profile, self._try_out = profile, try_out
        self._all = [
            Endpoint(httpx.Client(base_url=root_of(url), limits=LIMITS, headers=headers))
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
        with ThreadPoolExecutor(len(self._all)) as threads:
            found = [threads.submit(self._look, endpoint) for endpoint in self._all]
        failures = [error for one in found if (error := one.exception())]
        for error in failures:
            if not isinstance(error, EngineUnavailable):
                raise error
            log.warning("server_down", reason=str(error))
        if len(failures) == len(self._all):
            raise failures[0]
        return next(one.served.version for one in self._all if one.served)

    def _look(self, endpoint: Endpoint) -> None:
        served = endpoint.look(self._profile)
        self._try_out(endpoint, served)
        endpoint.welcome(served)

    def _watch(self) -> None:
        """Notice servers that go, and those that come, which may be others than before."""
        while not self._is_closing.wait(LOOK_S):
            for endpoint in self._all:
                if endpoint.answers():
                    endpoint.misses = 0
                    if not endpoint.is_up and not endpoint.is_met:
                        endpoint.is_met = True
                        threading.Thread(
                            target=self._welcome, args=(endpoint,), daemon=True
                        ).start()
                else:
                    self._miss(endpoint)

    def _miss(self, endpoint: Endpoint) -> None:
        endpoint.misses += 1
        if endpoint.misses >= MOST_MISSES and not self._is_closing.is_set():
            endpoint.put_down()

    def _welcome(self, endpoint: Endpoint) -> None:
        """In a thread of its own: one that hangs must not keep the others from being watched."""
        try:
            self._look(endpoint)
        except (EngineUnavailable, SettingsError) as error:
            if endpoint.refused != str(error) and not self._is_closing.is_set():
                endpoint.refused = str(error)  # told once, not each second
                log.error("server_refused", reason=endpoint.refused)  # noqa: TRY400  # no bug of ours
        else:
            log.warning("server_up", url=endpoint.url)
        finally:
            endpoint.is_met = False


def root_of(url: str) -> str:
    """A server's address, also if it was given as clients of OpenAI's API want it."""
    return url.rstrip("/").removesuffix("/v1")
