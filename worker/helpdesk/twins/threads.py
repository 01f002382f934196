"""A thread of a conversation, as Help Scout and FreeScout send it."""

from typing import Any

from worker.helpdesk.twins.server import Said


def thread(said: Said) -> dict[str, Any]:
    kind = "customer" if said.by == "customer" else "message" if said.public else "note"
    kind = "message" if said.draft else kind
    return {"id": said.id, "type": kind, "body": said.body,
            "state": "draft" if said.draft else "published",
            "createdAt": said.at.isoformat()}  # fmt: skip
