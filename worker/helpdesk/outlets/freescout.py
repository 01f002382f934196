"""Writes back to FreeScout (its API module): a true draft, tags, custom fields. No priority."""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import Draft, Remote


class FreeScoutOutlet:
    """An API key: header `X-FreeScout-API-Key`; `user` is the id of the user who drafts."""

    def __init__(self, api: Api, *, user: str) -> None:
        self._api, self._user = api, user

    def look(self, draft: Draft) -> Remote:
        found = self._api.get(f"/api/conversations/{draft.external_id}", embed="threads,tags")
        threads = found["_embedded"]["threads"]
        return Remote(
            **answers(
                threads,
                draft,
                at=itemgetter("createdAt"),
                text=itemgetter("body"),
                by_agent=lambda one: one["type"] == "message" and one["state"] != "draft",
                by_customer=lambda one: one["type"] == "customer",
            ),
            ours=marked(
                (one for one in threads if one["type"] != "customer"), draft.marker, "body"
            ),
            tags=tuple(one["name"] for one in found["_embedded"].get("tags", ())),
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        path = f"/api/conversations/{draft.external_id}"
        self._api.put(f"{path}/tags", {"tags": draft.all_tags(remote.tags)})
        if fields := draft.custom_fields():
            listed = [{"id": int(id_), "value": value} for id_, value in fields.items()]
            self._api.put(f"{path}/custom_fields", {"customFields": listed})
        if remote.ours:
            return remote.ours
        written = self._api.post(
            f"{path}/threads",
            {
                "type": "message",
                "text": markup.as_html(draft.signed_reply),
                "user": self._user,
                "state": "published" if draft.public else "draft",
            },
        )
        return str((written or {}).get("id", ""))

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        number = 1
        while True:
            page = self._api.get(
                "/api/conversations",
                embed="threads",
                createdSince=f"{since:%Y-%m-%dT%H:%M:%SZ}",
                sortField="createdAt",
                sortOrder="asc",
                page=number,
            )
            yield from page["_embedded"]["conversations"]
            if number >= page["page"]["totalPages"]:
                return
            number += 1
