"""Writes back to Freshdesk: a private note, tags, priority, custom fields.

Tags overwrite, so those that are there are sent along.
"""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.outlets.api import Api, answers, marked, moment
from worker.helpdesk.outlets.contract import Draft, Remote

PAGE = 100
PRIORITY = {"low": 1, "medium": 2, "high": 3, "urgent": 4}


class FreshdeskOutlet:
    """An agent's API key as the user name of basic authentication, with the password `X`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self, draft: Draft) -> Remote:
        path = f"/api/v2/tickets/{draft.external_id}"
        ticket, said = self._api.get(path), list(self._all(f"{path}/conversations"))
        return Remote(
            **answers(
                said,
                draft,
                at=itemgetter("created_at"),
                text=itemgetter("body_text"),
                by_agent=lambda one: not one["private"] and not one["incoming"],
                by_customer=itemgetter("incoming"),
            ),
            ours=marked((one for one in said if not one["incoming"]), draft.marker, "body_text"),
            tags=tuple(ticket["tags"]),
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        path = f"/api/v2/tickets/{draft.external_id}"
        change: dict[str, Any] = {
            "priority": PRIORITY[draft.labels["priority"]],
            "tags": draft.all_tags(remote.tags),
        }
        if fields := draft.custom_fields():
            change["custom_fields"] = fields
        self._api.put(path, change)
        if remote.ours:
            return remote.ours
        if draft.public:
            return str(
                self._api.post(f"{path}/reply", {"body": markup.as_html(draft.signed_reply)})["id"]
            )
        note = {"body": markup.as_html(draft.note), "private": True}
        return str(self._api.post(f"{path}/notes", note)["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        for ticket in self._all(
            "/api/v2/tickets",
            updated_since=f"{since:%Y-%m-%dT%H:%M:%SZ}",
            order_by="created_at",
            order_type="asc",
            include="description,requester",
        ):
            if moment(ticket["created_at"]) < since:  # it was changed only
                continue
            yield {
                "ticket_id": ticket["id"],
                "triggered_event": "{ticket_action:created}",
                "ticket_subject": ticket["subject"],
                "ticket_description": ticket["description"],
                "requester_email": ticket["requester"]["email"],
            }

    def _all(self, path: str, **params: str) -> Iterator[dict[str, Any]]:
        """What a list has, page after page."""
        number = 1
        while found := self._api.get(path, page=number, per_page=PAGE, **params):
            yield from found
            if len(found) < PAGE:
                return
            number += 1
