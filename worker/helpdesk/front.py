"""Front webhooks of an app: an inbound message in a conversation. Timestamps in milliseconds.

While a webhook is set up Front sends `X-Front-Challenge` and wants its value back.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import markup, signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SIGNATURE, TIMESTAMP = "x-front-signature", "x-front-request-timestamp"
INBOUND = "inbound"


class Conversation(Sent):
    id: str = Field(min_length=1)
    subject: str | None = None


class Recipient(Sent):
    handle: str | None = None
    role: str = "from"


class Attachment(Sent):
    filename: str = ""


class Message(Sent):
    id: str = ""
    is_inbound: bool = True
    body: str | None = None
    text: str | None = None
    recipients: tuple[Recipient, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Target(Sent):
    data: Message = Message()


class Event(Sent):
    id: str | None = None
    type: str = Field(min_length=1)
    conversation: Conversation
    target: Target = Target()


class Front(Helpdesk):
    """HMAC-SHA256 over `{timestamp}:{body}`, base64; the key is the app's signing key."""

    name = "front"
    challenge_header = "x-front-challenge"

    def verify(self, webhook: Webhook, secret: str) -> None:
        timestamp = webhook.headers.get(TIMESTAMP, "")
        seconds = timestamp[:-3] if timestamp.isdecimal() else timestamp
        signatures.require_fresh(
            seconds, header="X-Front-Request-Timestamp", now=webhook.received_at
        )
        expected = signature(webhook.body, secret, timestamp)
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-Front-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        del webhook  # the event's id stands in its body
        event = parse(Event, payload)
        sent = event.target.data
        message = text.message(
            sent.body or sent.text or "",
            is_html=bool(sent.body),
            attachments=[one.filename for one in sent.attachments],
        )
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": event.conversation.id,
                "delivery_key": event.id or f"{event.type}:{event.conversation.id}:{sent.id}",
                "message_id": sent.id,
                "event": event.type,
                "subject": text.one_line(event.conversation.subject or ""),
                "body": message.body,
                "cut": message.cut,
                "requester": next(
                    (one.handle for one in sent.recipients if one.role == "from"), None
                ),
                "ignore_reason": why_ignored(event),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        lines = markup.as_html(ticket.body)
        message = {
            "id": f"msg_{ticket.id}",
            "is_inbound": True,
            "body": f"<p>{lines}</p>",
            "recipients": [{"role": "from", "handle": ticket.requester}],
        }
        return {
            "id": f"evt_{ticket.id}",
            "type": INBOUND,
            "conversation": {"id": ticket.id, "subject": ticket.subject},
            "target": {"data": message},
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del delivery_id  # it stands in the body
        timestamp = str(int(now.timestamp() * 1000))
        return {SIGNATURE: signature(body, secret, timestamp), TIMESTAMP: timestamp}


def signature(body: bytes, secret: str, timestamp: str) -> str:
    return signatures.base64_signature("sha256", secret, timestamp.encode(), b":", body)


def why_ignored(event: Event) -> str | None:
    """Why an event is no customer's message; None if it is one."""
    if event.type != INBOUND:
        return not_a_message(event.type)
    return None if event.target.data.is_inbound else "an agent's reply"
