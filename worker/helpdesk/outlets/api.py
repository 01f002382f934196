"""HTTP to a helpdesk's API: its refusals become our errors, its pages one stream."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict

import httpx

from worker.errors import (
    OutletBusy,
    OutletConflict,
    OutletGone,
    OutletRefused,
    OutletUnavailable,
)
from worker.helpdesk.markup import from_html
from worker.helpdesk.outlets.contract import Draft
from worker.helpdesk.text import plain

TIMEOUT_S = 15.0
LONGEST_WAIT_S = 3600.0
MOST_PAGES = 10_000


class Api:
    """Requests to one helpdesk. `http` has its address and who we are."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **params: Any) -> Any:
        return self.request("GET", path, params=params or None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.request("POST", path, json=dict(body))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.request("PUT", path, json=dict(body))

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The parsed answer, None where it is empty.

        Raises:
            OutletError: the helpdesk is away, busy, or does not want it.
        """
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise OutletUnavailable(f"{type(error).__name__}: {error}") from error
        refuse(answer)
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise OutletUnavailable(f"{method} {path}: the answer is no JSON") from error

    def pages(
        self, path: str, items: str, following: Callable[[Any], str | None], **params: Any
    ) -> Iterator[dict[str, Any]]:
        """What `items` names, of page after page; `following` finds the next one's address."""
        page = self.get(path, **params)
        for _ in range(MOST_PAGES):
            yield from page[items]
            address = following(page)
            if not address:
                return
            page = self.get(address)


def marked(items: Iterable[Mapping[str, Any]], marker: str, field: str) -> str | None:
    """The id of the one whose text carries our marker; None if none does."""
    return next((str(one["id"]) for one in items if marker in (one[field] or "")), None)


class Answers(TypedDict):
    """Two fields of a `Remote`."""

    touched: bool
    answered_at: datetime | None


def answers(
    items: Iterable[Mapping[str, Any]],
    draft: Draft,
    *,
    at: Callable[[Mapping[str, Any]], Any],
    text: Callable[[Mapping[str, Any]], str | None],
    by_agent: Callable[[Mapping[str, Any]], bool],
    by_customer: Callable[[Mapping[str, Any]], bool],
) -> Answers:
    """`at` is when a message was written, by the helpdesk's clock; see `moment`.

    What we posted in public ourselves, word for word, is no person's answer. A draft of ours that
    somebody sent is one.
    """
    said, ours = list(items), set(map(letters, draft.sent))
    agents = [
        moment(at(one)) for one in said if by_agent(one) and letters(text(one) or "") not in ours
    ]
    customers = [moment(at(one)) for one in said if by_customer(one)]
    last = max(agents, default=None)
    return Answers(
        touched=last is not None and (not customers or last >= max(customers)),
        answered_at=IN_DOUBT if last is not None and last.tzinfo is None else last,
    )


IN_DOUBT = datetime.max.replace(tzinfo=UTC)
"""For a time that says no zone: it may be later than anything of ours."""


def moment(said: str | float) -> datetime:
    """A helpdesk's time: in ISO 8601, or seconds since 1970. Naive where it names no zone."""
    return (
        datetime.fromisoformat(said)
        if isinstance(said, str)
        else datetime.fromtimestamp(said, tz=UTC)
    )


def letters(said: str) -> str:
    """What of a text survives every helpdesk's formatting."""
    return "".join(
        char for char in plain(from_html(said) if "<" in said else said) if char.isalnum()
    )


def refuse(answer: httpx.Response) -> None:
    """
    Raises:
        OutletError: by the answer's status.
    """
    if answer.is_success:
        return
    where = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
    status = answer.status_code
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        raise OutletBusy(where, wait_s=retry_after_s(answer.headers.get("retry-after", "")))
    if status in {401, 403}:
        raise OutletUnavailable(f"{where}: are token and user right, and may they do this?")
    if status in {404, 410}:
        raise OutletGone(where)
    if status in {409, 412}:
        raise OutletConflict(where)
    if status >= 500:
        raise OutletUnavailable(where)
    raise OutletRefused(f"{where}: {answer.text[:200]}")


def retry_after_s(header: str) -> float:
    """Seconds to wait; helpdesks send whole seconds."""
    return min(float(header), LONGEST_WAIT_S) if header.isdecimal() else 60.0
