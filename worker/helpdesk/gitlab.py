"""GitLab webhooks: an issue that was opened (Service Desk or not), a note on it.

The customer is the issue's author; what others write on it are agents' replies.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from schemas.ticket import GenericTicket, IncomingTicket, not_a_message
from worker.helpdesk import signatures, text
from worker.helpdesk.contract import Helpdesk, Sent, Webhook, parse

TOKEN, KEY, UUID = "x-gitlab-token", "idempotency-key", "x-gitlab-event-uuid"


class User(Sent):
    """Who has no public address has one that reads `[REDACTED]`."""

    email: str | None = None
    username: str | None = None

    @property
    def name(self) -> str | None:
        return self.email if self.email and "@" in self.email else self.username


class Project(Sent):
    id: str = ""


class Attributes(Sent):
    """Of the issue, or of the note."""

    id: str = Field(min_length=1)
    iid: str | None = None
    title: str | None = None
    description: str | None = None
    note: str | None = None
    noteable_type: str | None = None
    action: str | None = None
    author_id: str | None = None
    system: bool = False
    internal: bool = False
    confidential: bool = False
    updated_at: str = ""


class Issue(Sent):
    iid: str = Field(min_length=1)
    title: str | None = None
    author_id: str | None = None


class Hook(Sent):
    object_kind: str = Field(min_length=1)
    project: Project = Project()
    user: User = User()
    object_attributes: Attributes
    issue: Issue | None = None


class GitLab(Helpdesk):
    """The secret token itself in `X-Gitlab-Token`, compared in constant time."""

    name = "gitlab"

    def verify(self, webhook: Webhook, secret: str) -> None:
        signatures.require(secret, webhook.headers.get(TOKEN), header="X-Gitlab-Token")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        hook = parse(Hook, payload)
        what, issue = hook.object_attributes, hook.issue
        is_note = hook.object_kind == "note"
        number = (issue.iid if issue else "") if is_note else what.iid or what.id
        message = text.message((what.note if is_note else what.description) or "")
        headers = webhook.headers
        return parse(
            IncomingTicket,
            {
                "source": self.name,
                "external_id": f"{hook.project.id}/{number}" if hook.project.id else number or "?",
                "delivery_key": headers.get(KEY)
                or headers.get(UUID)
                or f"{hook.object_kind}:{what.id}:{what.action}:{what.updated_at}"[:200],
                "message_id": what.id if is_note else "",
                "event": f"{hook.object_kind} {what.action or ''}".strip()[:200],
                "subject": text.one_line((issue.title if issue else what.title) or ""),
                "body": message.body,
                "cut": message.cut,
                "requester": hook.user.name,
                "ignore_reason": why_ignored(hook),
            },
        )

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        return {
            "object_kind": "issue",
            "object_attributes": {
                "id": f"{ticket.id}1",
                "iid": ticket.id,
                "title": ticket.subject,
                "description": ticket.body,
                "action": "open",
            },
            "user": {"email": ticket.requester},
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del body, now  # GitLab signs nothing
        return {TOKEN: secret, KEY: delivery_id}


def why_ignored(hook: Hook) -> str | None:
    """Why a hook is no customer's message; None if it is one."""
    what = hook.object_attributes
    if hook.object_kind == "issue":
        return None if what.action == "open" else not_a_message(f"issue {what.action}")
    if hook.object_kind != "note" or what.noteable_type != "Issue" or hook.issue is None:
        return not_a_message(hook.object_kind)
    if what.system or what.internal or what.confidential:
        return "an internal note"
    is_author = what.author_id is not None and what.author_id == hook.issue.author_id
    return None if is_author and what.action in {None, "create"} else "an agent's reply"
