"""Chatwoot in memory: messages, labels that overwrite, priorities by name."""

from typing import Any

from worker.helpdesk.twins.server import TOKEN, Asked, Said, Twin, one_of, required

BASE = "/api/v1/accounts/{account}/conversations"


class ChatwootTwin(Twin):
    name = "chatwoot"
    path_prefix = "1/"
    routes = (
        ("GET", BASE, "conversations"),
        ("GET", BASE + "/{ticket}/messages", "messages"),
        ("POST", BASE + "/{ticket}/messages", "add_message"),
        ("GET", BASE + "/{ticket}/labels", "labels"),
        ("POST", BASE + "/{ticket}/labels", "set_labels"),
        ("POST", BASE + "/{ticket}/toggle_priority", "set_priority"),
        ("POST", BASE + "/{ticket}/custom_attributes", "set_fields"),
    )

    def knows(self, headers: Any) -> bool:
        return bool(headers.get("api_access_token") == TOKEN)

    def conversations(self, asked: Asked) -> Any:
        found = self.tickets.values() if asked.query.get("page") == "1" else ()
        payload = [
            {
                "id": one.id,
                "last_activity_at": one.created_at.timestamp(),
                "additional_attributes": {"mail_subject": one.subject},
            }
            for one in sorted(found, key=lambda one: one.created_at, reverse=True)
        ]
        return {"data": {"payload": payload}}

    def messages(self, asked: Asked) -> Any:
        ticket = self.ticket(asked)
        return {"payload": [message(one, ticket.created_at.timestamp()) for one in ticket.said]}

    def add_message(self, asked: Asked) -> Any:
        [content] = required(asked.body, "content")
        one_of(asked.body.get("message_type", "outgoing"), {"outgoing", "incoming"}, "message_type")
        is_private = asked.body.get("private", False)
        return {"id": self.add(self.ticket(asked), content, public=not is_private).id}

    def labels(self, asked: Asked) -> Any:
        return {"payload": sorted(self.ticket(asked).tags)}

    def set_labels(self, asked: Asked) -> Any:
        [labels] = required(asked.body, "labels")
        self.ticket(asked).tags = set(labels)
        return {"payload": labels}

    def set_priority(self, asked: Asked) -> Any:
        allowed = {"low", "medium", "high", "urgent", None}
        self.ticket(asked).priority = one_of(asked.body.get("priority"), allowed, "priority")
        return {}

    def set_fields(self, asked: Asked) -> Any:
        self.ticket(asked).fields |= asked.body["custom_attributes"]
        return {}


def message(said: Said, at: float) -> dict[str, Any]:
    kind = 0 if said.by == "customer" else 1
    return {"id": said.id, "content": said.body, "message_type": kind, "private": not said.public,
            "created_at": int(at) + said.id}  # fmt: skip
