"""Writes back to Jira Service Management: an internal comment, labels, priority, custom fields."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import ceil
from typing import Any
from urllib.parse import urlencode

from worker.helpdesk import markup
from worker.helpdesk.adf import in_document
from worker.helpdesk.jira import CREATED
from worker.helpdesk.outlets.api import Api, answers
from worker.helpdesk.outlets.contract import Draft, Remote

SEARCH = "/rest/api/2/search/jql"
OPTION = ":option"
PRIORITY = {"low": "Low", "medium": "Medium", "high": "High", "urgent": "Highest"}


class JiraOutlet:
    """An account's address and API token, by basic authentication."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def look(self, draft: Draft) -> Remote:
        id_ = draft.external_id
        comments = self._api.get(f"/rest/servicedeskapi/request/{id_}/comment")["values"]
        fields = self._api.get(f"/rest/api/2/issue/{id_}", fields="reporter,labels")["fields"]
        reporter = (fields.get("reporter") or {}).get("accountId")
        return Remote(
            **answers(
                (one for one in comments if one["public"]),
                draft,
                at=lambda one: one["created"]["epochMillis"] / 1000,
                text=lambda one: in_document(one["body"]),
                by_agent=lambda one: one["author"]["accountId"] != reporter,
                by_customer=lambda one: one["author"]["accountId"] == reporter,
            ),
            ours=next(
                (
                    str(one["id"])
                    for one in comments
                    if draft.marker in in_document(one["body"])
                    and not (one["public"] and one["author"]["accountId"] == reporter)
                ),
                None,
            ),
            tags=tuple(fields.get("labels") or ()),
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        fields = {"priority": {"name": PRIORITY[draft.labels["priority"]]}}
        self._api.put(
            f"/rest/api/2/issue/{draft.external_id}",
            {
                "update": {
                    "labels": [
                        *({"remove": tag} for tag in draft.outdated(remote.tags)),
                        *({"add": tag} for tag in draft.tags),
                    ]
                },
                "fields": {**fields, **custom_fields(draft)},
            },
        )
        if remote.ours:
            return remote.ours
        comment = {
            "body": markup.as_wiki(draft.signed_reply if draft.public else draft.note),
            "public": draft.public,
        }
        path = f"/rest/servicedeskapi/request/{draft.external_id}/comment"
        return str(self._api.post(path, comment)["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        minutes = ceil((datetime.now(UTC) - since).total_seconds() / 60)
        asked = {  # an age, as Jira reads times in the account's zone; attachments are no default
            "jql": f"created >= -{minutes}m order by created asc",
            "fields": "summary,description,reporter,attachment,updated",
        }

        def following(page: Any) -> str | None:
            token = page.get("nextPageToken")
            return f"{SEARCH}?{urlencode({**asked, 'nextPageToken': token})}" if token else None

        for issue in self._api.pages(SEARCH, "issues", following, **asked):
            yield {"webhookEvent": CREATED, "issue": issue}


def custom_fields(draft: Draft) -> dict[str, Any]:
    """Text as it is; a select list, named `customfield_10050:option`, wants its option's value."""
    return {
        name.removesuffix(OPTION): {"value": value} if name.endswith(OPTION) else value
        for name, value in draft.custom_fields().items()
    }
