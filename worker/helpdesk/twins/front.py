"""Front in memory: tags go by id, a draft is private unless its mode is `shared`."""

from typing import Any

from worker.helpdesk.twins.server import Asked, Said, Twin, TwinTicket, bearer, one_of, required


class FrontTwin(Twin):
    name = "front"
    routes = (
        ("GET", "/tags", "all_tags"),
        ("POST", "/tags", "make_tag"),
        ("GET", "/events", "events"),
        ("GET", "/conversations/{ticket}/messages", "messages"),
        ("POST", "/conversations/{ticket}/messages", "send"),
        ("GET", "/conversations/{ticket}/drafts", "drafts"),
        ("POST", "/conversations/{ticket}/drafts", "draft"),
        ("POST", "/conversations/{ticket}/tags", "tag"),
        ("DELETE", "/conversations/{ticket}/tags", "untag"),
        ("GET", "/conversations/{ticket}", "show"),
        ("PATCH", "/conversations/{ticket}", "update"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._tags: list[str] = []

    def knows(self, headers: Any) -> bool:
        return bearer(headers)

    def all_tags(self, asked: Asked) -> Any:
        del asked
        return {"_results": [{"id": f"tag_{n}", "name": name} for n, name in enumerate(self._tags)]}

    def make_tag(self, asked: Asked) -> Any:
        [name] = required(asked.body, "name")
        one_of(name in self._tags, {False}, "name")
        self._tags.append(name)
        return {"id": f"tag_{len(self._tags) - 1}", "name": name}

    def show(self, asked: Asked) -> Any:
        there = self.ticket(asked).tags
        return {"tags": [one for one in self.all_tags(asked)["_results"] if one["name"] in there]}

    def tag(self, asked: Asked) -> Any:
        self.ticket(asked).tags |= self._named(asked)

    def untag(self, asked: Asked) -> Any:
        self.ticket(asked).tags -= self._named(asked)

    def _named(self, asked: Asked) -> set[str]:
        [ids] = required(asked.body, "tag_ids")
        known = {f"tag_{number}": name for number, name in enumerate(self._tags)}
        return {known[one_of(id_, set(known), "tag_ids")] for id_ in ids}

    def update(self, asked: Asked) -> Any:
        self.ticket(asked).fields |= asked.body["custom_fields"]

    def messages(self, asked: Asked) -> Any:
        said = [one for one in self.ticket(asked).said if not one.draft and one.public]
        return {"_results": [message(one) for one in said]}

    def drafts(self, asked: Asked) -> Any:
        return {"_results": [message(one) for one in self.ticket(asked).said if one.draft]}

    def draft(self, asked: Asked) -> Any:
        _, _, body = required(asked.body, "author_id", "channel_id", "body")
        one_of(asked.body.get("mode", "private"), {"shared"}, "mode")
        return {"id": self.add(self.ticket(asked), body, public=False, draft=True).id}

    def send(self, asked: Asked) -> Any:
        _, _, body = required(asked.body, "author_id", "channel_id", "body")
        return {"id": self.add(self.ticket(asked), body, public=True).id}

    def events(self, asked: Asked) -> Any:
        required(asked.query, "q[after]")
        return {"_results": [event(one) for one in self.tickets.values()], "_pagination": {}}


def message(said: Said) -> dict[str, Any]:
    return {"id": said.id, "body": said.body, "is_inbound": said.by == "customer",
            "created_at": said.at.timestamp()}  # fmt: skip


def event(ticket: TwinTicket) -> dict[str, Any]:
    return {
        "id": f"evt_{ticket.id}",
        "type": "inbound",
        "conversation": {"id": str(ticket.id), "subject": ticket.subject},
        "target": {"data": message(ticket.said[0])},
    }
