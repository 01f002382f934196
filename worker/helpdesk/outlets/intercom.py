"""Writes back to Intercom: a note by an admin, tags, custom attributes. It has no priority but one
flag, which is raised for high and urgent."""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.intercom import CREATED, PEOPLE
from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import Draft, Remote


class IntercomOutlet:
    """An access token as bearer; `admin` is the id of the admin who writes."""

    def __init__(self, api: Api, *, admin: str) -> None:
        self._api, self._admin = api, admin

    def look(self, draft: Draft) -> Remote:
        found = self._api.get(f"/conversations/{draft.external_id}")
        parts = found["conversation_parts"]["conversation_parts"]
        return Remote(
            **answers(
                (one for one in parts if one["part_type"] == "comment"),
                draft,
                at=itemgetter("created_at"),
                text=itemgetter("body"),
                by_agent=lambda one: one["author"]["type"] == "admin",
                by_customer=lambda one: one["author"]["type"] in PEOPLE,
            ),
            ours=marked(
                (one for one in parts if one["author"]["type"] not in PEOPLE),
                draft.marker,
                "body",
            ),
            more={"tags": {one["name"]: one["id"] for one in found["tags"]["tags"]}},
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        path, there = f"/conversations/{draft.external_id}", remote.more["tags"]
        admin = {"admin_id": self._admin}
        for name in draft.outdated(there):
            self._api.request("DELETE", f"{path}/tags/{there[name]}", json=admin)
        for name in draft.tags:
            tag = self._api.post("/tags", {"name": name})
            self._api.post(f"{path}/tags", {"id": tag["id"], **admin})
        is_urgent = draft.labels["priority"] in {"high", "urgent"}
        change: dict[str, Any] = {"priority": "priority" if is_urgent else "not_priority"}
        if fields := draft.custom_fields():
            change["custom_attributes"] = fields
        self._api.put(path, change)
        if remote.ours:
            return remote.ours
        answered = self._api.post(
            f"{path}/reply",
            {
                "type": "admin",
                **admin,
                "message_type": "comment" if draft.public else "note",
                "body": markup.as_html(draft.signed_reply if draft.public else draft.note),
            },
        )
        return str(answered["conversation_parts"]["conversation_parts"][-1]["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        search = {
            "query": {"field": "created_at", "operator": ">", "value": int(since.timestamp())}
        }
        page = self._api.post("/conversations/search", search)
        while True:
            for conversation in page["conversations"]:
                yield {"topic": CREATED, "data": {"item": conversation}}
            following = (page.get("pages") or {}).get("next")
            if not following:
                return
            page = self._api.post(
                "/conversations/search",
                {**search, "pagination": {"starting_after": following["starting_after"]}},
            )
