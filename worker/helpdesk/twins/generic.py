"""A system of your own in memory: takes signed bodies, each delivery once, and may decline."""

import hashlib
import hmac
from typing import Any

from worker.helpdesk.twins.server import TOKEN, Asked, Refusal, Twin, required


class GenericTwin(Twin):
    name = "generic"
    routes = (("POST", "/", "take"),)

    def __init__(self) -> None:
        super().__init__()
        self._taken: dict[str, int] = {}

    def knows(self, headers: Any) -> bool:
        return "x-triage-delivery" in headers

    def take(self, asked: Asked) -> Any:
        delivery, number = required(asked.body, "delivery_id", "id")
        ticket = self.of_id(number)
        if any(one.by == "agent" and one.public for one in ticket.said):
            raise Refusal(409, "a person was quicker")
        if delivery not in self._taken:
            self._taken[delivery] = self.add(ticket, asked.body["reply"], public=False).id
        labels = asked.body["labels"]
        ticket.tags |= {f"{name}__{labels[name]}" for name in ("category", "language", "sentiment")}
        ticket.priority = labels["priority"]
        ticket.fields |= asked.body["fields"]
        return {"id": self._taken[delivery]}

    def is_signed(self, headers: Any, body: bytes) -> bool:
        timestamp = headers.get("x-triage-timestamp", "")
        signed = timestamp.encode() + b"." + body
        expected = hmac.new(TOKEN.encode(), signed, hashlib.sha256).hexdigest()
        return bool(headers.get("x-triage-signature") == f"sha256={expected}")
