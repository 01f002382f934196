"""The webhook endpoint under Hypothesis: nothing breaks it, nothing unproven gets in.

`python -m bench fuzz` does the same a hundred thousand times, against a gateway that listens.
"""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings

from tests.fuzzing import SECRETS, Sent, requests
from worker.database import Sessions
from worker.dispatch.publish import Publisher
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.settings import load_settings


@pytest.fixture
def client(sessions: Sessions, publisher: Publisher) -> Iterator[TestClient]:
    intake = Intake(load_settings(webhook_secrets=SECRETS), sessions, publisher)
    with TestClient(create_app(intake, sessions, max_body_bytes=10_000, threads=2)) as client:
        yield client


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=requests())
def test_whatever_is_sent_is_answered_and_only_what_is_proven_gets_in(
    client: TestClient, sent: Sent
) -> None:
    answer = client.post(sent.path, content=sent.body, headers=sent.headers)

    assert answer.status_code < 500
    assert sent.is_signed or answer.status_code not in {200, 202}
    assert set(answer.json()) in ({"status", "reason"}, {"status", "ticket_id"})
