"""Intercom in memory: an admin has to be named, tags go by id, priority is a flag."""

from typing import Any

from worker.helpdesk.twins.server import Asked, Refusal, Said, Twin, bearer, one_of, required


class IntercomTwin(Twin):
    name = "intercom"
    routes = (
        ("POST", "/tags", "make_tag"),
        ("POST", "/conversations/search", "search"),
        ("GET", "/conversations/{ticket}", "show"),
        ("PUT", "/conversations/{ticket}", "update"),
        ("POST", "/conversations/{ticket}/tags", "tag"),
        ("DELETE", "/conversations/{ticket}/tags/{tag}", "untag"),
        ("POST", "/conversations/{ticket}/reply", "reply"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._tags: list[str] = []

    def knows(self, headers: Any) -> bool:
        return bearer(headers)

    def show(self, asked: Asked) -> Any:
        ticket = self.ticket(asked)
        tags = [{"id": str(number), "name": name} for number, name in enumerate(self._tags)]
        return {
            "conversation_parts": {"conversation_parts": [part(one) for one in ticket.said[1:]]},
            "tags": {"tags": [one for one in tags if one["name"] in ticket.tags]},
        }

    def make_tag(self, asked: Asked) -> Any:
        [name] = required(asked.body, "name")
        if name not in self._tags:
            self._tags.append(name)
        return {"id": str(self._tags.index(name)), "name": name}

    def tag(self, asked: Asked) -> Any:
        number, _ = required(asked.body, "id", "admin_id")
        if not number.isdecimal() or int(number) >= len(self._tags):
            raise Refusal(404, "no such tag")
        self.ticket(asked).tags.add(self._tags[int(number)])
        return {}

    def untag(self, asked: Asked) -> Any:
        required(asked.body, "admin_id")
        self.ticket(asked).tags.remove(self._tags[int(asked.path["tag"])])
        return {}

    def update(self, asked: Asked) -> Any:
        ticket = self.ticket(asked)
        if "priority" in asked.body:
            allowed = {"priority", "not_priority"}
            ticket.priority = one_of(asked.body["priority"], allowed, "priority")
        ticket.fields |= asked.body.get("custom_attributes", {})
        return {}

    def reply(self, asked: Asked) -> Any:
        kind, admin, body = required(asked.body, "message_type", "admin_id", "body")
        one_of(kind, {"note", "comment"}, "message_type")
        one_of(admin, {"7"}, "admin_id")
        said = self.add(self.ticket(asked), body, public=kind == "comment")
        return {"conversation_parts": {"conversation_parts": [part(said)]}}

    def search(self, asked: Asked) -> Any:
        required(asked.body, "query")
        found = [
            {"id": one.id, "source": {"subject": one.subject, "body": one.said[0].body,
                                      "id": one.said[0].id}}
            for one in self.tickets.values()
        ]  # fmt: skip
        return {"conversations": found, "pages": {"next": None}}


def part(said: Said) -> dict[str, Any]:
    author = "user" if said.by == "customer" else "admin"
    kind = "comment" if said.public else "note"
    return {"id": said.id, "body": said.body, "part_type": kind, "author": {"type": author},
            "created_at": int(said.at.timestamp())}  # fmt: skip
