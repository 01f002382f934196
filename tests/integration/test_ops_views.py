"""The views for dashboards, on rows that are known; the role that reads them and nothing else."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from tests.worked_examples import PAGE, asker, fill, worked
from worker.database import Sessions, transaction
from worker.tickets import store
from worker.tickets.rows import Row


@pytest.fixture
def known(sessions: Sessions) -> Sessions:
    fill(sessions)
    return sessions


def rows(sessions: Sessions, query: str) -> list[tuple[Any, ...]]:
    with transaction(sessions) as session:
        return [tuple(row) for row in session.execute(text(query))]


EXPECTED: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "flow": (
        "select to_char(hour, 'HH24'), source, received, duplicates, refused, ignored, in_flight, "
        "replied, needs_human, dead from ops_flow_v2 where hour < '2026-04-01' "
        "order by hour, source",
        [("10", "zendesk", 3, 2, 4, 1, 0, 2, 0, 0), ("11", "zammad", 2, 0, 0, 0, 0, 0, 2, 1),
         ("11", "zendesk", 0, 0, 1, 0, 0, 0, 0, 0)],
    ),
    "the flow of tickets": (
        "select to_char(hour, 'HH24'), source, received, ignored, in_flight, replied, needs_human, "
        "dead from ops_flow_v1 where hour < '2026-04-01' order by hour, source",
        [("10", "zendesk", 3, 1, 0, 2, 0, 0), ("11", "zammad", 2, 0, 0, 0, 2, 1)],
    ),
    "refused": (
        "select to_char(hour, 'HH24'), source, kind, refused from ops_refused_v1 "
        "order by hour, kind",
        [("10", "zendesk", "bad signature", 3), ("10", "zendesk", "unusable body", 1),
         ("11", "zendesk", "bad signature", 1)],
    ),
    "what waits": ("select source, in_flight from ops_flow_v2 where hour > '2026-04-01'",
                   [("generic", 1)]),
    "deliveries": (
        "select to_char(hour, 'HH24'), source, deliveries, duplicates from ops_deliveries_v1 "
        "where hour < '2026-04-01' order by hour, source",
        [("10", "zendesk", 3, 2), ("11", "zammad", 2, 0)],
    ),
    "sources": (
        "select source, to_char(last_event_at, 'HH24:MI'), silent_s > 86400 from ops_sources_v1 "
        "where source <> 'generic' order by source",
        [("zammad", "11:40", True), ("zendesk", "10:50", True)],
    ),
    "dead": (
        "select source, tickets, to_char(last_at, 'HH24:MI') from ops_dead_v1",
        [("zammad", 1, "11:41")],
    ),
    "replies that wait": (
        "select source, replies, oldest_s > 86400 from ops_unwritten_v1",
        [("zammad", 1, True)],
    ),
    "backlog": ("select queue, waiting, in_work, round(oldest_s) from ops_backlog_v1",
                [("triage.live", 1, 0, 60)]),
    "time to triage": (
        "select to_char(hour, 'HH24'), language, priority, tickets, p50_s::float, p95_s::float "
        "from ops_time_to_triage_v1 order by hour, priority",
        [("10", "de", "high", 2, 15.0, 19.5), ("11", "ja", "low", 1, 30.0, 30.0),
         ("11", None, None, 1, 60.0, 60.0)],
    ),
    "dispositions": (
        "select language, category, tickets, auto, suggest, human from ops_dispositions_v1 "
        "order by language, category",
        [("de", "billing", 1, 1, 0, 0), ("de", "returns", 1, 0, 1, 0),
         ("ja", "returns", 1, 0, 0, 1), (None, None, 1, 0, 0, 1)],
    ),
    "corrections": ("select field, language, category, corrected from ops_corrections_v1",
                    [("category", "de", "returns", 1)]),
    "confusion": (
        "select field, model, person, tickets from ops_confusion_v1 order by field",
        [("category", "returns", "billing", 1), ("priority", "high", "high", 1),
         ("sentiment", "negative", "negative", 1), ("type", "problem", "problem", 1)],
    ),
    "calibration": (
        "select field, bucket, labels, confidence, share_right from ops_calibration_v1 "
        "where field in ('category', 'type') order by field",
        [("category", 0.7, 1, 0.72, 0.0), ("type", 0.9, 1, 0.95, 1.0)],
    ),
    "checks": ("select check_name, language, prompt_version, failed from ops_checks_v1",
               [("no_placeholder", "ja", "triage-2", 1)]),
    "versions": (
        "select prompt_version, tickets, needs_human, auto, corrected, cut_off, output_tokens, "
        "engine_s from ops_versions_v1 where profile = 'nemo' order by prompt_version",
        [("triage-1", 2, 0, 1, 1, 0, 120.0, 4.5), ("triage-2", 1, 1, 0, 0, 0, 120.0, 9.0)],
    ),
    "teams": (
        "select to_char(hour, 'HH24'), team, category, language, tickets, human from ops_teams_v1 "
        "order by hour, team",
        [("10", "finance", "billing", "de", 2, 0), ("11", None, "returns", "ja", 1, 1)],
    ),
    "backlog, by its indexes": (
        "select queue, waiting, in_work, round(oldest_s) from ops_backlog_v2",
        [("triage.live", 1, 0, 60)],
    ),
    "confusion by hour": (
        "select field, model, person, tickets from ops_confusion_v2 "
        "where hour > now() - interval '2 hours' order by field",
        [("category", "returns", "billing", 1), ("priority", "high", "high", 1),
         ("sentiment", "negative", "negative", 1), ("type", "problem", "problem", 1)],
    ),
    "calibration by hour": (
        "select field, bucket, labels, stated, right_ones from ops_calibration_v2 "
        "where field in ('category', 'type') order by field",
        [("category", 0.7, 1, 0.72, 0), ("type", 0.9, 1, 0.95, 1)],
    ),
    "checks by hour of the attempt": (
        "select to_char(hour, 'HH24'), check_name, language, prompt_version, failed "
        "from ops_checks_v2",
        [("11", "no_placeholder", "ja", "triage-2", 1)],
    ),
    "write-back": (
        "select to_char(hour, 'HH24'), source, done, skipped, failed, waiting, retries "
        "from ops_writebacks_v1 order by hour, source",
        [("10", "zendesk", 1, 1, 0, 0, 2), ("11", "zammad", 0, 0, 0, 1, 0)],
    ),
    "tokens": (
        "select to_char(hour, 'HH24'), profile, attempts, prompt_tokens, output_tokens, "
        "cached_share, running from ops_tokens_v1 order by hour",
        [("10", "nemo", 2, 1600, 240, 0.75, 0.0025), ("11", "nemo", 1, 800, 120, 0.75, 0.0025)],
    ),
    "worst": (
        "select ticket_id, kind, least_confidence from ops_worst_v1 order by ticket_id",
        [(2, "corrected", 0.72), (3, "check_failed", 0.95), (4, "engine_error", None)],
    ),
    "replays": (
        "select state, actor, tickets, done, recategorized, promoted from ops_replays_v1",
        [("done", "Ana", 1, 1, 1, 0)],
    ),
    "workers": (
        "select name, profile, queues, places, seen_s < 60 from ops_workers_v1",
        [("worker-1", "nemo", ["triage.live", "triage.bulk"], 16, True)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("view", EXPECTED)
def test_a_view_says_what_is_in_the_rows(known: Sessions, view: str) -> None:
    query, expected = EXPECTED[view]

    assert rows(known, query) == expected


def test_the_mix_of_a_day_stands_beside_the_same_weekdays_before(known: Sessions) -> None:
    with transaction(known) as session:
        session.execute(text("update tickets set received_at = '2026-02-23 09:00+00' where id = 1"))
        session.execute(text("update replies set category = 'returns'"))

    asked = "select to_char(day, 'MM-DD'), language, tickets, usual from {} where language = 'de' "
    expected = [("02-23", "de", 1, 0.0), ("03-02", "de", 1, 0.25)]

    assert rows(known, asked.format("ops_mix_v1") + "order by day") == expected
    with transaction(known) as session:
        count_days(session)
    assert rows(known, asked.format("ops_mix_v2") + "order by day") == expected


def count_days(session: Session) -> None:
    while store.count_day(session):
        pass


def test_days_are_counted_once_and_the_day_that_runs_is_counted_by_the_view(
    known: Sessions,
) -> None:
    counted = "select count(*), sum(tickets) from daily_mix"
    seen = "select count(*), sum(tickets) from ops_mix_v2"
    before = rows(known, seen)

    for _ in range(2):
        with transaction(known) as session:
            count_days(session)

    assert rows(known, counted) == [(4, 4)]
    with transaction(known) as session:
        session.execute(text("update tickets set state = 'replied' where id = 5"))
    [(kinds, tickets)] = rows(known, seen)
    assert before == [(4, 4)]
    assert (kinds, tickets) == (5, 5)


def test_leases_that_ran_out_are_told_those_that_run_are_not(known: Sessions) -> None:
    with transaction(known) as session:
        for change in (
            "update tickets set state = 'triaging', claimed_until = now() - interval '5 minutes' "
            "where id in (1, 2)",
            "update tickets set state = 'triaging', claimed_until = now() + interval '1 minute' "
            "where id = 3",
            "update reruns set state = 'triaging', claimed_until = now() - interval '2 minutes'",
        ):
            session.execute(text(change))

    assert rows(
        known, "select queue, expired, round(oldest_s / 60) from ops_leases_v1 order by queue"
    ) == [("triage.live", 2, 5), ("triage.replay", 1, 2)]


@pytest.fixture
def operator(known: Sessions, engine: Engine) -> Iterator[Any]:
    """A connection as the dashboards' role."""
    with engine.connect() as connection:
        connection.execute(text("set role triage_ops"))
        yield connection
        connection.rollback()
        connection.execute(text("reset role"))


