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

    again = HELPDESKS[name].read(payload, webhook)
    assert read.source == name
    assert read.external_id.rpartition("/")[2] == "4711"
    assert read.delivery_key == again.delivery_key
    assert read.delivery_key == "delivery-1" or name in WITHOUT_DELIVERY_HEADER
    assert (read.subject, read.body) == (TICKET.subject, TICKET.body)
    assert read.ignore_reason is None


WITHOUT_DELIVERY_HEADER = {"freshdesk", "intercom", "helpscout", "front", "freescout", "glpi"}
"""Their deliveries are told apart by what stands in the body."""
UNSIGNED = {"freshdesk", "gitlab"}
"""They send the secret itself."""
TIMED = {"zendesk", "chatwoot", "front", "generic"}
"""Their signatures are refused when they are old; the others sign no time that says so."""


def test_another_secret_is_refused(name: str) -> None:
    with pytest.raises(BadSignature):
        HELPDESKS[name].verify(signed(name, {}, secret="another"), SECRET)


@pytest.mark.parametrize("name", sorted(HELPDESKS.keys() - UNSIGNED))
def test_a_changed_body_is_refused(name: str) -> None:
    webhook = signed(name, {"a": 1})

    with pytest.raises(BadSignature):
        HELPDESKS[name].verify(Webhook(b'{"a":2}', webhook.headers, NOW), SECRET)


def test_a_missing_signature_is_refused_and_named(name: str) -> None:
    with pytest.raises(BadSignature, match="missing"):
        HELPDESKS[name].verify(Webhook(b"{}", {}, NOW), SECRET)


@pytest.mark.parametrize("name", sorted(TIMED))
@pytest.mark.parametrize("off", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_a_signature_too_old_or_from_the_future_is_refused(name: str, off: timedelta) -> None:
    with pytest.raises(BadSignature, match="360 s off"):
        HELPDESKS[name].verify(signed(name, {}, at=NOW + off), SECRET)


@pytest.mark.parametrize("name", sorted(HELPDESKS.keys() - TIMED))
def test_an_honest_retry_hours_later_is_accepted_where_no_time_is_signed(name: str) -> None:
    HELPDESKS[name].verify(signed(name, {}, at=NOW - timedelta(hours=3)), SECRET)


@pytest.mark.parametrize("timestamp", ["yesterday", "9" * 40, "", "²"])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    headers = {"x-triage-timestamp": timestamp, "x-triage-signature": "sha256=00"}

    with pytest.raises(BadSignature):
        HELPDESKS["generic"].verify(Webhook(b"{}", headers, NOW), SECRET)


@pytest.mark.parametrize("payload", [None, [], "text", 7, {}, {"id": None}, {"ticket": []}])
def test_a_payload_of_another_shape_is_unusable(name: str, payload: Any) -> None:
    with pytest.raises(UnusableBody):
        HELPDESKS[name].read(payload, signed(name, payload))


def test_a_zero_in_an_id_is_left_out(name: str) -> None:
    payload = HELPDESKS[name].compose(TICKET.model_copy(update={"id": "47\x0011"}))

    read = HELPDESKS[name].read(payload, signed(name, payload))

    assert read.external_id.rpartition("/")[2] == "4711"
    assert "\0" not in read.delivery_key + read.message_id


def test_an_unknown_helpdesk_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownSource, match="zendesk, zammad, chatwoot"):
        helpdesk.by_name("otrs")


def test_zendesk_signs_timestamp_then_body() -> None:
    headers = HELPDESKS["zendesk"].sign(b"{}", SECRET, delivery_id="d", now=NOW)

    # printf '2026-11-23T12:00:00Z{}' | openssl dgst -sha256 -hmac 'a secret' -binary | base64
    expected = "WlO5/BgdD0RCB/U3Av5TAxNXlAtK5n832My33aKezDk="
    assert headers["x-zendesk-webhook-signature"] == expected


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


def test_a_message_is_the_same_though_its_ticket_was_renamed() -> None:
    generic = HELPDESKS["generic"]
    first, renamed, empty, other = (
        generic.read({"id": "1", **payload}, signed("generic", {"id": "1", **payload}))
        for payload in (
            {"subject": "Hilfe", "body": "Wo ist es?"},
            {"subject": "[Versand] 4711", "body": "Wo ist es?"},
            {"subject": "Hilfe", "body": ""},
            {"subject": "Hilfe!", "body": ""},
        )
    )

    assert first.content_key == renamed.content_key
    assert empty.content_key != other.content_key
