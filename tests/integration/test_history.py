"""The invented sixty days: every panel shows something, and the views hold together."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from schemas.taxonomy import load_taxonomy
from schemas.ticket import IncomingTicket
from tests.integration.test_grafana import PANELS, expanded
from worker import database
from worker.cli.history import fill
from worker.database import Sessions, transaction
from worker.queues import Queue
from worker.tickets import store

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def history(engine: Engine) -> Sessions:
    from tests.integration.conftest import empty  # noqa: PLC0415

    sessions = database.sessions(engine)
    empty(sessions)
    waiting = IncomingTicket(source="generic", external_id="1", delivery_key="1", event="ticket",
                             subject="", body="Wo ist meine Bestellung?")  # fmt: skip
    fill(sessions, load_taxonomy(), profile="demo", now=NOW)
    with transaction(sessions) as session:
        store.worker_is_here(session, "w", profile="demo", queues=["triage.live"], in_flight=16)
        store.receive(session, waiting, Queue.LIVE)
    return sessions


def asked(sessions: Sessions, query: str) -> list[dict[str, Any]]:
    with transaction(sessions) as session:
        rows = session.execute(text(query.replace(":", r"\:")))
        return [dict(row._mapping) for row in rows]


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_shows_something(history: Sessions, panel: dict[str, Any]) -> None:
    [target] = panel["targets"]

    rows = asked(history, expanded(target["rawSql"]))

    assert rows
    assert any(value is not None for row in rows for value in row.values())


def test_there_are_sixty_days_with_weekends_and_an_outage(history: Sessions) -> None:
    days = asked(
        history,
        "select date_trunc('day', hour) as day, sum(received) as received from ops_flow_v2 "
        "where hour < '2026-11-21' group by day having sum(received) > 0 order by day",
    )
    on = {row["day"].date(): row["received"] for row in days}

    assert len(days) == 61
    assert max(on.values()) > 2 * sorted(on.values())[len(on) // 2]
    assert all(count < 40 for day, count in on.items() if day.weekday() >= 5)


def test_what_was_invented_holds_together(history: Sessions) -> None:
    [row] = asked(
        history,
        "select count(*) filter (where state = 'triaging') as held, "
        "count(*) filter (where state = 'replied' and reply_id is null) as without_reply, "
        "count(*) filter (where received_at > '2026-11-20 15:30+00') as of_the_future "
        "from tickets where external_id like 'history-%'",
    )

    assert row == {"held": 0, "without_reply": 0, "of_the_future": 0}
