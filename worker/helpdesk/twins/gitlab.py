"""GitLab in memory: notes are public unless they are internal, and can be changed."""

from typing import Any

from worker.helpdesk.twins.server import TOKEN, Asked, Refusal, Said, Twin, TwinTicket, required

BASE = "/api/v4/projects/{project}/issues"


class GitLabTwin(Twin):
    name = "gitlab"
    path_prefix = "5/"
    routes = (
        ("GET", BASE, "all"),
        ("GET", BASE + "/{ticket}", "show"),
        ("PUT", BASE + "/{ticket}", "update"),
        ("GET", BASE + "/{ticket}/notes", "notes"),
        ("POST", BASE + "/{ticket}/notes", "add_note"),
        ("PUT", BASE + "/{ticket}/notes/{note}", "change_note"),
    )

    def knows(self, headers: Any) -> bool:
        return bool(headers.get("private-token") == TOKEN)

    def all(self, asked: Asked) -> Any:
        required(asked.query, "created_after")
        return [issue(one) for one in self.tickets.values()] if asked.query["page"] == "1" else []

    def show(self, asked: Asked) -> Any:
        return issue(self.ticket(asked))

    def update(self, asked: Asked) -> Any:
        ticket = self.ticket(asked)
        ticket.tags |= set(filter(None, asked.body.get("add_labels", "").split(",")))
        ticket.tags -= set(asked.body.get("remove_labels", "").split(","))
        return issue(ticket)

    def notes(self, asked: Asked) -> Any:
        return [note(one) for one in self.ticket(asked).said[1:]]

    def add_note(self, asked: Asked) -> Any:
        [body] = required(asked.body, "body")
        is_internal = asked.body.get("internal", False)
        return note(self.add(self.ticket(asked), body, public=not is_internal))

    def change_note(self, asked: Asked) -> Any:
        [body] = required(asked.body, "body")
        for one in self.ticket(asked).said:
            if str(one.id) == asked.path["note"]:
                one.body = body
                return note(one)
        raise Refusal(404, "no such note")


def issue(ticket: TwinTicket) -> dict[str, Any]:
    return {
        "id": f"1{ticket.id}",
        "iid": ticket.id,
        "title": ticket.subject,
        "description": ticket.said[0].body,
        "author": {"id": 51, "username": "ana"},
        "labels": sorted(ticket.tags),
    }


def note(said: Said) -> dict[str, Any]:
    author = 51 if said.by == "customer" else 9
    return {"id": said.id, "body": said.body, "internal": not said.public, "system": False,
            "author": {"id": author}, "created_at": said.at.isoformat()}  # fmt: skip
