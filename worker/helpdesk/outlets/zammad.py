"""Writes back to Zammad: a shared draft, tags, priority.

A ticket has one shared draft: ours replaces ours. Where a colleague has one, ours is a note.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import MARKER, Draft, Remote

OURS = MARKER.partition("{")[0]
PRIORITY = {"low": "1 low", "medium": "2 normal", "high": "3 high", "urgent": "3 high"}


class ZammadOutlet:
    """An access token of a user with `ticket.agent`: `Authorization: Token token=…`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self, draft: Draft) -> Remote:
        articles = self._api.get(f"/api/v1/ticket_articles/by_ticket/{draft.external_id}")
        by_us = [one for one in articles if one["sender"] != "Customer"]
        shared = self._api.get(self._shared_draft(draft)).get("assets") or {}
        tags = self._api.get("/api/v1/tags", object="Ticket", o_id=draft.external_id)["tags"]
        return Remote(
            **answers(
                articles,
                draft,
                at=itemgetter("created_at"),
                text=itemgetter("body"),
                by_agent=lambda one: one["sender"] == "Agent" and not one["internal"],
                by_customer=lambda one: one["sender"] == "Customer" and not one["internal"],
            ),
            ours=marked(by_us, draft.marker, "body"),
            tags=tuple(tags),
            more={"may_share": not shared or OURS in str(shared)},
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        ticket = draft.external_id
        of_ticket = {"object": "Ticket", "o_id": ticket}
        for tag in draft.outdated(remote.tags):
            self._api.request("DELETE", "/api/v1/tags/remove", json={**of_ticket, "item": tag})
        for tag in draft.tags:
            self._api.post("/api/v1/tags/add", {**of_ticket, "item": tag})
        self._api.put(
            f"/api/v1/tickets/{ticket}",
            {"priority": PRIORITY[draft.labels["priority"]], **draft.custom_fields()},
        )
        if remote.ours:
            return remote.ours
        if draft.public:
            return self._article(draft, {"type": "email", "internal": False}, draft.signed_reply)
        if not remote.more["may_share"]:
            return self._article(draft, {"type": "note", "internal": True}, draft.note)
        body = markup.as_html(draft.signed_reply)
        written = self._api.put(
            self._shared_draft(draft),
            {
                "form_id": draft.marker,
                "new_article": {"body": body, "type": "email", "internal": False},
                "ticket_attributes": {},
            },
        )
        return str(written["shared_draft_id"])

    def _article(self, draft: Draft, kind: Mapping[str, Any], body: str) -> str:
        article = {"ticket_id": draft.external_id, "body": body, "content_type": "text/plain"}
        return str(self._api.post("/api/v1/ticket_articles", {**article, **kind})["id"])

    def _shared_draft(self, draft: Draft) -> str:
        return f"/api/v1/tickets/{draft.external_id}/shared_draft"

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        number = 1
        query = f"created_at:>={since:%Y-%m-%dT%H:%M:%SZ}"
        while found := self._api.get(
            "/api/v1/tickets/search", query=query, page=number, per_page=100, expand="true"
        ):
            for ticket in found:
                articles = self._api.get(f"/api/v1/ticket_articles/by_ticket/{ticket['id']}")
                yield {
                    "ticket": {**ticket, "updated_at": ticket["created_at"]},  # as it was then
                    "article": articles[0] if articles else None,
                }
            number += 1
