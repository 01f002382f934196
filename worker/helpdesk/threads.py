"""Conversations made of threads, as Help Scout sends them and FreeScout after it."""

from typing import Any

from pydantic import Field

from schemas.ticket import IncomingTicket, not_a_message
from worker.helpdesk import text
from worker.helpdesk.contract import Sent, parse

CREATED, REPLIED = "convo.created", "convo.customer.reply.created"


class Person(Sent):
    email: str | None = None
    type: str | None = None


class Attachment(Sent):
    filename: str = ""
    fileName: str = ""  # noqa: N815  # as FreeScout spells it


class Attachments(Sent):
    attachments: tuple[Attachment, ...] = ()


class Thread(Sent):
    id: str = ""
    type: str = "customer"
    body: str | None = None
    createdAt: str = ""  # noqa: N815
    embedded: Attachments = Field(Attachments(), alias="_embedded")


class Threads(Sent):
    threads: tuple[Thread, ...] = ()


class Conversation(Sent):
    """Version 2 of Help Scout's API: newest thread first; `preview` where no thread is sent."""

    id: str = Field(min_length=1)
    subject: str | None = None
    preview: str | None = None
    updatedAt: str = ""  # noqa: N815
    userUpdatedAt: str = ""  # noqa: N815
    primaryCustomer: Person | None = None  # noqa: N815
    customer: Person | None = None
    threads: tuple[Thread, ...] = ()
    embedded: Threads = Field(Threads(), alias="_embedded")

    def newest(self, event: str) -> Thread | None:
        """The thread that an event tells of: the newest, of the customer's where it tells of those.

        What a workflow or a draft adds at the same time stands beside it. Threads without a time
        are taken in the order sent.
        """
        sent = self.embedded.threads or self.threads
        theirs = [one for one in sent if one.type == "customer"]
        among = theirs if event in {CREATED, REPLIED} and theirs else sent
        return max(among, key=lambda one: one.createdAt, default=None)


def read(payload: Any, *, source: str, event: str) -> IncomingTicket:
    """The ticket in a conversation that was sent with this event."""
    conversation = parse(Conversation, payload)
    thread = conversation.newest(event) or Thread(body=conversation.preview)
    message = text.message(
        thread.body or "",
        is_html=True,
        attachments=[one.filename or one.fileName for one in thread.embedded.attachments],
    )
    customer = conversation.primaryCustomer or conversation.customer
    updated_at = conversation.userUpdatedAt or conversation.updatedAt or thread.createdAt
    return parse(
        IncomingTicket,
        {
            "source": source,
            "external_id": conversation.id,
            "delivery_key": f"{event}:{conversation.id}:{thread.id}:{updated_at}"[:200],
            "message_id": thread.id,
            "event": event or "unknown",
            "subject": text.one_line(conversation.subject or ""),
            "body": message.body,
            "cut": message.cut,
            "requester": customer.email if customer else None,
            "ignore_reason": why_ignored(event, thread),
        },
    )


def why_ignored(event: str, thread: Thread) -> str | None:
    """Why an event is no customer's message; None if it is one."""
    if event not in {CREATED, REPLIED}:
        return not_a_message(event)
    if thread.type == "note":
        return "an internal note"
    return None if thread.type == "customer" else "an agent's reply"
