"""Chatwoot webhooks: messages carry their own fields at the top, conversations theirs.

Chatwoot sends each event once, without a retry; `triage reconcile chatwoot` asks for what it
missed. Ids of conversations are per account: ours are `account/conversation`.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import markup, signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SIGNATURE, TIMESTAMP = "x-chatwoot-signature", "x-chatwoot-timestamp"
DELIVERY = "x-chatwoot-delivery"
MESSAGE = "message_created"
INCOMING = {"incoming", "0"}
"""By name in webhooks, by number in what its API lists."""


class Account(Sent):
    id: str = Field(min_length=1)


class Person(Sent):
    """Who comes by a widget or WhatsApp has no address."""

    id: str | None = None
    email: str | None = None
    identifier: str | None = None
    phone_number: str | None = None

    @property
    def name(self) -> str | None:
        return self.email or self.identifier or self.phone_number or self.id


class Additional(Sent):
    mail_subject: str | None = None


class Conversation(Sent):
    id: str = Field(min_length=1)
    additional_attributes: Additional = Additional()


class Attachment(Sent):
    data_url: str = ""


class Body(Sent):
    """Any event; what is no message has no `message_type`."""

    event: str = Field(min_length=1)
    id: str = Field(min_length=1)
    account: Account | None = None
    content: str | None = None
    message_type: str | None = None
    private: bool = False
    sender: Person | None = None
    conversation: Conversation | None = None
    attachments: tuple[Attachment, ...] = ()


class Chatwoot(Helpdesk):
    """HMAC-SHA256 over `{timestamp}.{body}`, hex with the prefix `sha256=`; Unix seconds."""

    name = "chatwoot"

    def verify(self, webhook: Webhook, secret: str) -> None:
        timestamp = webhook.headers.get(TIMESTAMP)
        signatures.require_fresh(timestamp, header="X-Chatwoot-Timestamp", now=webhook.received_at)
        expected = signature(webhook.body, secret, str(timestamp))
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-Chatwoot-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        body = parse(Body, payload)
        conversation = body.conversation or Conversation(id=body.id)
        account = f"{body.account.id}/" if body.account else ""
        message = text.message(
            body.content or "",
            is_html=markup.looks_like_html(body.content or ""),
            attachments=[one.data_url.rpartition("/")[2] for one in body.attachments],
        )
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": account + conversation.id,
                "delivery_key": webhook.headers.get(DELIVERY)
                or f"{body.event}:{account}{conversation.id}:{body.id}",
                "message_id": body.id if body.event == MESSAGE else "",
                "event": body.event,
                "subject": text.one_line(conversation.additional_attributes.mail_subject or ""),
                "body": message.body,
                "cut": message.cut,
                "requester": body.sender.name if body.sender else None,
                "ignore_reason": why_ignored(body),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        return {
            "event": MESSAGE,
            "id": f"{ticket.id}1",
            "content": ticket.body,
            "message_type": "incoming",
            "private": False,
            "account": {"id": 1, "name": "Desk"},
            "sender": {"email": ticket.requester, "type": "contact"},
            "conversation": {
                "id": ticket.id,
                "additional_attributes": {"mail_subject": ticket.subject},
            },
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        timestamp = str(int(now.timestamp()))
        return {
            SIGNATURE: signature(body, secret, timestamp),
            TIMESTAMP: timestamp,
            DELIVERY: delivery_id,
        }


def signature(body: bytes, secret: str, timestamp: str) -> str:
    return signatures.hex_signature("sha256", secret, timestamp.encode(), b".", body)


def why_ignored(body: Body) -> str | None:
    """Why an event is no customer's message; our own private notes come back too."""
    if body.event != MESSAGE:
        return not_a_message(body.event)
    if body.private:
        return "an internal note"
    return None if str(body.message_type) in INCOMING else "an agent's reply"
