"""Writes back to Zendesk: one update with an internal comment, tags, priority and custom fields.

A comment is public there unless it says otherwise, so it always says. Comments cannot be changed:
a ticket that has ours gets no second one. The update holds only if nobody changed the ticket.
"""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk.outlets.api import Api, answers, marked, moment
from worker.helpdesk.outlets.contract import Draft, Remote
from worker.helpdesk.zendesk import CREATED

PRIORITY = {"low": "low", "medium": "normal", "high": "high", "urgent": "urgent"}
STAFF = {"agent", "admin"}


class ZendeskOutlet:
    """User `name@example.org/token` with an API token, by basic authentication."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self, draft: Draft) -> Remote:
        path = f"/api/v2/tickets/{draft.external_id}"
        ticket = self._api.get(f"{path}.json")["ticket"]
        page = self._api.get(f"{path}/comments.json", include="users", sort_order="desc")
        staff = {user["id"] for user in page.get("users", ()) if user["role"] in STAFF}
        customers = {user["id"] for user in page.get("users", ())} - staff
        comments = page["comments"]
        said = answers(
            comments,
            draft,
            at=itemgetter("created_at"),
            text=itemgetter("body"),
            by_agent=lambda one: one["public"] and one["author_id"] in staff,
            by_customer=lambda one: one["public"] and one["author_id"] in customers,
        )
        return Remote(
            touched=said["touched"] or ticket["status"] in {"solved", "closed"},
            answered_at=said["answered_at"],
            ours=marked(
                (one for one in comments if one["author_id"] in staff), draft.marker, "body"
            ),
            version=ticket["updated_at"],
            tags=tuple(ticket["tags"]),
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        change: dict[str, Any] = {
            "tags": draft.all_tags(remote.tags),
            "priority": PRIORITY[draft.labels["priority"]],
            "custom_fields": [
                {"id": int(id_), "value": value} for id_, value in draft.custom_fields().items()
            ],
            "safe_update": True,
            "updated_stamp": remote.version,
        }
        if remote.ours is None:
            body = draft.signed_reply if draft.public else draft.note
            change["comment"] = {"body": body, "public": draft.public}
        done = self._api.put(f"/api/v2/tickets/{draft.external_id}.json", {"ticket": change})
        return remote.ours or str(done["audit"]["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        for ticket in self._api.pages(
            "/api/v2/incremental/tickets/cursor.json",
            "tickets",
            lambda page: None if page["end_of_stream"] else page["after_url"],
            start_time=int(since.timestamp()),
        ):
            if moment(ticket["created_at"]) >= since:  # others were changed only
                yield {
                    "type": CREATED,
                    "detail": {**ticket, "updated_at": ticket["created_at"]},  # as it was then
                }
