"""Jira Service Management in memory: a comment must say whether it is public."""

from typing import Any

from worker.helpdesk.twins.server import (
    TOKEN,
    Asked,
    Refusal,
    Said,
    Twin,
    TwinTicket,
    basic,
    one_of,
    required,
)

PAGE = 2
PRIORITIES = {"Lowest", "Low", "Medium", "High", "Highest"}


class JiraTwin(Twin):
    name = "jira"
    routes = (
        ("GET", "/rest/servicedeskapi/request/{ticket}/comment", "comments"),
        ("POST", "/rest/servicedeskapi/request/{ticket}/comment", "comment"),
        ("GET", "/rest/api/2/issue/{ticket}", "show"),
        ("PUT", "/rest/api/2/issue/{ticket}", "update"),
        ("GET", "/rest/api/2/search/jql", "search"),
    )

    def knows(self, headers: Any) -> bool:
        return basic(headers, "agent@example.org", TOKEN)

    def show(self, asked: Asked) -> Any:
        labels = sorted(self.ticket(asked).tags)
        return {"fields": {"reporter": {"accountId": "c1"}, "labels": labels}}

    def comments(self, asked: Asked) -> Any:
        return {"values": [as_sent(one) for one in self.ticket(asked).said[1:]]}

    def comment(self, asked: Asked) -> Any:
        [body] = required(asked.body, "body")
        if not isinstance(asked.body.get("public"), bool):
            raise Refusal(400, "public is missing")
        return {"id": str(self.add(self.ticket(asked), body, public=asked.body["public"]).id)}

    def update(self, asked: Asked) -> Any:
        ticket, fields = self.ticket(asked), dict(asked.body.get("fields", {}))
        if priority := fields.pop("priority", None):
            ticket.priority = one_of(priority["name"], PRIORITIES, "priority")
        for change in asked.body.get("update", {}).get("labels", ()):
            ticket.tags |= {change["add"]} if "add" in change else set()
            ticket.tags -= {change["remove"]} if "remove" in change else set()
        ticket.fields |= fields
        return None

    def search(self, asked: Asked) -> Any:
        """Which page is next is a token's to say, and of the last there is none."""
        start = int(asked.query.get("nextPageToken", 0))
        page = list(self.tickets.values())[start : start + PAGE]
        following = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(self.tickets) else {}
        return {"issues": [issue(one) for one in page], **following}


def issue(ticket: TwinTicket) -> dict[str, Any]:
    fields = {"summary": ticket.subject, "description": ticket.said[0].body}
    return {"id": str(ticket.id), "key": str(ticket.id), "fields": fields}


def as_sent(said: Said) -> dict[str, Any]:
    author = "c1" if said.by == "customer" else "a1"
    return {"id": str(said.id), "body": said.body, "public": said.public,
            "author": {"accountId": author},
            "created": {"epochMillis": int(1000 * said.at.timestamp())}}  # fmt: skip