def views(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        found = connection.execute(
            text("select viewname from pg_views where schemaname = 'public' order by viewname")
        )
        return list(found.scalars())


def test_the_role_reads_every_view(operator: Any, engine: Engine) -> None:
    for view in views(engine):
        operator.execute(text(f"select * from {view}"))


@pytest.mark.parametrize("table", [*Row.metadata.tables, "alembic_version"])
def test_the_role_reads_and_writes_no_table(operator: Any, table: str) -> None:
    for statement in (f"select from {table}", f"delete from {table}"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            operator.execute(text(statement))
        operator.rollback()
        operator.execute(text("set role triage_ops"))


def test_no_view_shows_what_customers_wrote(operator: Any, engine: Engine) -> None:
    for view in views(engine):
        found = operator.execute(
            text(f"select count(*) from {view} as v where v::text like '%secret%'")
        )
        assert found.scalar() == 0


def test_every_view_has_a_worked_example_whose_result_is_up_to_date(
    known: Sessions, engine: Engine
) -> None:
    page = PAGE.read_text()

    assert worked(page, asker(known)) == page, "run `make docs`"
    newest = {name.rpartition("_v")[0]: name for name in views(engine)}
    superseded = set(views(engine)) - set(newest.values())
    assert [
        view for view in views(engine) if f"from {view}" not in page and view not in superseded
    ] == []


def test_a_day_with_open_tickets_is_not_counted_for_good(
    sessions: Sessions, receive: Callable[..., int]
) -> None:
    done, waits, long_gone = (receive(str(number)) for number in range(3))
    with transaction(sessions) as session:
        session.execute(text("update tickets set received_at = now() - interval '3 days'"))
        session.execute(text("update tickets set state = 'replied' where id = :id"), {"id": done})
        session.execute(text("update tickets set state = 'ignored' where id = :id"),
                        {"id": long_gone})  # fmt: skip
        count_days(session)
        while_it_waits = session.execute(text("select count(*) from daily_mix")).scalar()
        session.execute(text("update tickets set state = 'replied' where id = :id"), {"id": waits})
        count_days(session)
        counted = session.execute(text("select sum(tickets) from daily_mix")).scalar()

    assert (while_it_waits, counted) == (0, 2)


def test_a_correction_that_was_put_back_or_confirms_is_none(known: Sessions) -> None:
    with transaction(known) as session:
        session.execute(text(
            "insert into corrections (ticket_id, field, value, model_value, reply_id, corrected_by)"
            " values (2, 'category', 'returns', 'returns', 2, 'Ben')"
        ))  # fmt: skip

    assert rows(known, "select sum(corrected) from ops_corrections_v1") == [(None,)]
    assert rows(known, "select count(*) from bad_attempts_v1 where kind = 'corrected'") == [(0,)]
