"""Every helpdesk keeps the same contract; each reads its own payloads."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.ticket import GenericTicket
from worker import helpdesk
from worker.errors import BadSignature, UnknownSource, UnusableBody
from worker.helpdesk import HELPDESKS, Webhook

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "a secret"
TICKET = GenericTicket(id="4711", subject="Rücksendung", body="Bitte <nehmen> Sie es\nzurück.")


def signed(name: str, payload: Any, *, secret: str = SECRET, at: datetime = NOW) -> Webhook:
    body = json.dumps(payload).encode()
    headers = HELPDESKS[name].sign(body, secret, delivery_id="delivery-1", now=at)
    return Webhook(body, headers, received_at=NOW)


@pytest.fixture(params=sorted(HELPDESKS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_a_helpdesk_signs_is_accepted_and_read_back(name: str) -> None:
    payload = HELPDESKS[name].compose(TICKET)
    webhook = signed(name, payload)

    HELPDESKS[name].verify(webhook, SECRET)
    read = HELPDESKS[name].read(payload, webhook)

    assert (read.source, read.external_id, read.delivery_key) == (name, "4711", "delivery-1")
    assert (read.subject, read.body) == (TICKET.subject, TICKET.body)
    assert read.ignore_reason is None


def test_another_secret_is_refused(name: str) -> None:
    with pytest.raises(BadSignature):
        HELPDESKS[name].verify(signed(name, {}, secret="another"), SECRET)


def test_a_changed_body_is_refused(name: str) -> None:
    webhook = signed(name, {"a": 1})

    with pytest.raises(BadSignature):
        HELPDESKS[name].verify(Webhook(b'{"a":2}', webhook.headers, NOW), SECRET)


def test_a_missing_signature_is_refused_and_named(name: str) -> None:
    with pytest.raises(BadSignature, match="missing"):
        HELPDESKS[name].verify(Webhook(b"{}", {}, NOW), SECRET)


@pytest.mark.parametrize("name", ["zendesk", "generic"])
@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_a_signature_too_old_or_from_the_future_is_refused(name: str, off: timedelta) -> None:
    with pytest.raises(BadSignature, match="360 s off"):
        HELPDESKS[name].verify(signed(name, {}, at=NOW + off), SECRET)


@pytest.mark.parametrize("timestamp", ["yesterday", "9" * 40, "", "²"])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    headers = {"x-triage-timestamp": timestamp, "x-triage-signature": "sha256=00"}

    with pytest.raises(BadSignature):
        HELPDESKS["generic"].verify(Webhook(b"{}", headers, NOW), SECRET)


@pytest.mark.parametrize("payload", [None, [], "text", 7, {}, {"id": None}, {"ticket": []}])
def test_a_payload_of_another_shape_is_unusable(name: str, payload: Any) -> None:
    with pytest.raises(UnusableBody):
        HELPDESKS[name].read(payload, signed(name, payload))


def test_an_unknown_helpdesk_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownSource, match="zendesk, zammad, generic"):
        helpdesk.by_name("otrs")


def test_zendesk_signs_timestamp_then_body() -> None:
    headers = HELPDESKS["zendesk"].sign(b"{}", SECRET, delivery_id="d", now=NOW)

    # printf '2026-11-23T12:00:00Z{}' | openssl dgst -sha256 -hmac 'a secret' -binary | base64
    expected = "WlO5/BgdD0RCB/U3Av5TAxNXlAtK5n832My33aKezDk="
    assert headers["x-zendesk-webhook-signature"] == expected


def zendesk(kind: str, comment: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": f"zen:event-type:ticket.{kind}",
        "detail": {"id": 5158, "subject": "S", "description": "First"},
        "event": {"comment": comment} if comment else {},
    }


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (zendesk("created"), None),
        (
            zendesk("comment_added", {"id": 1, "body": "More", "is_public": True}),
            None,
        ),
        (
            zendesk("comment_added", {"id": 1, "body": "Note", "is_public": False}),
            "an internal note",
        ),
        (
            zendesk(
                "comment_added",
                {"id": 1, "body": "Hi", "is_public": True, "author": {"is_staff": True}},
            ),
            "an agent's reply",
        ),
        (zendesk("tags_changed"), "not a message: zen:event-type:ticket.tags_changed"),
    ],
)
def test_zendesk_events_that_are_no_customers_message_are_ignored(
    payload: dict[str, Any], reason: str | None
) -> None:
    read = HELPDESKS["zendesk"].read(payload, signed("zendesk", payload))

    assert read.ignore_reason == reason
    assert read.external_id == "5158"


def zammad(**article: Any) -> dict[str, Any]:
    full = {"id": 9, "body": "<p>Hallo</p>", "content_type": "text/html", "sender": "Customer"}
    return {"ticket": {"id": 7, "title": "T"}, "article": full | article if article else None}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (zammad(internal=False), None),
        (zammad(internal=True), "an internal note"),
        (zammad(sender="Agent"), "a message by Agent"),
        (zammad(), "not a message: an update of the ticket"),
    ],
)
def test_zammad_deliveries_that_are_no_customers_message_are_ignored(
    payload: dict[str, Any], reason: str | None
) -> None:
    read = HELPDESKS["zammad"].read(payload, signed("zammad", payload))

    assert read.ignore_reason == reason


def test_the_same_message_edited_is_other_content_and_repeated_is_the_same() -> None:
    generic = HELPDESKS["generic"]
    first, repeat, edit = (
        generic.read(payload, signed("generic", payload))
        for payload in (
            {"id": "1", "body": "Hello"},
            {"id": "1", "body": "Hello", "more": True},
            {"id": "1", "body": "Hello!"},
        )
    )

    assert first.content_key == repeat.content_key != edit.content_key
