"""What each helpdesk sends, in its variants, and what becomes of it: one table for all of them."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from worker import helpdesk
from worker.errors import BadSignature, UnusableBody
from worker.helpdesk import HELPDESKS, Webhook
from worker.helpdesk.adf import in_document

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def read(name: str, payload: Any, **headers: str) -> Any:
    webhook = Webhook(orjson.dumps(payload), headers, received_at=NOW)
    return helpdesk.read(HELPDESKS[name], payload, webhook)


def zendesk(kind: str, comment: dict[str, Any] | None = None, **detail: Any) -> dict[str, Any]:
    return {
        "type": f"zen:event-type:ticket.{kind}",
        "detail": {"id": 5158, "subject": "S", "description": "First"} | detail,
        "event": {"comment": comment} if comment else {},
    }


def zammad(**article: Any) -> dict[str, Any]:
    full = {"id": 9, "body": "<p>Hallo</p>", "content_type": "text/html", "sender": "Customer"}
    return {"ticket": {"id": 7, "title": "T"}, "article": full | article if article else None}


def chatwoot(**changes: Any) -> dict[str, Any]:
    message = {
        "event": "message_created", "id": 11, "content": "Hallo", "message_type": "incoming",
        "private": False, "account": {"id": 3}, "conversation": {"id": 8},
        "sender": {"id": 1, "email": "ana@example.org"},
    }  # fmt: skip
    return message | changes


def freshdesk(**changes: Any) -> dict[str, Any]:
    rule = {
        "ticket_id": 11, "triggered_event": "{ticket_action:created}", "ticket_subject": "S",
        "ticket_description": "<div>Hallo<br>Welt</div>", "requester_email": "ana@example.org",
    }  # fmt: skip
    return rule | changes


def intercom(topic: str, **item: Any) -> dict[str, Any]:
    return {"type": "notification_event", "topic": topic, "id": "notif_1", "data": {"item": item}}


def part(body: str, author: str = "user", kind: str = "comment") -> dict[str, Any]:
    return {"id": "p2", "body": body, "author": {"type": author, "id": "u1"}, "part_type": kind}


def jira(event: str = "jira:issue_created", comment: Any = None, **fields: Any) -> dict[str, Any]:
    given = {"summary": "S", "description": "First", "reporter": {"accountId": "c1"}} | fields
    issue = {"id": "10001", "key": "SUP-7", "fields": given}
    return {"webhookEvent": event, "timestamp": 1, "issue": issue} | (
        {"comment": {"id": 5} | comment} if comment else {}
    )


def thread(kind: str = "customer", body: str = "<p>More</p>", at: str = "2026-11-23T10:00:00Z",
           **more: Any) -> dict[str, Any]:  # fmt: skip
    return {"id": 21, "type": kind, "body": body, "createdAt": at} | more


def convo(*threads: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": 77, "subject": "S", "_embedded": {"threads": list(threads)}} | changes


def front(kind: str = "inbound", **message: Any) -> dict[str, Any]:
    sent = {"id": "msg_1", "is_inbound": True, "body": "<p>Hallo</p>"} | message
    conversation = {"id": "cnv_1", "subject": "S"}
    return {"id": "evt_1", "type": kind, "conversation": conversation, "target": {"data": sent}}


def gitlab(kind: str = "issue", **changes: Any) -> dict[str, Any]:
    what = {"id": 301, "iid": 23, "title": "S", "description": "Hallo", "action": "open"}
    hook = {"object_kind": kind, "project": {"id": 5}, "user": {"username": "ana"}}
    if kind == "note":
        what = {"id": 9, "note": "More", "noteable_type": "Issue", "author_id": 51,
                "action": "create"}  # fmt: skip
        hook["issue"] = {"id": 301, "iid": 23, "title": "S", "author_id": 51}
    return hook | {"object_attributes": what | changes}


def glpi(event: str = "new", **changes: Any) -> dict[str, Any]:
    return {"event": event, "item": {"id": 4, "name": "S", "content": "<p>Hallo</p>"} | changes}


CREATED = {"x-helpscout-event": "convo.created", "x-freescout-event": "convo.created"}
REPLIED = {
    "x-helpscout-event": "convo.customer.reply.created",
    "x-freescout-event": "convo.customer.reply.created",
}
MESSAGES: list[tuple[str, dict[str, Any], dict[str, str], tuple[str, str]]] = [
    ("zendesk", zendesk("created"), {}, ("5158", "First")),
    ("zendesk", zendesk("created", id="5158", description="First\n-- \nAna"), {},
     ("5158", "First")),
    ("zendesk", zendesk("comment_added", {"id": 1, "body": "More", "is_public": True}), {},
     ("5158", "More")),
    ("zammad", zammad(internal=False), {}, ("7", "Hallo")),
    ("zammad", zammad(body="Hallo", content_type="text/plain", id="9"), {}, ("7", "Hallo")),
    ("zammad", zammad(attachments=[{"filename": "bild.png"}]), {}, ("7", "Hallo\n\n[bild.png]")),
    ("chatwoot", chatwoot(), {}, ("3/8", "Hallo")),
    ("chatwoot", chatwoot(message_type=0, content="<p>Hallo</p>"), {}, ("3/8", "Hallo")),
    ("chatwoot", chatwoot(account=None), {}, ("8", "Hallo")),
    ("chatwoot", chatwoot(content=None, attachments=[{"data_url": "https://x/y/a.pdf"}]), {},
     ("3/8", "[a.pdf]")),
    ("freshdesk", freshdesk(), {}, ("11", "Hallo\nWelt")),
    ("freshdesk", {"freshdesk_webhook": freshdesk(ticket_id="11")}, {}, ("11", "Hallo\nWelt")),
    ("freshdesk", freshdesk(triggered_event=""), {}, ("11", "Hallo\nWelt")),
    ("freshdesk", freshdesk(triggered_event="{reply_sent:sent}",
                            ticket_latest_public_comment="<p>More</p>"), {}, ("11", "More")),
    ("intercom", intercom("conversation.user.created", id=5,
                          source={"body": "<p>Hallo</p>", "subject": "<p>S</p>"}), {},
     ("5", "Hallo")),
    ("intercom", intercom("conversation.user.created", id="5",
                          conversation_message={"id": 1, "body": "Hallo"}), {}, ("5", "Hallo")),
    ("intercom", intercom("conversation.user.replied", id="5", source={"body": "First"},
                          conversation_parts={"conversation_parts": [part("<p>More</p>")]}), {},
     ("5", "More")),
    ("intercom", intercom("conversation.user.replied", id="5",
                          conversation_parts=[part("Old"), part("More")]), {}, ("5", "More")),
    ("jira", jira(), {}, ("SUP-7", "First")),
    ("jira", jira(description={"type": "doc", "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": "First"}]},
        {"type": "bulletList", "content": [{"type": "listItem", "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": "More"}]}]}]}]}), {},
     ("SUP-7", "First\nMore")),
    ("jira", jira(attachment=[{"filename": "log.txt"}]), {}, ("SUP-7", "First\n\n[log.txt]")),
    ("jira", jira("comment_created", {"body": "More", "author": {"accountId": "c1"}}), {},
     ("SUP-7", "More")),
    ("jira", jira("comment_created", {"body": "More", "author": {"accountType": "customer"}}), {},
     ("SUP-7", "More")),
    ("jira", jira("comment_created", {"body": "More", "author": {"name": "ana"}},
                  reporter={"name": "ana"}), {}, ("SUP-7", "More")),
    ("helpscout", convo(thread()), CREATED, ("77", "More")),
    ("helpscout", convo(preview="Hallo"), CREATED, ("77", "Hallo")),
    ("helpscout", convo(thread(body="New", at="2026-11-23T11:00:00Z"), thread(body="Old")),
     REPLIED, ("77", "New")),
    ("helpscout", {"id": "77", "threads": [thread()]}, REPLIED, ("77", "More")),
    ("freescout", convo(thread(), customer={"email": "ana@example.org"}), CREATED, ("77", "More")),
    ("freescout", convo(thread(_embedded={"attachments": [{"fileName": "a.pdf"}]})), REPLIED,
     ("77", "More\n\n[a.pdf]")),
    ("front", front(), {}, ("cnv_1", "Hallo")),
    ("front", front(body=None, text="Hallo"), {}, ("cnv_1", "Hallo")),
    ("front", front(attachments=[{"filename": "a.pdf"}]), {}, ("cnv_1", "Hallo\n\n[a.pdf]")),
    ("gitlab", gitlab(), {}, ("5/23", "Hallo")),
    ("gitlab", gitlab("note"), {}, ("5/23", "More")),
    ("glpi", glpi(), {}, ("4", "Hallo")),
    ("glpi", glpi(id=9, items_id=4, user={"id": 1}, requester={"id": "1"}), {}, ("4", "Hallo")),
    ("generic", {"id": 4, "body": "Hallo"}, {}, ("4", "Hallo")),
]  # fmt: skip
IGNORED: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
    ("zendesk", zendesk("comment_added", {"id": 1, "body": "N", "is_public": False}), {},
     "an internal note"),
    ("zendesk", zendesk("comment_added", {"id": 1, "body": "Hi", "is_public": True,
                                          "author": {"is_staff": True}}), {}, "an agent's reply"),
    ("zendesk", zendesk("tags_changed"), {}, "not a message: zen:event-type:ticket.tags_changed"),
    ("zammad", zammad(internal=True), {}, "an internal note"),
    ("zammad", zammad(sender="Agent"), {}, "a message by Agent"),
    ("zammad", zammad(), {}, "not a message: an update of the ticket"),
    ("chatwoot", chatwoot(private=True), {}, "an internal note"),
    ("chatwoot", chatwoot(message_type="outgoing"), {}, "an agent's reply"),
    ("chatwoot", chatwoot(message_type="template"), {}, "an agent's reply"),
    ("chatwoot", {"event": "conversation_updated", "id": 8, "labels": ["a"]}, {},
     "not a message: conversation_updated"),
    ("freshdesk", freshdesk(triggered_event="{note_type:private}"), {}, "an internal note"),
    ("freshdesk", freshdesk(triggered_event="{tag_add:vip}"), {}, "not a message: {tag_add:vip}"),
    ("freshdesk", freshdesk(ticket_description=None), {}, "not a message: it has no text"),
    ("intercom", intercom("ping", type="ping"), {}, "not a message: ping"),
    ("intercom", intercom("conversation.admin.replied", id="5"), {},
     "not a message: conversation.admin.replied"),
    ("intercom", intercom("conversation.user.replied", id="5",
                          conversation_parts=[part("N", kind="note")]), {}, "an internal note"),
    ("intercom", intercom("conversation.user.replied", id="5",
                          conversation_parts=[part("Hi", author="admin")]), {},
     "an agent's reply"),
    ("jira", jira("jira:issue_updated"), {}, "not a message: jira:issue_updated"),
    ("jira", jira("comment_created", {"body": "N", "jsdPublic": False}), {}, "an internal note"),
    ("jira", jira("comment_created", {"body": "Hi", "author": {"accountId": "a1"}}), {},
     "an agent's reply"),
    ("jira", jira("comment_created", {"body": "Hi", "author": {}}, reporter={}), {},
     "an agent's reply"),
    ("helpscout", convo(thread()), {"x-helpscout-event": "convo.tags"},
     "not a message: convo.tags"),
    ("helpscout", convo(thread("note")), REPLIED, "an internal note"),
    ("helpscout", convo(thread("message")), CREATED, "an agent's reply"),
    ("freescout", convo(thread()), {"x-freescout-event": "convo.assigned"},
     "not a message: convo.assigned"),
    ("freescout", convo(thread("note")), REPLIED, "an internal note"),
    ("front", front("outbound", is_inbound=False), {}, "not a message: outbound"),
    ("front", front(is_inbound=False), {}, "an agent's reply"),
    ("front", front("tag"), {}, "not a message: tag"),
    ("gitlab", gitlab(action="update"), {}, "not a message: issue update"),
    ("gitlab", gitlab("note", internal=True), {}, "an internal note"),
    ("gitlab", gitlab("note", confidential=True), {}, "an internal note"),
    ("gitlab", gitlab("note", system=True), {}, "an internal note"),
    ("gitlab", gitlab("note", author_id=99), {}, "an agent's reply"),
    ("gitlab", gitlab("note", noteable_type="MergeRequest"), {}, "not a message: note"),
    ("glpi", glpi("update"), {}, "not a message: update"),
    ("glpi", glpi(items_id=4, is_private=True), {}, "an internal note"),
    ("glpi", glpi(items_id=4, user={"id": 9}, requester={"id": 1}), {}, "an agent's reply"),
    ("generic", {"id": 4, "body": "x", "subject": "Automatic reply: order"}, {},
     "an automatic reply"),
    ("generic", {"id": 4, "body": "x", "requester": "MAILER-DAEMON@example.org"}, {},
     "a machine's mail"),
]  # fmt: skip
UNUSABLE: list[tuple[str, Any, str]] = [
    ("zendesk", zendesk("created", id=None), "detail.id"),
    ("zammad", {"ticket": {"id": ""}}, "ticket.id"),
    ("chatwoot", {"event": "message_created"}, "id"),
    ("freshdesk", {"freshdesk_webhook": {}}, "ticket_id"),
    ("intercom", {"topic": "conversation.user.created", "data": {}}, "data.item"),
    ("intercom", intercom("conversation.user.created"), "external_id"),
    ("jira", {"webhookEvent": "jira:issue_created"}, "issue"),
    ("helpscout", {"subject": "S"}, "id"),
    ("freescout", {"id": {}}, "id"),
    ("front", {"type": "inbound"}, "conversation"),
    ("gitlab", {"object_kind": "issue"}, "object_attributes"),
    ("glpi", {"event": "new"}, "item"),
    ("generic", {"id": 4}, "body"),
    ("generic", {"id": " ", "body": "Hallo"}, "external_id"),
]


def names(rows: list[Any]) -> list[str]:
    return [f"{row[0]} {number}" for number, row in enumerate(rows)]


@pytest.mark.parametrize(("name", "payload", "headers", "expected"), MESSAGES, ids=names(MESSAGES))
def test_a_customers_message_is_read_in_every_variant(
    name: str, payload: Any, headers: dict[str, str], expected: tuple[str, str]
) -> None:
    found = read(name, payload, **headers)

    assert (found.external_id, found.body) == expected
    assert found.ignore_reason is None


@pytest.mark.parametrize(("name", "payload", "headers", "reason"), IGNORED, ids=names(IGNORED))
def test_what_is_no_customers_message_is_ignored_and_says_why(
    name: str, payload: Any, headers: dict[str, str], reason: str
) -> None:
    assert read(name, payload, **headers).ignore_reason == reason


@pytest.mark.parametrize(("name", "payload", "field"), UNUSABLE, ids=names(UNUSABLE))
def test_what_lacks_something_is_refused_and_the_field_is_named(
    name: str, payload: Any, field: str
) -> None:
    with pytest.raises(UnusableBody, match=rf"^{field}: "):
        read(name, payload)


def test_every_helpdesk_stands_in_each_table() -> None:
    for table in (MESSAGES, UNUSABLE):
        assert {row[0] for row in table} == set(HELPDESKS)  # type: ignore[index]
    assert {row[0] for row in IGNORED} == set(HELPDESKS)


def test_a_followup_in_another_conversation_is_another_delivery() -> None:
    one = read("helpscout", convo(thread()), **REPLIED)
    other = read("helpscout", convo(thread(), id=78), **REPLIED)
    later = read("helpscout", convo(thread(), userUpdatedAt="2026-11-24T10:00:00Z"), **REPLIED)

    assert len({one.delivery_key, other.delivery_key, later.delivery_key}) == 3


def mac(algorithm: str, key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, getattr(hashlib, algorithm)).digest()


BODY, KEY = b'{"a":1}', b"a secret"
SECONDS = str(int(NOW.timestamp()))
SIGNED: list[tuple[str, dict[str, str]]] = [
    ("zammad", {"x-hub-signature": "sha1=" + mac("sha1", KEY, BODY).hex()}),
    ("chatwoot", {"x-chatwoot-timestamp": SECONDS, "x-chatwoot-signature": "sha256="
                  + mac("sha256", KEY, SECONDS.encode() + b"." + BODY).hex()}),
    ("intercom", {"x-hub-signature": "sha1=" + mac("sha1", KEY, BODY).hex()}),
    ("jira", {"x-hub-signature": "sha256=" + mac("sha256", KEY, BODY).hex()}),
    ("helpscout", {"x-helpscout-signature": base64.b64encode(mac("sha1", KEY, BODY)).decode()}),
    ("front", {"x-front-request-timestamp": SECONDS + "123", "x-front-signature": base64.b64encode(
        mac("sha256", KEY, SECONDS.encode() + b"123:" + BODY)).decode()}),
    ("freshdesk", {"x-triage-secret": "a secret"}),
    ("freshdesk", {"authorization": "Basic " + base64.b64encode(b"any:a secret").decode()}),
    ("gitlab", {"x-gitlab-token": "a secret"}),
    ("freescout", {"x-freescout-signature": base64.b64encode(mac(
        "sha1", hashlib.md5(b"a secretwebhook_key").hexdigest().encode(), BODY)).decode()}),
    ("glpi", {"x-glpi-timestamp": "1", "x-glpi-signature": mac("sha256", KEY, BODY + b"1").hex()}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "headers"), SIGNED, ids=names(SIGNED))
def test_a_signature_made_by_hand_as_the_vendor_describes_is_accepted(
    name: str, headers: dict[str, str]
) -> None:
    webhook = Webhook(BODY, headers, received_at=NOW)

    HELPDESKS[name].verify(webhook, "a secret")
    with pytest.raises(BadSignature):
        HELPDESKS[name].verify(webhook, "another secret")


def test_a_document_nested_a_hundred_thousand_deep_is_read_without_a_fault() -> None:
    node: dict[str, Any] = {"type": "paragraph", "content": [{"type": "text", "text": "deep"}]}
    for _ in range(100_000):
        node = {"type": "bulletList", "content": [node]}

    assert in_document(node) == "deep"


@pytest.mark.parametrize("name", ["helpscout", "freescout"])
@pytest.mark.parametrize("beside", ["lineitem", "note", "message"])
def test_what_stands_beside_a_customers_message_does_not_hide_it(name: str, beside: str) -> None:
    later = thread(beside, "<p>A workflow</p>", at="2026-11-23T10:00:01Z", id=22)

    ticket = read(name, convo(later, thread()), **REPLIED)

    assert (ticket.body, ticket.ignore_reason) == ("More", None)


@pytest.mark.parametrize(
    ("name", "payload", "requester"),
    [
        ("gitlab", gitlab() | {"user": {"email": "[REDACTED]", "username": "ana"}}, "ana"),
        ("gitlab", gitlab() | {"user": {"email": "a@b.de", "username": "ana"}}, "a@b.de"),
        ("chatwoot", chatwoot(sender={"id": 7, "phone_number": "+4930123"}), "+4930123"),
        ("chatwoot", chatwoot(sender={"id": 7}), "7"),
        ("zammad", {"ticket": {"id": 7, "customer": "ana@example.org"}}, "ana@example.org"),
        ("zammad", {"ticket": {"id": 7, "customer": {"email": "a@b.de"}}}, "a@b.de"),
    ],
)
def test_whoever_wrote_it_has_a_name_by_which_they_can_be_erased(
    name: str, payload: dict[str, Any], requester: str
) -> None:
    assert read(name, payload).requester == requester
