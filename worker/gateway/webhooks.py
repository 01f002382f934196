"""Accepts one webhook: prove the sender, read the ticket, commit, announce. In this order."""

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from opentelemetry.trace import SpanKind
from starlette.concurrency import run_in_threadpool

from schemas.ticket import IncomingTicket
from worker import helpdesk, logs, tracing
from worker.database import Sessions
from worker.dispatch.publish import Announcer, Publisher
from worker.errors import BadSignature, UnknownSource, UnusableBody
from worker.gateway.commits import GroupCommit
from worker.helpdesk import HELPDESKS, Helpdesk, Webhook
from worker.settings import Settings
from worker.tickets.store import Arrival, Received

log = logs.get(__name__)

QUICKLY_READ_BYTES = 32_768
"""Larger bodies take milliseconds to clean: they are read in a thread, past the others."""
UNKNOWN = "unknown"
"""Counted so: sources that are none."""


class Status(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Accepted:
    """`ticket_id` is ours; `status` says what a delivery was."""

    ticket_id: int
    status: Status


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a helpdesk wants to hear back while a webhook is set up."""

    answer: str


class Intake:
    """Everything between a webhook's bytes and the queue. Used from one event loop."""

    def __init__(
        self, settings: Settings, sessions: Sessions, announcer: Announcer | Publisher
    ) -> None:
        self._secrets = (settings.webhook_secrets, settings.webhook_secrets_before)
        self._commits = GroupCommit(sessions, announcer)

    def name_of(self, source: str = "", desk: str = "", **_: object) -> str:
        """How a request's path is counted: sources that there are, each desk by its own name."""
        if source not in HELPDESKS:
            return UNKNOWN
        has_secret = any(f"{source}_{desk}" in secrets for secrets in self._secrets)
        return f"{source}/{desk}" if has_secret else source

    async def accept(
        self, source: str, webhook: Webhook, *, desk: str = ""
    ) -> Accepted | Challenge:
        """Keep a delivery as rows and announce its ticket.

        A ticket of one of several desks has `source/desk` as its source.

        Raises:
            Refused: unknown source, bad signature, or a body that is no ticket.
            One of `worker.database.UNAVAILABLE`: Postgres is down; nothing was kept.
        """
        with tracing.span(f"webhook {source[:40]}", kind=SpanKind.SERVER):
            if len(webhook.body) <= QUICKLY_READ_BYTES:
                read = self.read(source, webhook, desk)
            else:
                read = await run_in_threadpool(self.read, source, webhook, desk)
            if isinstance(read, Challenge):
                return read
            received = await self._commits.keep(Arrival(read, tracing.traceparent()))
        status = status_of(received)
        log.info("webhook", source=read.source, ticket_id=received.ticket_id, status=status)
        return Accepted(received.ticket_id, status)

    def read(self, source: str, webhook: Webhook, desk: str) -> IncomingTicket | Challenge:
        """The ticket in a delivery, its sender proven.

        Raises:
            Refused: unknown source, bad signature, or a body that is no ticket.
        """
        adapter = helpdesk.by_name(source)
        self._verify(adapter, webhook, desk)
        header = adapter.challenge_header
        if header and (challenge := webhook.headers.get(header)):
            return Challenge(challenge)
        return helpdesk.read(adapter, parsed(webhook.body), webhook, desk=desk)

    def _verify(self, adapter: Helpdesk, webhook: Webhook, desk: str) -> None:
        """Prove that the webhook is signed with the source's secret, or with the one before."""
        key = f"{adapter.name}_{desk}" if desk else adapter.name
        known = [secrets[key].get_secret_value() for secrets in self._secrets if key in secrets]
        if not known:
            raise UnknownSource(
                f"source {f'{adapter.name}/{desk}'[:80] if desk else adapter.name} has no secret "
                f"here: set TRIAGE_WEBHOOK_SECRETS__{key.upper()[:80]}"
            )
        *others, last = known
        for secret in others:
            with contextlib.suppress(BadSignature):
                return adapter.verify(webhook, secret)
        return adapter.verify(webhook, last)


def parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnusableBody(f"body: not JSON in UTF-8: {error}") from error


def status_of(received: Received) -> Status:
    if not received.is_new:
        return Status.DUPLICATE
    return Status.IGNORED if received.is_ignored else Status.ACCEPTED
