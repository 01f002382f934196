"""Help Scout in memory: a reply is sent unless it says `draft`, tags and fields overwrite."""

from typing import Any

from worker.helpdesk.twins.server import Asked, Twin, TwinTicket, bearer, one_of, required
from worker.helpdesk.twins.threads import thread


class HelpScoutTwin(Twin):
    name = "helpscout"
    routes = (
        ("GET", "/v2/conversations", "all"),
        ("GET", "/v2/conversations/{ticket}", "show"),
        ("PUT", "/v2/conversations/{ticket}/tags", "set_tags"),
        ("PUT", "/v2/conversations/{ticket}/fields", "set_fields"),
        ("POST", "/v2/conversations/{ticket}/reply", "reply"),
    )

    def knows(self, headers: Any) -> bool:
        return bearer(headers)

    def all(self, asked: Asked) -> Any:
        required(asked.query, "modifiedSince")
        return {"conversations": [as_sent(one) for one in self.tickets.values()]}

    def show(self, asked: Asked) -> Any:
        one_of(asked.query.get("embed"), {"threads"}, "embed")
        return as_sent(self.ticket(asked))

    def set_tags(self, asked: Asked) -> Any:
        self.ticket(asked).tags = set(asked.body["tags"])

    def set_fields(self, asked: Asked) -> Any:
        self.ticket(asked).fields = {str(one["id"]): one["value"] for one in asked.body["fields"]}

    def reply(self, asked: Asked) -> Any:
        customer, text, _ = required(asked.body, "customer", "text", "user")
        one_of(customer.get("id"), {1}, "customer.id")
        is_draft = asked.body.get("draft", False)
        self.add(self.ticket(asked), text, public=not is_draft, draft=is_draft)


def as_sent(ticket: TwinTicket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "createdAt": f"{ticket.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "tags": [{"tag": one} for one in sorted(ticket.tags)],
        "customFields": [{"id": int(id_), "value": value} for id_, value in ticket.fields.items()],
        "primaryCustomer": {"id": 1, "email": "ana@example.org"},
        "_embedded": {"threads": [thread(one) for one in ticket.said]},
    }
