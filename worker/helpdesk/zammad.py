"""Zammad webhooks, sent by a trigger: a ticket and, if there is one, its newest article.

Zammad builds the body when it sends, so a retry may differ: its delivery header tells a retry
from news. It names no event; article and sender say what happened.
"""

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import markup, signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SIGNATURE, DELIVERY = "x-hub-signature", "x-zammad-delivery"


class Customer(Sent):
    email: str | None = None


class Ticket(Sent):
    """A customer is an object in webhooks, and their login in what the API finds."""

    id: str = Field(min_length=1)
    customer: Customer | str = Customer()
    title: str = ""
    updated_at: AwareDatetime | None = None


class Attachment(Sent):
    filename: str = ""


class Article(Sent):
    id: str = Field(min_length=1)
    body: str
    content_type: str = "text/plain"
    sender: str
    internal: bool = False
    attachments: tuple[Attachment, ...] = ()


class Body(Sent):
    """What a trigger sends; keys that are not read here are ignored."""

    ticket: Ticket
    article: Article | None = None


class Zammad(Helpdesk):
    """HMAC-SHA1 over the body, hex with the prefix `sha1=`. Zammad sends no timestamp."""

    name = "zammad"

    def verify(self, webhook: Webhook, secret: str) -> None:
        expected = signatures.hex_signature("sha1", secret, webhook.body)
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-Hub-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        body = parse(Body, payload)
        ticket, article = body.ticket, body.article
        article_id = article.id if article else ""
        message = message_of(article)
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": ticket.id,
                "delivery_key": webhook.headers.get(DELIVERY)
                or f"{ticket.id}:{article_id}:{ticket.updated_at}",
                "message_id": article_id,
                "event": event_of(article),
                "subject": text.one_line(ticket.title),
                "body": message.body,
                "cut": message.cut,
                "requester": ticket.customer
                if isinstance(ticket.customer, str)
                else ticket.customer.email,
                "source_updated_at": ticket.updated_at,
                "ignore_reason": why_ignored(article),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        return {
            "ticket": {
                "id": ticket.id,
                "title": ticket.subject,
                "article_count": 1,
                "customer": {"email": ticket.requester},
            },
            "article": {
                "id": f"{ticket.id}-1",
                "body": markup.as_html(ticket.body),
                "content_type": "text/html",
                "sender": "Customer",
                "internal": False,
            },
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del now  # Zammad signs no time
        return {
            SIGNATURE: signatures.hex_signature("sha1", secret, body),
            DELIVERY: delivery_id,
        }


def message_of(article: Article | None) -> text.Message:
    if article is None:
        return text.Message("")
    return text.message(
        article.body,
        is_html="html" in article.content_type,
        attachments=[one.filename for one in article.attachments],
    )


def event_of(article: Article | None) -> str:
    return f"article by {article.sender.lower()}"[:200] if article else "update"


def why_ignored(article: Article | None) -> str | None:
    """Why a delivery is no customer's message; None if it is one."""
    if article is None:
        return not_a_message("an update of the ticket")
    if article.internal:
        return "an internal note"
    return None if article.sender == "Customer" else f"a message by {article.sender}"[:200]
