"""Writes back to a system of your own: a signed JSON body, posted to the URL in the settings.

It is signed as webhooks to `/webhooks/generic` are; the same `delivery_id` comes again with a
retry. Who receives it says 409 to what it does not want any more because a person was quicker.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from worker.errors import SettingsError
from worker.helpdesk.generic import Generic
from worker.helpdesk.outlets.api import Api
from worker.helpdesk.outlets.contract import Draft, Remote


class GenericOutlet:
    """The token is the secret with which bodies are signed."""

    def __init__(self, api: Api, *, secret: str) -> None:
        self._api, self._secret = api, secret

    def look(self, draft: Draft) -> Remote:
        del draft  # it cannot be asked; it says so when it is written to
        return Remote(touched=False)

    def write(self, draft: Draft, remote: Remote) -> str:
        del remote
        body = json.dumps(
            {
                "delivery_id": draft.marker,
                "id": draft.external_id,
                "labels": dict(draft.labels),
                "fields": draft.custom_fields(),
                "summary": draft.summary,
                "reply": draft.reply,
                "public": draft.public,
            },
            ensure_ascii=False,
        ).encode()
        headers = Generic().sign(
            body, self._secret, delivery_id=draft.marker, now=datetime.now(UTC)
        )
        answer = self._api.request(
            "POST", "", content=body, headers={**headers, "Content-Type": "application/json"}
        )
        return str((answer or {}).get("id", draft.marker))

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        """
        Raises:
            SettingsError: a system of your own has no API that we know.
        """
        raise SettingsError(f"generic cannot be asked what came since {since:%Y-%m-%d %H:%M}")
