"""Freshdesk in memory: private notes must say so, tags overwrite, priorities are numbers."""

from typing import Any

from worker.helpdesk.twins.server import TOKEN, Asked, Said, Twin, basic, one_of, required


class FreshdeskTwin(Twin):
    name = "freshdesk"
    routes = (
        ("GET", "/api/v2/tickets", "all"),
        ("GET", "/api/v2/tickets/{ticket}", "show"),
        ("GET", "/api/v2/tickets/{ticket}/conversations", "conversations"),
        ("PUT", "/api/v2/tickets/{ticket}", "update"),
        ("POST", "/api/v2/tickets/{ticket}/notes", "add_note"),
        ("POST", "/api/v2/tickets/{ticket}/reply", "reply"),
    )

    def knows(self, headers: Any) -> bool:
        return basic(headers, TOKEN, "X")

    def all(self, asked: Asked) -> Any:
        if asked.query.get("page") != "1":
            return []
        return [
            {"id": one.id, "subject": one.subject, "description": one.said[0].body,
             "requester": {"email": "ana@example.org"},
             "created_at": one.created_at.isoformat()}
            for one in self.tickets.values()
        ]  # fmt: skip

    def show(self, asked: Asked) -> Any:
        ticket = self.ticket(asked)
        return {"id": ticket.id, "tags": sorted(ticket.tags)}

    def conversations(self, asked: Asked) -> Any:
        said = self.ticket(asked).said[1:]
        return [conversation(one) for one in said] if asked.query.get("page") == "1" else []

    def update(self, asked: Asked) -> Any:
        ticket, body = self.ticket(asked), asked.body
        if "priority" in body:
            ticket.priority = one_of(body["priority"], {1, 2, 3, 4}, "priority")
        if "tags" in body:
            ticket.tags = set(body["tags"])
        ticket.fields |= body.get("custom_fields", {})
        return {"id": ticket.id}

    def add_note(self, asked: Asked) -> Any:
        [body] = required(asked.body, "body")
        is_private = asked.body.get("private", True)
        return {"id": self.add(self.ticket(asked), body, public=not is_private).id}

    def reply(self, asked: Asked) -> Any:
        [body] = required(asked.body, "body")
        return {"id": self.add(self.ticket(asked), body, public=True).id}


def conversation(said: Said) -> dict[str, Any]:
    return {"id": said.id, "body_text": said.body, "private": not said.public,
            "incoming": said.by == "customer",
            "created_at": said.at.isoformat()}  # fmt: skip
