"""What helpdesks call the columns of their exports: rows of CSV, objects of JSON.

A name with dots looks inside an object. Where several are named, the first that is there counts:
exports differ by version and by what an administrator chose.
"""

from collections.abc import Mapping
from typing import Any

from schemas.ticket import GenericTicket
from worker.errors import UnusableBody
from worker.helpdesk import markup
from worker.helpdesk.contract import parse

COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "zendesk": {
        "id": ("id", "ID", "Ticket ID"),
        "subject": ("subject", "Subject", "raw_subject"),
        "body": ("description", "Description"),
        "requester": ("requester_id", "requester.email", "Requester email", "Requester"),
    },
    "zammad": {
        "id": ("id", "ID"),
        "subject": ("title", "Title"),
        "body": ("article.body", "articles.0.body", "Body"),
        "requester": ("customer.email", "customer", "Customer"),
    },
    "chatwoot": {
        "id": ("id", "conversation_id", "Conversation ID"),
        "subject": ("additional_attributes.mail_subject", "Subject"),
        "body": ("messages.0.content", "content", "Message"),
        "requester": ("meta.sender.email", "Contact email"),
    },
    "freshdesk": {
        "id": ("id", "ticket_id", "Ticket ID", "display_id"),
        "subject": ("subject", "Subject"),
        "body": ("description_text", "description", "Description"),
        "requester": ("requester.email", "Requester email", "email", "Email"),
    },
    "intercom": {
        "id": ("id", "conversation_id", "Conversation ID"),
        "subject": ("source.subject", "title", "Subject"),
        "body": ("source.body", "Conversation started by message", "body"),
        "requester": ("source.author.email", "User email"),
    },
    "jira": {
        "id": ("key", "Issue key"),
        "subject": ("fields.summary", "Summary"),
        "body": ("fields.description", "Description"),
        "requester": ("fields.reporter.emailAddress", "Reporter Id", "Reporter"),
    },
    "helpscout": {
        "id": ("id", "ID", "Conversation ID"),
        "subject": ("subject", "Subject"),
        "body": ("_embedded.threads.0.body", "preview", "Body"),
        "requester": ("primaryCustomer.email", "Customer Email"),
    },
    "front": {
        "id": ("id", "conversation_id", "Conversation API ID"),
        "subject": ("subject", "Subject"),
        "body": ("body", "text", "Extract"),
        "requester": ("recipient.handle", "Contact handle", "From"),
    },
    "gitlab": {
        "id": ("iid", "Issue ID", "IID"),
        "subject": ("title", "Title"),
        "body": ("description", "Description"),
        "requester": ("author.username", "Author Username"),
    },
    "freescout": {
        "id": ("id", "ID"),
        "subject": ("subject", "Subject"),
        "body": ("_embedded.threads.0.body", "preview", "Body"),
        "requester": ("customer.email", "Customer"),
    },
    "glpi": {
        "id": ("id", "ID"),
        "subject": ("name", "Title"),
        "body": ("content", "Description"),
        "requester": ("users_id_recipient", "Requester - Requester", "Requester"),
    },
    "generic": {
        "id": ("id",),
        "subject": ("subject",),
        "body": ("body",),
        "requester": ("requester",),
    },
}


def exported(source: str, row: Mapping[str, Any]) -> GenericTicket:
    """The ticket in one row of an export.

    Raises:
        UnusableBody: it has no id or no text; says which columns were looked for.
    """
    found = {
        name: value for name, columns in COLUMNS[source].items() if (value := first(row, columns))
    }
    for name in ("id", "body"):
        if name not in found:
            raise UnusableBody(f"no {name}: none of the columns {', '.join(COLUMNS[source][name])}")
    body = str(found["body"])
    if markup.looks_like_html(body):
        body = markup.from_html(body)
    return parse(GenericTicket, {**found, "body": body})


def first(row: Mapping[str, Any], columns: tuple[str, ...]) -> Any:
    return next((value for column in columns if (value := inside(row, column))), None)


def inside(row: Any, column: str) -> Any:
    """The value of a column; of `a.b.0` what stands in the object."""
    if isinstance(row, Mapping) and row.get(column) not in (None, ""):
        value = row[column]
        return value if isinstance(value, str | int) else None
    name, dot, rest = column.partition(".")
    if not dot:
        return None
    if isinstance(row, list):
        return inside(row[int(name)], rest) if name.isdecimal() and int(name) < len(row) else None
    return inside(row.get(name), rest) if isinstance(row, Mapping) else None
