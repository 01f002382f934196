"""FreeScout's API module in memory: a thread is sent unless its state is `draft`."""

from typing import Any

from worker.helpdesk.twins.server import TOKEN, Asked, Twin, TwinTicket, one_of, required
from worker.helpdesk.twins.threads import thread


class FreeScoutTwin(Twin):
    name = "freescout"
    routes = (
        ("GET", "/api/conversations", "all"),
        ("GET", "/api/conversations/{ticket}", "show"),
        ("PUT", "/api/conversations/{ticket}/tags", "set_tags"),
        ("PUT", "/api/conversations/{ticket}/custom_fields", "set_fields"),
        ("POST", "/api/conversations/{ticket}/threads", "add_thread"),
    )

    def knows(self, headers: Any) -> bool:
        return bool(headers.get("x-freescout-api-key") == TOKEN)

    def all(self, asked: Asked) -> Any:
        required(asked.query, "createdSince")
        found = [as_sent(one) for one in self.tickets.values()]
        return {"_embedded": {"conversations": found}, "page": {"totalPages": 1}}

    def show(self, asked: Asked) -> Any:
        return as_sent(self.ticket(asked))

    def set_tags(self, asked: Asked) -> Any:
        self.ticket(asked).tags = set(asked.body["tags"])

    def set_fields(self, asked: Asked) -> Any:
        fields = {str(one["id"]): one["value"] for one in asked.body["customFields"]}
        self.ticket(asked).fields |= fields

    def add_thread(self, asked: Asked) -> Any:
        kind, text, _ = required(asked.body, "type", "text", "user")
        one_of(kind, {"message", "note"}, "type")
        is_draft = asked.body.get("state", "published") == "draft"
        is_public = kind == "message" and not is_draft
        return {"id": self.add(self.ticket(asked), text, public=is_public, draft=is_draft).id}


def as_sent(ticket: TwinTicket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "customer": {"email": "ana@example.org"},
        "_embedded": {
            "threads": [thread(one) for one in ticket.said],
            "tags": [{"name": one} for one in sorted(ticket.tags)],
        },
    }
