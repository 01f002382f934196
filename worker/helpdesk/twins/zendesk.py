"""Zendesk in memory: comments are public by default, updates hold only on what was seen."""

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
)

PRIORITIES = {"low", "normal", "high", "urgent"}


class ZendeskTwin(Twin):
    name = "zendesk"
    routes = (
        ("GET", "/api/v2/tickets/{ticket}.json", "show"),
        ("PUT", "/api/v2/tickets/{ticket}.json", "update"),
        ("GET", "/api/v2/tickets/{ticket}/comments.json", "comments"),
        ("GET", "/api/v2/incremental/tickets/cursor.json", "incremental"),
    )

    def knows(self, headers: Any) -> bool:
        return basic(headers, "agent@example.org/token", TOKEN)

    def show(self, asked: Asked) -> Any:
        return {"ticket": ticket_as_sent(self.ticket(asked))}

    def comments(self, asked: Asked) -> Any:
        users = [{"id": 1, "role": "end-user"}, {"id": 2, "role": "agent"}]
        found = [comment(one) for one in self.ticket(asked).said]
        return {
            "comments": found,
            "users": users if "users" in asked.query.get("include", "") else [],
        }

    def update(self, asked: Asked) -> Any:
        ticket, change = self.ticket(asked), asked.body["ticket"]
        if change.get("safe_update") and change.get("updated_stamp") != stamp(ticket):
            raise Refusal(409, "UpdateConflict")
        if "priority" in change:
            ticket.priority = one_of(change["priority"], PRIORITIES, "priority")
        ticket.tags = set(change.get("tags", ticket.tags))
        for one in change.get("custom_fields", ()):
            if not isinstance(one["id"], int):
                raise Refusal(422, "custom_fields.id must be a number")
            ticket.fields[str(one["id"])] = one["value"]
        ticket.version += 1
        if note := change.get("comment"):
            self.add(ticket, note["body"], public=note.get("public", True))
        return {"ticket": ticket_as_sent(ticket), "audit": {"id": ticket.version}}

    def incremental(self, asked: Asked) -> Any:
        start = int(asked.query["start_time"])
        found = [one for one in self.tickets.values() if one.created_at.timestamp() >= start]
        return {"tickets": [ticket_as_sent(one) for one in found], "end_of_stream": True,
                "after_url": None}  # fmt: skip


def stamp(ticket: TwinTicket) -> str:
    return f"2026-11-24T10:00:{ticket.version:02}Z"


def ticket_as_sent(ticket: TwinTicket) -> dict[str, Any]:
    return {"id": ticket.id, "subject": ticket.subject, "description": ticket.said[0].body,
            "status": "open", "tags": sorted(ticket.tags), "updated_at": stamp(ticket),
            "created_at": ticket.created_at.isoformat(), "requester_id": 1}  # fmt: skip


def comment(said: Said) -> dict[str, Any]:
    author = 1 if said.by == "customer" else 2
    return {"id": said.id, "body": said.body, "public": said.public, "author_id": author,
            "created_at": said.at.isoformat()}  # fmt: skip
