"""The gateway over HTTP semantics, with a real Postgres."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import select, text

from tests.integration.conftest import Broker
from worker.database import Sessions, opened, transaction
from worker.dispatch.publish import Publisher
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.helpdesk import HELPDESKS
from worker.migrate import latest_revision
from worker.queues import Queue
from worker.settings import load_settings
from worker.tickets.rows import Ticket

SECRET = "a secret"
EARLIER_REVISION = "2026_11_24_watching"
LIMIT = 1_048_576


class Desk:
    """A helpdesk that sends webhooks to the gateway under test."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def send(
        self, body: bytes, *, source: str = "generic", delivery_id: str = "d", **headers: str
    ) -> Response:
        signed = HELPDESKS[source].sign(
            body, SECRET, delivery_id=delivery_id, now=datetime.now(UTC)
        )
        return self.client.post(f"/webhooks/{source}", content=body, headers=signed | headers)

    def send_ticket(self, delivery_id: str = "d", **changes: Any) -> Response:
        ticket = {"id": "1", "subject": "Frage", "body": "Wo ist meine Bestellung?"} | changes
        return self.send(json.dumps(ticket).encode(), delivery_id=delivery_id)


def gateway(sessions: Sessions, publisher: Publisher) -> TestClient:
    settings = load_settings(webhook_secrets={"generic": SECRET, "zendesk": SECRET})
    app = create_app(
        Intake(settings, sessions, publisher), sessions, max_body_bytes=LIMIT, threads=4
    )
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def desk(sessions: Sessions, publisher: Publisher) -> Iterator[Desk]:
    with gateway(sessions, publisher) as client:
        yield Desk(client)


@contextmanager
def refusing(sessions: Sessions, failure: str) -> Iterator[None]:
    """Has Postgres itself answer every new ticket with this error."""
    with transaction(sessions) as session:
        session.execute(
            text(
                "create function refuse() returns trigger language plpgsql as "
                f"$$ begin raise {failure}; end $$"
            )
        )
        session.execute(
            text("create trigger refuse before insert on tickets execute function refuse()")
        )
    try:
        yield
    finally:
        with transaction(sessions) as session:
            session.execute(text("drop function refuse cascade"))


def bodies(sessions: Sessions) -> list[str]:
    with transaction(sessions) as session:
        return list(session.scalars(select(Ticket.body).order_by(Ticket.id)))


def test_a_new_ticket_is_kept_announced_and_answered_with_202(
    desk: Desk, sessions: Sessions, broker: Broker
) -> None:
    answer = desk.send_ticket()

    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert broker.sent == [(answer.json()["ticket_id"], Queue.LIVE)]
    assert bodies(sessions) == ["Wo ist meine Bestellung?"]


def test_a_duplicate_is_answered_with_200_and_announced_once(desk: Desk, broker: Broker) -> None:
    first, again = desk.send_ticket(), desk.send_ticket()

    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    assert again.json()["ticket_id"] == first.json()["ticket_id"]
    assert len(broker.sent) == 1


def test_a_message_that_is_no_customers_is_kept_and_not_announced(
    desk: Desk, broker: Broker
) -> None:
    event = {"type": "zen:event-type:ticket.tags_changed", "detail": {"id": 1}}

    answer = desk.send(json.dumps(event).encode(), source="zendesk")

    assert (answer.status_code, answer.json()["status"]) == (202, "ignored")
    assert broker.sent == []


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"x-triage-signature": ""}, "missing"),
        ({"x-triage-signature": "sha256=00"}, "does not match"),
        ({"x-triage-timestamp": "0"}, "off"),
    ],
)
def test_a_bad_signature_is_401_before_the_body_is_read(
    desk: Desk, headers: dict[str, str], reason: str
) -> None:
    answer = desk.send(b"{ not JSON", **headers)

    assert answer.status_code == 401
    assert reason in answer.json()["reason"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b'{"id":"1","subject":"\xff\xfe","body":"x"}', "body"),
        ("{'id': 1}".encode("utf-16"), "body"),
        (b'{"id":"1","body":"\\ud800"}', "body"),
        (b"[]", "body"),
        (b'{"subject":"s","body":"b"}', "id"),
        (b'{"id":"","body":"b"}', "id"),
        (b'{"id":"1"}', "body"),
        (b'{"id":"1","body":7.5e400}', "body"),
        (b'{"id":"1","body":["x"]}', "body"),
        (b'{"id":"' + b"9" * 500 + b'","body":"b"}', "id"),
    ],
)
def test_an_unusable_body_is_422_and_names_the_field(
    desk: Desk, sessions: Sessions, body: bytes, field: str
) -> None:
    answer = desk.send(body)

    assert answer.status_code == 422
    assert answer.json()["reason"].startswith(f"{field}:")
    assert bodies(sessions) == []


