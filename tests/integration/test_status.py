"""`triage status` and `triage doctor`: healthy or not, and what to do."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import text
from typer.testing import Result

from worker.database import Sessions, transaction
from worker.queues import Queue
from worker.tickets import store

Triage = Callable[..., Result]
Receive = Callable[..., int]


@pytest.fixture
def healthy(sessions: Sessions, replied: int) -> Sessions:
    with transaction(sessions) as session:
        store.worker_is_here(
            session, "w", profile="nemo", queues=[Queue.LIVE, Queue.BULK], in_flight=16
        )
    return sessions


def test_a_service_that_works_is_healthy(triage: Triage, healthy: Sessions) -> None:
    told = triage("status")
    found = json.loads(triage("status", "--json").stdout)

    assert (told.exit_code, told.stdout.splitlines()[0]) == (0, "Healthy.")
    assert found["problems"] == []
    assert found["last_24h"] == [
        {"source": "generic", "received": 1, "replied": 1, "needs_human": 0, "in_flight": 0,
         "dead": 0}
    ]  # fmt: skip
    assert found["workers"][0]["queues"] == ["triage.live", "triage.bulk"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("update workers set seen_at = now() - interval '2 minutes'", "no worker takes tickets"),
        ("update tickets set state = 'received', not_before = now() - interval '10 minutes'",
         "has waited 600 s"),
        ("update tickets set state = 'received', queue = 'triage.long'",
         "nobody serves triage.long"),
        ("update deliveries set received_at = now() - interval '2 days'",
         "generic has sent nothing for 48 h"),
        ("update tickets set state = 'needs_human'; update attempts set outcome = 'lost'",
         "1 tickets are dead"),
        ("update tickets set received_at = now() - interval '3 days', state = 'needs_human'; "
         "update attempts set outcome = 'crashed'", "1 tickets are dead"),
        ("update tickets set state = 'triaging', claimed_by = 'gone', "
         "claimed_until = now() - interval '11 minutes'",
         "1 tickets of triage.live are held by workers that are gone"),
        ("insert into writebacks (ticket_id, reply_id, source, state, created_at) "
         "select ticket_id, id, 'zendesk', 'waiting', now() - interval '4 hours' from replies",
         "1 replies wait to be written back to zendesk"),
    ],
)  # fmt: skip
def test_what_needs_attention_is_said_and_the_exit_code_tells(
    triage: Triage, healthy: Sessions, change: str, problem: str
) -> None:
    with transaction(healthy) as session:
        for statement in change.split("; "):
            session.execute(text(statement))

    told = triage("status")

    assert told.exit_code == 4
    assert problem in " ".join(told.stdout.split())


def test_the_doctor_finds_nothing_where_all_is_well(triage: Triage, healthy: Sessions) -> None:
    told = triage("doctor")

    assert told.exit_code == 0, told.output
    assert "✗" not in told.stdout
    for what in ("settings", "database", "schema", "clock", "broker", "engine", "taxonomy", "disk"):
        assert f"✓ {what}: " in told.stdout


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("TRIAGE_LEASE_S", "0", "settings: TRIAGE_LEASE_S"),
        ("TRIAGE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none", "database: "),
        ("TRIAGE_BROKER_URL", "redis://127.0.0.1:1/0", "broker: "),
        ("TRIAGE_PROFILE", "no-such", "engine: TRIAGE_PROFILE"),
        ("TRIAGE_TAXONOMY", "nowhere.toml", "taxonomy: TRIAGE_TAXONOMY"),
        ("TRIAGE_DESKS", "nowhere.toml", "helpdesks: TRIAGE_DESKS"),
        (
            "TRIAGE_HELPDESKS__ZENDESK",
            '{"url": "https://x.example", "token": "t"}',
            "helpdesks: TRIAGE_HELPDESKS__ZENDESK__USER is missing",
        ),
    ],
)
def test_the_doctor_names_what_is_not_well_and_goes_on(
    triage: Triage, healthy: Sessions, monkeypatch: pytest.MonkeyPatch, *,
    variable: str, value: str, line: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, value)

    told = triage("doctor")

    assert told.exit_code == 1
    assert f"✗ {line}" in told.stdout
    assert told.stdout.count("✗") == 1


def test_a_schema_that_is_behind_is_told(triage: Triage, healthy: Sessions) -> None:
    with transaction(healthy) as session:
        now = session.scalar(text("select version_num from alembic_version"))
        session.execute(text("update alembic_version set version_num = '2026_11_24_watching'"))
    told = triage("doctor")
    with transaction(healthy) as session:
        session.execute(text("update alembic_version set version_num = :now"), {"now": now})

    assert "run `triage migrate`" in told.stdout
