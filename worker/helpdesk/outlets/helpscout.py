"""Writes back to Help Scout: a true draft, tags, custom fields. It has no priority.

Setting tags or fields replaces all of them, so those that are there are sent along.
"""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.outlets.api import Api, answers, marked, moment
from worker.helpdesk.outlets.contract import Draft, Remote


class HelpScoutOutlet:
    """A bearer token of an OAuth application; `user` is the id of the user who drafts."""

    def __init__(self, api: Api, *, user: str) -> None:
        self._api, self._user = api, user

    def look(self, draft: Draft) -> Remote:
        found = self._api.get(f"/v2/conversations/{draft.external_id}", embed="threads")
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
            tags=tuple(one["tag"] for one in found["tags"]),
            more={"customer": found["primaryCustomer"]["id"], "fields": found["customFields"]},
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        path = f"/v2/conversations/{draft.external_id}"
        self._api.put(f"{path}/tags", {"tags": draft.all_tags(remote.tags)})
        if fields := draft.custom_fields():
            kept = {str(one["id"]): one["value"] for one in remote.more["fields"]} | fields
            listed = [{"id": int(id_), "value": value} for id_, value in kept.items()]
            self._api.put(f"{path}/fields", {"fields": listed})
        if remote.ours:
            return remote.ours
        written = self._api.post(
            f"{path}/reply",
            {
                "customer": {"id": remote.more["customer"]},
                "user": self._user,
                "text": markup.as_html(draft.signed_reply),
                "draft": not draft.public,
            },
        )
        return str((written or {}).get("id", ""))

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        for conversation in self._api.pages(
            "/v2/conversations",
            "conversations",
            lambda page: (page.get("_links") or {}).get("next", {}).get("href"),
            modifiedSince=f"{since:%Y-%m-%dT%H:%M:%SZ}",
            status="all",
            embed="threads",
        ):
            if moment(conversation["createdAt"]) >= since:  # others were changed only
                yield conversation
