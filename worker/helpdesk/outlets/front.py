"""Writes back to Front: a shared draft, tags, custom fields. Front has no priority.

Tags are known by id there: one that does not exist is made.
"""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.front import INBOUND
from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import Draft, Remote


class FrontOutlet:
    """An API token as bearer; `author` writes the draft, on `channel`."""

    def __init__(self, api: Api, *, author: str, channel: str) -> None:
        self._api, self._author, self._channel = api, author, channel

    def look(self, draft: Draft) -> Remote:
        path = f"/conversations/{draft.external_id}"
        messages = self._api.get(f"{path}/messages")["_results"]
        drafts = self._api.get(f"{path}/drafts")["_results"]
        return Remote(
            **answers(
                messages,
                draft,
                at=itemgetter("created_at"),
                text=itemgetter("body"),
                by_agent=lambda one: not one["is_inbound"],
                by_customer=itemgetter("is_inbound"),
            ),
            ours=marked(
                [*drafts, *(one for one in messages if not one["is_inbound"])], draft.marker, "body"
            ),
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        path = f"/conversations/{draft.external_id}"
        known = {one["name"]: one["id"] for one in self._api.get("/tags")["_results"]}
        ids = [known.get(name) or self._api.post("/tags", {"name": name})["id"]
               for name in draft.tags]  # fmt: skip
        there = {one["name"]: one["id"] for one in self._api.get(path)["tags"]}
        if old := [there[name] for name in draft.outdated(there)]:
            self._api.request("DELETE", f"{path}/tags", json={"tag_ids": old})
        self._api.post(f"{path}/tags", {"tag_ids": ids})
        if fields := draft.custom_fields():
            self._api.request("PATCH", path, json={"custom_fields": fields})
        if remote.ours:
            return remote.ours
        written: dict[str, Any] = {
            "author_id": self._author,
            "channel_id": self._channel,
            "body": markup.as_html(draft.signed_reply),
        }
        if draft.public:
            return str(self._api.post(f"{path}/messages", written)["id"])
        return str(self._api.post(f"{path}/drafts", {**written, "mode": "shared"})["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        yield from self._api.pages(
            "/events",
            "_results",
            lambda page: (page.get("_pagination") or {}).get("next"),
            **{"q[after]": since.timestamp(), "q[types]": INBOUND},
        )
