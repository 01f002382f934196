"""Writes back to Zammad: a shared draft, tags, priority. A shared draft is one for a ticket, so
writing it again replaces it."""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import Draft, Remote

PRIORITY = {"low": "1 low", "medium": "2 normal", "high": "3 high", "urgent": "3 high"}


class ZammadOutlet:
    """An access token of a user with `ticket.agent`: `Authorization: Token token=…`."""

    name = "zammad"

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self, draft: Draft) -> Remote:
        articles = self._api.get(f"/api/v1/ticket_articles/by_ticket/{draft.external_id}")
        ours = marked(articles, draft.marker, "body")
        return Remote(
            **answers(
                articles,
                draft,
                at=itemgetter("created_at"),
                text=itemgetter("body"),
                by_agent=lambda one: one["sender"] == "Agent" and not one["internal"],
                by_customer=lambda one: one["sender"] == "Customer" and not one["internal"],
            ),
            ours=ours,
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        ticket = draft.external_id
        for tag in draft.tags:
            self._api.post("/api/v1/tags/add", {"object": "Ticket", "o_id": ticket, "item": tag})
        self._api.put(
            f"/api/v1/tickets/{ticket}",
            {"priority": PRIORITY[draft.labels["priority"]], **draft.custom_fields()},
        )
        if draft.public:
            return remote.ours or self._article(draft)
        written = self._api.put(
            f"/api/v1/tickets/{ticket}/shared_draft",
            {
                "form_id": draft.marker,
                "new_article": {"body": draft.signed_reply, "type": "email", "internal": False},
                "ticket_attributes": {},
            },
        )
        return str(written["shared_draft_id"])

    def _article(self, draft: Draft) -> str:
        article = {
            "ticket_id": draft.external_id,
            "body": draft.signed_reply,
            "type": "email",
            "content_type": "text/plain",
            "internal": False,
        }
        return str(self._api.post("/api/v1/ticket_articles", article)["id"])

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
