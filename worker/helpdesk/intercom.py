"""Intercom webhooks: a conversation that a user began or answered. API 1.x and 2.x shapes.

Intercom suspends a webhook that fails for long; `triage reconcile intercom` asks for the rest.
"""

from datetime import datetime
from html import escape
from typing import Any

from pydantic import Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import markup, signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SIGNATURE = "x-hub-signature"
CREATED, REPLIED = "conversation.user.created", "conversation.user.replied"
PEOPLE = {"user", "contact", "lead", "customer"}


class Author(Sent):
    type: str = "user"
    email: str | None = None
    id: str | None = None


class Message(Sent):
    """The first message, or a part of the conversation."""

    id: str = ""
    subject: str | None = None
    body: str | None = None
    author: Author = Author()
    part_type: str = "comment"


class Parts(Sent):
    conversation_parts: tuple[Message, ...] = ()


class Conversation(Sent):
    id: str = ""
    source: Message | None = None
    conversation_message: Message | None = None
    conversation_parts: Parts | tuple[Message, ...] = Parts()

    @property
    def first(self) -> Message:
        return self.source or self.conversation_message or Message()

    @property
    def newest(self) -> Message | None:
        parts = self.conversation_parts
        listed = parts if isinstance(parts, tuple) else parts.conversation_parts
        return listed[-1] if listed else None


class Data(Sent):
    item: Conversation


class Notification(Sent):
    topic: str = Field(min_length=1)
    id: str | None = None
    data: Data


class Intercom(Helpdesk):
    """HMAC-SHA1 over the body, hex with the prefix `sha1=`; the key is the app's client secret."""

    name = "intercom"

    def verify(self, webhook: Webhook, secret: str) -> None:
        expected = signatures.hex_signature("sha1", secret, webhook.body)
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-Hub-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        del webhook  # the notification's id stands in its body
        sent = parse(Notification, payload)
        item = sent.data.item
        part = (item.newest if sent.topic == REPLIED else item.first) or Message()
        message = text.message(part.body or "", is_html=True)
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": item.id or ("ping" if sent.topic == "ping" else ""),
                "delivery_key": sent.id or f"{sent.topic}:{item.id}:{part.id}",
                "message_id": part.id,
                "event": sent.topic,
                "subject": text.one_line(markup.from_html(item.first.subject or "")),
                "body": message.body,
                "cut": message.cut,
                "requester": part.author.email or part.author.id,
                "ignore_reason": why_ignored(sent.topic, part),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        lines = markup.as_html(ticket.body)
        source = {
            "id": f"{ticket.id}1",
            "subject": f"<p>{escape(ticket.subject)}</p>",
            "body": f"<p>{lines}</p>",
            "author": {"type": "user", "email": ticket.requester},
        }
        item = {"type": "conversation", "id": ticket.id, "source": source}
        return {
            "type": "notification_event",
            "topic": CREATED,
            "id": f"notif_{ticket.id}",
            "data": {"item": item},
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del delivery_id, now  # they stand in the body
        return {SIGNATURE: signatures.hex_signature("sha1", secret, body)}


def why_ignored(topic: str, part: Message) -> str | None:
    """Why a notification is no customer's message; `ping` is sent while a webhook is set up."""
    if topic not in {CREATED, REPLIED}:
        return not_a_message(topic)
    if part.part_type == "note":
        return "an internal note"
    return None if part.author.type in PEOPLE else "an agent's reply"
