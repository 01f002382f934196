"""A helpdesk in memory: what all twins have in common. Each enforces what the real API enforces.

For tests, and for `triage demo --write-back`. What they keep is told in the same words for all, so
that one test class runs over every helpdesk.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "a-token-of-the-twin"  # noqa: S105  # it opens nothing


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(slots=True)
class Said:
    """A message, note or draft. `by` is `customer` or `agent`."""

    id: int
    body: str
    by: str
    public: bool = True
    draft: bool = False

    @property
    def at(self) -> datetime:
        """Each a second later than the one before."""
        return datetime(2026, 11, 24, 10, tzinfo=UTC) + timedelta(seconds=self.id)


@dataclass(slots=True)
class TwinTicket:
    """A ticket as its helpdesk has it; `version` grows with every change."""

    id: int | str
    subject: str
    said: list[Said]
    tags: set[str] = field(default_factory=set)
    priority: object = None
    fields: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: what stands in its path, query and body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class Refusal(Exception):
    """What a twin does not take: a status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Twin:
    """One helpdesk. `routes` says what it answers: method, path, and the method's name."""

    name: ClassVar[str]
    routes: ClassVar[tuple[tuple[str, str, str], ...]]
    path_prefix: ClassVar[str] = ""

    def __init__(self) -> None:
        self.tickets: dict[str, TwinTicket] = {}
        self.busy = 0
        self.retry_after = "1"
        self.down = False
        self.requests: list[tuple[str, str]] = []
        self._ids = iter(range(1, 1_000_000))
        self.app = Starlette(routes=[Route("/{path:path}", self._serve, methods=METHODS)])

    def customer_writes(self, body: str, *, subject: str = "S", ticket_id: str = "") -> TwinTicket:
        """A new ticket; its id is a number unless one is given."""
        said = Said(next(self._ids), body, "customer")
        id_ = ticket_id or next(self._ids)
        self.tickets[str(id_)] = TwinTicket(id_, subject, [said])
        return self.tickets[str(id_)]

    def customer_adds(self, ticket_id: int | str, body: str) -> None:
        ticket = self.tickets[str(ticket_id)]
        ticket.said.append(Said(next(self._ids), body, "customer"))
        ticket.version += 1

    def agent_answers(self, ticket_id: int | str, body: str, *, public: bool = True) -> None:
        ticket = self.tickets[str(ticket_id)]
        ticket.said.append(Said(next(self._ids), body, "agent", public))
        ticket.version += 1

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request says rightly who it is."""
        raise NotImplementedError

    def is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether a body proves its sender, where one has to."""
        del headers, body
        return True

    def ticket(self, asked: Asked) -> TwinTicket:
        return self.of_id(asked.path["ticket"])

    def of_id(self, ticket_id: object) -> TwinTicket:
        """
        Raises:
            Refusal: 404, there is no such ticket.
        """
        if str(ticket_id) not in self.tickets:
            raise Refusal(404, "no such ticket")
        return self.tickets[str(ticket_id)]

    def add(self, ticket: TwinTicket, body: str, *, public: bool, draft: bool = False) -> Said:
        said = Said(next(self._ids), body, "agent", public, draft)
        ticket.said.append(said)
        ticket.version += 1
        return said

    async def _serve(self, request: Request) -> Response:
        raw = await request.body()
        path = request.url.path
        self.requests.append((request.method, path))
        try:
            query = dict(parse_qsl(request.url.query))
            return JSONResponse(self._answer(request, path, query, raw))
        except Refusal as refusal:
            headers = {"Retry-After": self.retry_after} if refusal.status == 429 else {}
            return JSONResponse({"error": str(refusal)}, refusal.status, headers)

    def _answer(self, request: Request, path: str, query: Mapping[str, str], raw: bytes) -> Any:
        if self.down:
            raise Refusal(502, "down")
        if not (self.knows(request.headers) and self.is_signed(request.headers, raw)):
            raise Refusal(401, "who are you?")
        if self.busy:
            self.busy -= 1
            raise Refusal(429, "slow down")
        for method, pattern, name in self.routes:
            shape = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", re.escape(pattern).replace(r"\{", "{")
                           .replace(r"\}", "}"))  # fmt: skip
            if method == request.method and (found := re.fullmatch(shape, path)):
                body = json.loads(raw) if raw else {}
                asked = Asked(found.groupdict(), query, body, request.headers)
                return getattr(self, name)(asked)
        raise Refusal(404, f"no such address: {request.method} {path}")


def required(body: Mapping[str, Any], *names: str) -> list[Any]:
    """The values of fields that have to be there.

    Raises:
        Refusal: 422, one is missing or empty.
    """
    for name in names:
        if body.get(name) in (None, ""):
            raise Refusal(422, f"{name} is missing")
    return [body[name] for name in names]


def one_of(value: Any, allowed: set[Any], name: str) -> Any:
    """
    Raises:
        Refusal: 422, the value is none of these.
    """
    if value not in allowed:
        raise Refusal(422, f"{name} must be one of {sorted(map(str, allowed))}, not {value!r}")
    return value


def bearer(headers: Mapping[str, str]) -> bool:
    return headers.get("authorization") == f"Bearer {TOKEN}"


def basic(headers: Mapping[str, str], user: str, password: str) -> bool:
    from base64 import b64encode  # noqa: PLC0415

    expected = b64encode(f"{user}:{password}".encode()).decode()
    return headers.get("authorization") == f"Basic {expected}"
