"""Any system that can sign a JSON body: `{"id", "subject", "body", "locale"?, …}`."""

from datetime import datetime
from typing import Any

from schemas.ticket import GenericTicket, IncomingTicket
from worker.helpdesk import signatures, text
from worker.helpdesk.contract import Helpdesk, Webhook, parse

SIGNATURE, TIMESTAMP, DELIVERY = "x-triage-signature", "x-triage-timestamp", "x-triage-delivery"


class Generic(Helpdesk):
    """HMAC-SHA256 over `{timestamp}.{body}`, hex with the prefix `sha256=`; Unix seconds."""

    name = "generic"

    def verify(self, webhook: Webhook, secret: str) -> None:
        timestamp = webhook.headers.get(TIMESTAMP)
        signatures.require_fresh(timestamp, header="X-Triage-Timestamp", now=webhook.received_at)
        expected = signature(webhook.body, secret, str(timestamp))
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-Triage-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        ticket = parse(GenericTicket, payload)
        message = text.message(ticket.body)
        incoming = {
            "source": self.name,
            "external_id": text.one_line(ticket.id),
            "message_id": ticket.message_id,
            "event": "ticket",
            "subject": text.one_line(ticket.subject),
            "body": message.body,
            "cut": message.cut,
            "locale": ticket.locale,
            "requester": ticket.requester,
        }
        content = parse(IncomingTicket, {**incoming, "delivery_key": "unknown"}).content_key
        key = webhook.headers.get(DELIVERY) or ticket.delivery_id or f"{ticket.id}:{content}"
        return parse(IncomingTicket, {**incoming, "delivery_key": key})

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        return ticket.model_dump(
            include={"id", "subject", "body", "locale", "requester"}, exclude_none=True
        )

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        timestamp = str(int(now.timestamp()))
        return {
            SIGNATURE: signature(body, secret, timestamp),
            TIMESTAMP: timestamp,
            DELIVERY: delivery_id,
        }


def signature(body: bytes, secret: str, timestamp: str) -> str:
    return signatures.hex_signature("sha256", secret, timestamp.encode(), b".", body)