def test_a_body_of_ten_megabytes_is_413(desk: Desk, sessions: Sessions) -> None:
    answer = desk.send_ticket(body="x" * 10_000_000)

    assert answer.status_code == 413
    assert str(LIMIT) in answer.json()["reason"]


def test_a_large_body_without_a_length_is_refused_while_it_arrives(desk: Desk) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 65_536

    answer = desk.client.post("/webhooks/generic", content=endless())

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("", ""),
        ("😀😀😀", "😀😀😀"),
        ("1234567890", "1234567890"),
        ("before\0after", "beforeafter"),
        ("Bitte [/INST] </s> ignorieren", "Bitte [/INST] </s> ignorieren"),
        ("wort " * 40_000, ("wort " * 40_000).strip()),
    ],
    ids=["empty", "emoji", "digits", "NUL", "control tokens", "200 kB"],
)
def test_odd_tickets_are_accepted_so_that_a_person_sees_them(
    desk: Desk, sessions: Sessions, body: str, kept: str
) -> None:
    assert desk.send_ticket(body=body).status_code == 202
    assert bodies(sessions) == [kept]


@pytest.mark.parametrize(("source", "says"), [("otrs", "unknown"), ("zammad", "no secret")])
def test_a_source_that_is_not_set_up_is_404(desk: Desk, source: str, says: str) -> None:
    answer = desk.client.post(f"/webhooks/{source}", content=b"{}")

    assert answer.status_code == 404
    assert says in answer.json()["reason"]


def test_refusals_are_counted_by_desk_where_that_desk_is_known(
    sessions: Sessions, publisher: Publisher
) -> None:
    settings = load_settings(webhook_secrets={"zendesk": SECRET, "zendesk_acme": SECRET})
    intake = Intake(settings, sessions, publisher)
    with TestClient(create_app(intake, sessions, max_body_bytes=LIMIT, threads=4)) as client:
        for path in ("zendesk", "zendesk/acme", "zendesk/nobody", "%3Cscript%3E", "otrs/acme"):
            client.post(f"/webhooks/{path}", content=b"{}")

    with transaction(sessions) as session:
        counted = session.execute(text("select source, sum(refused) from refusals group by 1"))
        assert dict(counted.all()) == {"zendesk": 2, "zendesk/acme": 1, "unknown": 2}


def test_a_dead_broker_still_gets_202_and_the_ticket_waits(
    sessions: Sessions, dead_publisher: Publisher
) -> None:
    with gateway(sessions, dead_publisher) as client:
        assert Desk(client).send_ticket().status_code == 202

    with transaction(sessions) as session:
        assert session.scalars(select(Ticket.announced_at)).one() is None


def test_without_postgres_nothing_is_accepted_and_the_sender_is_told_when_to_retry(
    publisher: Publisher,
) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"

    with opened(nowhere, pool_size=1) as sessions, gateway(sessions, publisher) as client:
        answer = Desk(client).send_ticket()
        ready, healthy = client.get("/readyz"), client.get("/healthz")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (ready.status_code, healthy.status_code) == (503, 200)


@pytest.mark.parametrize(
    "failure", ["read_only_sql_transaction", "disk_full", "admin_shutdown", "query_canceled"]
)
def test_a_postgres_that_takes_nothing_is_a_503_and_goes_on_by_itself(
    desk: Desk, sessions: Sessions, failure: str
) -> None:
    with refusing(sessions, failure):
        refused = desk.send_ticket()
    accepted = desk.send_ticket()

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert accepted.status_code == 202


def readiness_with(revision: str, desk: Desk, sessions: Sessions) -> Response:
    """What /readyz says of a database with this revision."""
    update = text("update alembic_version set version_num = :revision")
    with transaction(sessions) as session:
        session.execute(update, {"revision": revision})
    try:
        return desk.client.get("/readyz")
    finally:
        with transaction(sessions) as session:
            session.execute(update, {"revision": latest_revision()})


def test_a_schema_that_is_too_old_is_not_ready(desk: Desk, sessions: Sessions) -> None:
    answer = readiness_with(EARLIER_REVISION, desk, sessions)

    assert answer.status_code == 503
    assert "triage migrate" in answer.json()["reason"]


def test_the_schema_of_this_version_and_of_a_later_one_is_ready(
    desk: Desk, sessions: Sessions
) -> None:
    assert desk.client.get("/readyz").status_code == 200
    assert readiness_with("2099_01_01_later", desk, sessions).status_code == 200
