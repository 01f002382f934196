"""Freshdesk webhooks, sent by an automation rule whose body an administrator writes.

Freshdesk signs nothing: the rule carries the secret in a header, or as password of basic auth.
Its ids come as numbers or as text, and its body wrapped in `freshdesk_webhook` or not.
"""

import base64
import binascii
from datetime import datetime
from typing import Any

from pydantic import Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import markup, signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

SECRET, BASIC = "x-triage-secret", "authorization"


class Rule(Sent):
    """The placeholders that docs/helpdesks/freshdesk.md puts into the rule."""

    ticket_id: str = Field(min_length=1)
    triggered_event: str = ""
    ticket_subject: str | None = None
    ticket_description: str | None = None
    ticket_latest_public_comment: str | None = None
    ticket_requester_email: str | None = None
    requester_email: str | None = None
    ticket_updated_at: str = ""


class Freshdesk(Helpdesk):
    """The secret itself in `X-Triage-Secret`, or as the password of basic authentication."""

    name = "freshdesk"

    def verify(self, webhook: Webhook, secret: str) -> None:
        given = webhook.headers.get(SECRET) or password(webhook.headers.get(BASIC, ""))
        signatures.require(secret, given, header="X-Triage-Secret")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        del webhook  # it has no id of the delivery
        inner = payload.get("freshdesk_webhook", payload) if isinstance(payload, dict) else payload
        rule = parse(Rule, inner)
        is_answer = (
            bool(rule.ticket_latest_public_comment) and "created" not in rule.triggered_event
        )
        raw = rule.ticket_latest_public_comment if is_answer else rule.ticket_description
        message = text.message(raw or "", is_html=True)
        incoming = {
            "source": self.name,
            "external_id": rule.ticket_id,
            "event": rule.triggered_event[:200] or "automation",
            "subject": text.one_line(rule.ticket_subject or ""),
            "body": message.body,
            "cut": message.cut,
            "requester": rule.requester_email or rule.ticket_requester_email,
            "ignore_reason": why_ignored(rule, message.body),
        }
        content = parse(IncomingTicket, {**incoming, "delivery_key": "unknown"}).content_key
        key = f"{rule.ticket_id}:{rule.ticket_updated_at[:40]}:{content}"
        return parse(IncomingTicket, {**incoming, "delivery_key": key})

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        lines = markup.as_html(ticket.body)
        return {
            "freshdesk_webhook": {
                "ticket_id": ticket.id,
                "triggered_event": "{ticket_action:created}",
                "ticket_subject": ticket.subject,
                "ticket_description": f"<div>{lines}</div>",
                "requester_email": ticket.requester,
            }
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del body, delivery_id, now  # nothing is signed
        return {SECRET: secret}


def password(authorization: str) -> str:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def why_ignored(rule: Rule, body: str) -> str | None:
    """Why a rule's call is no customer's message; a rule says in `triggered_event` what it saw."""
    event = rule.triggered_event
    if "note_type:private" in event:
        return "an internal note"
    is_message = not event or "created" in event or "reply_sent" in event
    if not is_message:
        return not_a_message(event)
    return None if body else not_a_message("it has no text")
