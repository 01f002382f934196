"""Zammad in memory: articles, tags, one shared draft for a ticket."""

from typing import Any

from worker.helpdesk.twins.server import (
    TOKEN,
    Asked,
    Refusal,
    Said,
    Twin,
    TwinTicket,
    one_of,
    required,
)

PRIORITIES = {"1 low", "2 normal", "3 high"}


class ZammadTwin(Twin):
    name = "zammad"
    routes = (
        ("GET", "/api/v1/ticket_articles/by_ticket/{ticket}", "articles"),
        ("POST", "/api/v1/ticket_articles", "add_article"),
        ("GET", "/api/v1/tags", "tags"),
        ("POST", "/api/v1/tags/add", "add_tag"),
        ("DELETE", "/api/v1/tags/remove", "remove_tag"),
        ("GET", "/api/v1/tickets/{ticket}/shared_draft", "shared"),
        ("PUT", "/api/v1/tickets/{ticket}/shared_draft", "share"),
        ("GET", "/api/v1/tickets/search", "search"),
        ("PUT", "/api/v1/tickets/{ticket}", "update"),
    )

    def knows(self, headers: Any) -> bool:
        return bool(headers.get("authorization") == f"Token token={TOKEN}")

    def articles(self, asked: Asked) -> Any:
        return [article(one) for one in self.ticket(asked).said if not one.draft]

    def add_article(self, asked: Asked) -> Any:
        number, body = required(asked.body, "ticket_id", "body")
        is_internal = asked.body.get("internal", False)
        return {"id": self.add(self.of_id(number), body, public=not is_internal).id}

    def add_tag(self, asked: Asked) -> Any:
        kind, number, item = required(asked.body, "object", "o_id", "item")
        one_of(kind, {"Ticket"}, "object")
        self.of_id(number).tags.add(item)
        return True

    def tags(self, asked: Asked) -> Any:
        number, _ = required(asked.query, "o_id", "object")
        return {"tags": sorted(self.of_id(number).tags)}

    def remove_tag(self, asked: Asked) -> Any:
        _, number, item = required(asked.body, "object", "o_id", "item")
        self.of_id(number).tags.discard(item)
        return True

    def shared(self, asked: Asked) -> Any:
        for one in self.ticket(asked).said:
            if one.draft:
                draft = {"id": one.id, "new_article": {"body": one.body}}
                assets = {"TicketSharedDraftZoom": {str(one.id): draft}}
                return {"shared_draft_id": one.id, "assets": assets}
        return {"shared_draft_id": None, "assets": None}

    def share(self, asked: Asked) -> Any:
        ticket = self.ticket(asked)
        if "new_article" not in asked.body or not asked.body.get("form_id"):
            raise Refusal(422, "form_id and new_article are needed")
        ticket.said = [one for one in ticket.said if not one.draft]
        draft = self.add(ticket, asked.body["new_article"]["body"], public=False, draft=True)
        return {"shared_draft_id": draft.id}

    def update(self, asked: Asked) -> Any:
        ticket = self.ticket(asked)
        for name, value in asked.body.items():
            if name == "priority":
                ticket.priority = one_of(value, PRIORITIES, name)
            else:
                ticket.fields[name] = value
        return {"id": ticket.id}

    def search(self, asked: Asked) -> Any:
        if asked.query.get("page") != "1":
            return []
        return [as_sent(one) for one in self.tickets.values()]


def as_sent(ticket: TwinTicket) -> dict[str, Any]:
    return {"id": ticket.id, "title": ticket.subject, "customer": "ana@example.org",
            "created_at": ticket.created_at.isoformat()}  # fmt: skip


def article(said: Said) -> dict[str, Any]:
    return {"id": said.id, "body": said.body, "content_type": "text/plain",
            "sender": said.by.capitalize(), "internal": not said.public,
            "created_at": said.at.isoformat()}  # fmt: skip
