"""Accepts one webhook: prove the sender, read the ticket, commit, announce. In this order."""

from dataclasses import dataclass
from enum import StrEnum

import orjson
from opentelemetry.trace import SpanKind

from schemas.ticket import IncomingTicket
from worker import helpdesk, logs, tracing
from worker.database import Sessions, transaction
from worker.dispatch.publish import Announcer, Publisher
from worker.errors import UnknownSource, UnusableBody
from worker.helpdesk import Webhook
from worker.settings import Settings
from worker.tickets import store
from worker.tickets.states import Queue

log = logs.get(__name__)


class Status(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Accepted:
    """`ticket_id` is ours; `status` says what a delivery was."""

    ticket_id: int
    status: Status


class Intake:
    """Everything between a webhook's bytes and the queue. Safe to share between threads."""

    def __init__(
        self, settings: Settings, sessions: Sessions, announcer: Announcer | Publisher
    ) -> None:
        self._secrets, self._sessions = settings.webhook_secrets, sessions
        self._announcer = announcer

    def accept(self, source: str, webhook: Webhook) -> Accepted:
        """Keep a delivery as rows and announce its ticket.

        Raises:
            Refused: unknown source, bad signature, or a body that is no ticket.
            sqlalchemy.exc.OperationalError: Postgres is down; nothing was kept.
        """
        with tracing.span(f"webhook {source[:40]}", kind=SpanKind.SERVER):
            ticket = self._read(source, webhook)
            with transaction(self._sessions) as session:
                received = store.receive(
                    session, ticket, Queue.LIVE, traceparent=tracing.traceparent()
                )
        if received.is_new and not received.is_ignored:
            self._announcer.announce([(received.ticket_id, Queue.LIVE)])
        status = status_of(received)
        log.info("webhook", source=source, ticket_id=received.ticket_id, status=status)
        return Accepted(received.ticket_id, status)

    def _read(self, source: str, webhook: Webhook) -> IncomingTicket:
        adapter = helpdesk.by_name(source)
        secret = self._secrets.get(source)
        if secret is None:
            raise UnknownSource(
                f"source {source} has no secret here: set TRIAGE_WEBHOOK_SECRETS__{source.upper()}"
            )
        adapter.verify(webhook, secret.get_secret_value())
        try:
            payload = orjson.loads(webhook.body)
        except orjson.JSONDecodeError as error:
            raise UnusableBody(f"body: not JSON in UTF-8: {error}") from error
        return adapter.read(payload, webhook)


def status_of(received: store.Received) -> Status:
    if not received.is_new:
        return Status.DUPLICATE
    return Status.IGNORED if received.is_ignored else Status.ACCEPTED
