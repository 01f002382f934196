"""Writes back to Chatwoot: a private message, labels, priority.

Setting labels replaces all of them, so those that are there are sent along.
"""

import math
from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.chatwoot import MESSAGE
from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import Draft, Remote


class ChatwootOutlet:
    """An agent's or bot's access token: header `api_access_token`. The account is in our id."""

    def __init__(self, api: Api, *, account: str) -> None:
        self._api, self._account = api, account

    def look(self, draft: Draft) -> Remote:
        path = self._path(draft.external_id)
        messages = self._api.get(f"{path}/messages")["payload"]
        return Remote(
            **answers(
                messages,
                draft,
                at=itemgetter("created_at"),
                text=itemgetter("content"),
                by_agent=lambda one: one["message_type"] == 1 and not one["private"],
                by_customer=lambda one: one["message_type"] == 0,
            ),
            ours=marked(
                (one for one in messages if one["message_type"] != 0), draft.marker, "content"
            ),
            tags=tuple(self._api.get(f"{path}/labels")["payload"]),
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        path = self._path(draft.external_id)
        self._api.post(f"{path}/labels", {"labels": draft.all_tags(remote.tags)})
        self._api.post(f"{path}/toggle_priority", {"priority": draft.labels["priority"]})
        if fields := draft.custom_fields():
            self._api.post(f"{path}/custom_attributes", {"custom_attributes": fields})
        if remote.ours:
            return remote.ours
        message = {
            "content": draft.signed_reply if draft.public else markup.as_markdown(draft.note),
            "message_type": "outgoing",
            "private": not draft.public,
        }
        return str(self._api.post(f"{path}/messages", message)["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        number = 1
        path = f"/api/v1/accounts/{self._account}/conversations"
        newest_first = {"status": "all", "sort_by": "last_activity_at_desc"}
        while found := self._api.get(path, **newest_first, page=number)["data"]["payload"]:
            for conversation in found:
                if conversation.get("last_activity_at", math.inf) < since.timestamp():
                    return
                messages = self._api.get(f"{path}/{conversation['id']}/messages")["payload"]
                for message in messages:
                    if message["created_at"] >= since.timestamp():
                        yield {
                            **message,
                            "event": MESSAGE,
                            "account": {"id": self._account},
                            "conversation": conversation,
                        }
            number += 1

    def _path(self, external_id: str) -> str:
        account, _, conversation = external_id.rpartition("/")
        return f"/api/v1/accounts/{account or self._account}/conversations/{conversation}"
