"""Writes back to GitLab: an internal note, which a later try changes instead of adding one; labels.

GitLab has no priority: it is one more label.
"""

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any

from worker.helpdesk import markup
from worker.helpdesk.outlets.api import Api, answers, marked
from worker.helpdesk.outlets.contract import TAGGED, Draft, Remote


class GitLabOutlet:
    """An access token of project or user: header `PRIVATE-TOKEN`. `project` is for reconciling."""

    def __init__(self, api: Api, *, project: str) -> None:
        self._api, self._project = api, project

    def look(self, draft: Draft) -> Remote:
        path = self._path(draft.external_id)
        notes = self._api.get(f"{path}/notes", per_page=100)
        issue = self._api.get(path)
        author = issue["author"]["id"]
        return Remote(
            **answers(
                (one for one in notes if not one["internal"] and not one["system"]),
                draft,
                at=itemgetter("created_at"),
                text=itemgetter("body"),
                by_agent=lambda one: one["author"]["id"] != author,
                by_customer=lambda one: one["author"]["id"] == author,
            ),
            ours=marked(
                (one for one in notes if one["internal"] or one["author"]["id"] != author),
                draft.marker,
                "body",
            ),
            tags=tuple(issue["labels"]),
            more={"internal": {str(one["id"]) for one in notes if one["internal"]}},
        )

    def write(self, draft: Draft, remote: Remote) -> str:
        path = self._path(draft.external_id)
        labels = draft.tags_of(*TAGGED, "priority")
        change = {"add_labels": ",".join(labels)}
        if old := draft.outdated(remote.tags, *TAGGED, "priority"):
            change["remove_labels"] = ",".join(old)
        self._api.put(path, change)
        body = markup.as_markdown(draft.signed_reply if draft.public else draft.note)
        if remote.ours:
            if draft.public or remote.ours in remote.more["internal"]:
                self._api.put(f"{path}/notes/{remote.ours}", {"body": body})
            return remote.ours
        note = {"body": body, "internal": not draft.public}
        return str(self._api.post(f"{path}/notes", note)["id"])

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        number, path = 1, f"/api/v4/projects/{self._project}/issues"
        after = f"{since:%Y-%m-%dT%H:%M:%SZ}"
        while found := self._api.get(path, created_after=after, page=number, per_page=100):
            for issue in found:
                yield {
                    "object_kind": "issue",
                    "project": {"id": self._project},
                    "object_attributes": {**issue, "action": "open"},
                    "user": issue["author"],
                }
            number += 1

    def _path(self, external_id: str) -> str:
        project, _, number = external_id.rpartition("/")
        return f"/api/v4/projects/{project or self._project}/issues/{number}"
