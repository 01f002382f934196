"""Which messages are nudges of ours, and what is said of the others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from kombu import Message

from worker.dispatch.dead_letters import put_aside, shown, why_unusable

HEADERS = {"task": "triage.ticket", "id": "1"}


def message(body: Any, *, headers: Any = None, content_type: str = "application/json") -> Message:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(
        body=text,
        headers=HEADERS if headers is None else headers,
        content_type=content_type,
        content_encoding="utf-8" if content_type == "application/json" else "binary",
        accept={"application/json"},
    )


def nudge(**kwargs: Any) -> list[Any]:
    return [[], kwargs, {"callbacks": None}]


class Broker:
    """Takes what is published, or is away."""

    def __init__(self, *, is_away: bool) -> None:
        self.is_away, self.published = is_away, list[Any]()

    @contextmanager
    def producer_or_acquire(self) -> Iterator["Broker"]:
        yield self

    def publish(self, letter: Any, **_: Any) -> None:
        if self.is_away:
            raise ConnectionError("away")
        self.published.append(letter)


@pytest.mark.parametrize("is_away", [False, True])
def test_a_message_is_acknowledged_once_it_is_put_aside(
    monkeypatch: pytest.MonkeyPatch, *, is_away: bool
) -> None:
    broker, bad, acknowledged = Broker(is_away=is_away), message([]), list[bool]()
    monkeypatch.setattr(bad, "ack", lambda: acknowledged.append(bool(broker.published)))

    with suppress(ConnectionError):
        put_aside(broker, bad, "no nudge")

    assert acknowledged == ([] if is_away else [True])


def test_a_nudge_is_usable() -> None:
    assert why_unusable(message(nudge(version=1, ticket_id=42))) is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (message(nudge(version=2, ticket_id=42)), "version: Input should be 1"),
        (message(nudge(version=1)), "ticket_id: Field required"),
        (message(nudge(version=1, ticket_id=0)), "ticket_id: Input should be greater"),
        (message(nudge(version=1, ticket_id=1, text="hello")), "text: Extra inputs"),
        (message(b"{not json"), "cannot be decoded"),
        (message(b"\xff\xfe"), "cannot be decoded"),
        (message({"ticket_id": 42}), "has no keyword arguments"),
        (message([]), "has no keyword arguments"),
        (message(nudge(), headers={"task": "os.system"}), "not a triage.ticket message"),
        (message(b"hello", headers={}), "not a triage.ticket message"),
        (message(b"x", content_type="application/x-python-serialize"), "cannot be decoded"),
    ],
)
def test_anything_else_is_put_aside_with_a_reason(bad: Message, reason: str) -> None:
    assert (why_unusable(bad) or "").startswith(reason)


def test_what_is_kept_of_a_message_can_be_read() -> None:
    assert shown(b"caf\xe9") == "caf\\xe9"
    assert shown(memoryview(b"abc")) == "abc"
    assert json.loads(shown({"a": object})).keys() == {"a"}
