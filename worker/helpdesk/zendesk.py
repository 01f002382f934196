"""Zendesk event webhooks (`zen:event-type:ticket.*`), and triggers that send the same body.

Its developer pages sign timestamp + raw body; an older copy says body + timestamp, which no
current Zendesk does.
"""

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SIGNATURE = "x-zendesk-webhook-signature"
TIMESTAMP = "x-zendesk-webhook-signature-timestamp"
INVOCATION = "x-zendesk-webhook-invocation-id"

CREATED = "zen:event-type:ticket.created"
COMMENT_ADDED = "zen:event-type:ticket.comment_added"


class Author(Sent):
    is_staff: bool = False


class Comment(Sent):
    id: str = Field(min_length=1)
    body: str
    is_public: bool
    author: Author = Author()


class Change(Sent):
    comment: Comment | None = None


class Detail(Sent):
    id: str = Field(min_length=1)
    subject: str | None = None
    description: str | None = None
    updated_at: AwareDatetime | None = None
    locale: str | None = None
    requester_id: str | None = None


class Event(Sent):
    """The envelope of every Zendesk event; keys that are not read here are ignored."""

    id: str | None = None
    type: str = Field(min_length=1)
    detail: Detail
    event: Change = Change()


class Zendesk(Helpdesk):
    """HMAC-SHA256 over timestamp + body, base64; timestamp in ISO 8601."""

    name = "zendesk"

    def verify(self, webhook: Webhook, secret: str) -> None:
        timestamp = webhook.headers.get(TIMESTAMP)
        signatures.require_fresh(
            timestamp, header="X-Zendesk-Webhook-Signature-Timestamp", now=webhook.received_at
        )
        expected = signature(webhook.body, secret, str(timestamp))
        signatures.require(
            expected, webhook.headers.get(SIGNATURE), header="X-Zendesk-Webhook-Signature"
        )

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        event = parse(Event, payload)
        comment = event.event.comment
        is_comment = event.type == COMMENT_ADDED and comment is not None
        raw = comment.body if is_comment and comment else event.detail.description or ""
        message = text.message(raw)
        updated_at = event.detail.updated_at
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": event.detail.id,
                "delivery_key": webhook.headers.get(INVOCATION)
                or event.id
                or f"{event.type}:{event.detail.id}:{updated_at}",
                "message_id": comment.id if is_comment and comment else "",
                "event": event.type,
                "subject": text.one_line(event.detail.subject or ""),
                "body": message.body,
                "cut": message.cut,
                "locale": event.detail.locale,
                "requester": event.detail.requester_id,
                "source_updated_at": updated_at,
                "ignore_reason": why_ignored(event),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        return {
            "type": CREATED,
            "zendesk_event_version": "2022-11-06",
            "subject": f"zen:ticket:{ticket.id}",
            "event": {},
            "detail": {
                "id": ticket.id,
                "subject": ticket.subject,
                "description": ticket.body,
                "status": "NEW",
                "locale": ticket.locale,
                "requester_id": ticket.requester,
                "tags": [],
                "via": {"channel": "email"},
            },
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        timestamp = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        return {
            SIGNATURE: signature(body, secret, timestamp),
            TIMESTAMP: timestamp,
            INVOCATION: delivery_id,
        }


def signature(body: bytes, secret: str, timestamp: str) -> str:
    return signatures.base64_signature("sha256", secret, timestamp.encode(), body)


def why_ignored(event: Event) -> str | None:
    """Why an event is no customer's message; None if it is one."""
    if event.type == CREATED:
        return None
    comment = event.event.comment
    if event.type != COMMENT_ADDED or comment is None:
        return not_a_message(event.type)
    if not comment.is_public:
        return "an internal note"
    return "an agent's reply" if comment.author.is_staff else None
