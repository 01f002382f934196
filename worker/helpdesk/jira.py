"""Jira Service Management webhooks: an issue that was created, a comment that was added.

A customer is who reported the issue, or whose account is of type `customer`; comments with
`jsdPublic: false` are internal. Descriptions are wiki text, or a document (ADF) in API 3.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import signatures, text
from worker.helpdesk.adf import in_document
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SIGNATURE, DELIVERY = "x-hub-signature", "x-atlassian-webhook-identifier"
CREATED, COMMENTED = "jira:issue_created", "comment_created"


class Person(Sent):
    accountId: str | None = None  # noqa: N815  # as Jira spells it
    name: str | None = None
    emailAddress: str | None = None  # noqa: N815
    accountType: str | None = None  # noqa: N815

    @property
    def key(self) -> str | None:
        return self.accountId or self.name


class Attachment(Sent):
    filename: str = ""


class Fields(Sent):
    summary: str | None = None
    description: Any = None
    reporter: Person | None = None
    updated: str = ""
    attachment: tuple[Attachment, ...] = ()


class Issue(Sent):
    id: str = Field(min_length=1)
    key: str = ""
    fields: Fields = Fields()


class Comment(Sent):
    id: str = ""
    body: Any = None
    author: Person = Person()
    jsdPublic: bool = True  # noqa: N815


class Event(Sent):
    webhookEvent: str = Field(min_length=1)  # noqa: N815
    timestamp: str = ""
    issue: Issue
    comment: Comment | None = None


class Jira(Helpdesk):
    """HMAC-SHA256 over the body, hex with the prefix `sha256=`."""

    name = "jira"

    def verify(self, webhook: Webhook, secret: str) -> None:
        expected = signatures.hex_signature("sha256", secret, webhook.body)
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-Hub-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        event = parse(Event, payload)
        issue, comment = event.issue, event.comment
        raw = comment.body if comment else issue.fields.description
        names = [] if comment else [one.filename for one in issue.fields.attachment]
        message = text.message(in_document(raw), attachments=names)
        person = comment.author if comment else issue.fields.reporter
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": issue.key or issue.id,
                "delivery_key": webhook.headers.get(DELIVERY)
                or f"{event.webhookEvent}:{issue.id}:{event.timestamp}",
                "message_id": comment.id if comment else "",
                "event": event.webhookEvent,
                "subject": text.one_line(issue.fields.summary or ""),
                "body": message.body,
                "cut": message.cut,
                "requester": (person.emailAddress or person.key) if person else None,
                "ignore_reason": why_ignored(event),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        fields = {"summary": ticket.subject, "description": ticket.body}
        return {
            "webhookEvent": CREATED,
            "timestamp": 1,
            "issue": {"id": "1", "key": ticket.id, "fields": fields},
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del now  # Jira signs no time
        return {
            SIGNATURE: signatures.hex_signature("sha256", secret, body),
            DELIVERY: delivery_id,
        }


def why_ignored(event: Event) -> str | None:
    """Why an event is no customer's message; None if it is one."""
    if event.comment is None:
        is_new = event.webhookEvent == CREATED
        return None if is_new else not_a_message(event.webhookEvent)
    if event.webhookEvent != COMMENTED:
        return not_a_message(event.webhookEvent)
    if not event.comment.jsdPublic:
        return "an internal note"
    author, reporter = event.comment.author, event.issue.fields.reporter
    is_customer = author.accountType == "customer" or (
        author.key is not None and reporter is not None and author.key == reporter.key
    )
    return None if is_customer else "an agent's reply"
