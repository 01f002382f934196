"""Writes back to GLPI (its REST API): a private followup, which a later try changes; the urgency.

GLPI has no tags: category and the rest stand in the followup.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import Draft, Remote

PRIORITY = {"low": 2, "medium": 3, "high": 4, "urgent": 5}
PAGE = 100
WESTERNMOST = timedelta(hours=12)
"""GLPI's times are of its own zone, which they do not tell: rather too many tickets are found."""


class GlpiOutlet:
    """A user's API token (`Authorization: user_token …`); a session is opened for each ticket."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self, draft: Draft) -> Remote:
        headers = self._session()
        path = f"/apirest.php/Ticket/{draft.external_id}"
        ticket = self._api.request("GET", path, headers=headers)
        said = self._api.request("GET", f"{path}/ITILFollowup", headers=headers)
        requester = ticket["users_id_recipient"]
        return Remote(
            **answers(
                (one for one in said if not one["is_private"]),
                draft,
                at=itemgetter("date_creation"),
                text=itemgetter("content"),
                by_agent=lambda one: one["users_id"] != requester,
                by_customer=lambda one: one["users_id"] == requester,
            ),
            ours=marked(
                (one for one in said if one["is_private"] or one["users_id"] != requester),
                draft.marker,
                "content",
            ),
            more={
                "headers": headers,
                "private": {str(one["id"]) for one in said if one["is_private"]},
            },
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        headers = remote.more["headers"]
        change = {"urgency": PRIORITY[draft.labels["priority"]], **draft.custom_fields()}
        self._api.request(
            "PUT",
            f"/apirest.php/Ticket/{draft.external_id}",
            headers=headers,
            json={"input": change},
        )
        body = markup.as_html(draft.signed_reply if draft.public else draft.note)
        followup: dict[str, Any] = {"content": body, "is_private": int(not draft.public)}
        if remote.ours:
            if draft.public or remote.ours in remote.more["private"]:
                self._api.request(
                    "PUT",
                    f"/apirest.php/ITILFollowup/{remote.ours}",
                    headers=headers,
                    json={"input": followup},
                )
            return remote.ours
        followup |= {"itemtype": "Ticket", "items_id": int(draft.external_id)}
        written = self._api.request(
            "POST", "/apirest.php/ITILFollowup", headers=headers, json={"input": followup}
        )
        return str(written["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        headers, start = self._session(), 0
        earliest = since - WESTERNMOST
        while True:
            found = self._api.request(
                "GET",
                "/apirest.php/Ticket",
                headers=headers,
                params={"range": f"{start}-{start + PAGE - 1}", "sort": "date", "order": "ASC"},
            )
            for ticket in found:
                if ticket["date"] >= f"{earliest:%Y-%m-%d %H:%M:%S}":
                    writer = {"id": ticket["users_id_recipient"]}  # a webhook has name and id
                    yield {"event": "new", "item": {**ticket, "user_recipient": writer}}
            if len(found) < PAGE:
                return
            start += PAGE

    def _session(self) -> dict[str, str]:
        token = self._api.get("/apirest.php/initSession")["session_token"]
        return {"Session-Token": str(token)}
