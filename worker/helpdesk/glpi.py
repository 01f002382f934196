"""GLPI 11 webhooks: a ticket, or a followup on one. It signs body, then timestamp.

The timestamp is of when GLPI queued the webhook, not of when it sends it: an honest retry may be
hours old, so no freshness is asked. Field names are those of its high-level API; GLPI lets an
administrator change the body, so unknown ones are ignored.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import markup, signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SIGNATURE, TIMESTAMP = "x-glpi-signature", "x-glpi-timestamp"
NEW = {"new", "add"}


class Person(Sent):
    id: str | None = None
    name: str | None = None


class Item(Sent):
    """A ticket; with `items_id` a followup on the ticket of that id."""

    id: str = Field(min_length=1)
    name: str | None = None
    content: str | None = None
    items_id: str | None = None
    is_private: bool = False
    date_mod: str = ""
    user: Person | None = None
    user_recipient: Person | None = None
    requester: Person | None = None


class Event(Sent):
    event: str = Field(min_length=1)
    item: Item


class Glpi(Helpdesk):
    """HMAC-SHA256 over body + timestamp, hex without a prefix."""

    name = "glpi"

    def verify(self, webhook: Webhook, secret: str) -> None:
        timestamp = webhook.headers.get(TIMESTAMP, "")
        expected = signature(webhook.body, secret, timestamp)
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-GLPI-signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        event = parse(Event, payload)
        item = event.item
        message = text.message(item.content or "", is_html=True)
        stamp = webhook.headers.get(TIMESTAMP, "")
        writer = item.user or item.user_recipient
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": item.items_id or item.id,
                "delivery_key": f"{event.event}:{item.items_id or ''}:{item.id}:"
                f"{item.date_mod or stamp}"[:200],
                "message_id": item.id if item.items_id else "",
                "event": event.event,
                "subject": text.one_line(item.name or ""),
                "body": message.body,
                "cut": message.cut,
                "requester": (writer.name or writer.id) if writer else None,
                "ignore_reason": why_ignored(event),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        lines = markup.as_html(ticket.body)
        item = {"id": ticket.id, "name": ticket.subject, "content": f"<p>{lines}</p>"}
        return {"event": "new", "item": item}

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del delivery_id  # GLPI sends none
        timestamp = str(int(now.timestamp()))
        return {SIGNATURE: signature(body, secret, timestamp), TIMESTAMP: timestamp}


def signature(body: bytes, secret: str, timestamp: str) -> str:
    return signatures.digest("sha256", secret, body, timestamp.encode()).hex()


def why_ignored(event: Event) -> str | None:
    """Why an event is no customer's message; None if it is one."""
    item = event.item
    if event.event not in NEW:
        return not_a_message(event.event)
    if item.is_private:
        return "an internal note"
    is_followup = item.items_id is not None
    by_requester = item.user and item.requester and item.user.id == item.requester.id
    return "an agent's reply" if is_followup and not by_requester else None
