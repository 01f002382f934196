"""A plan over many tickets: each filter is answered by an index alone, whatever Postgres plans."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from schemas.selection import Selection
from worker import database, migrate
from worker.database import Sessions, transaction
from worker.replay import select

TICKETS = 100_000
FILL = Path(__file__).with_name("many_tickets.sql")
WIDE = {"tickets", "attempts", "replies"}
"""Tables with texts in them: reading all of one takes seconds where there are a million rows."""

SELECTIONS: dict[str, dict[str, Any]] = {
    "all": {},
    "bad in any way": {"reason": ["check_failed", "below_threshold", "not_parsed", "engine_error"]},
    "since": {"since": datetime.now(UTC) - timedelta(days=3)},
    "source": {"source": ["zammad"]},
    "language": {"language": ["ja"]},
    "category": {"category": ["sales"]},
    "confidence": {"confidence_from": 0.2, "confidence_below": 0.4},
    "profile": {"profile": ["nemo-fp8-128k"]},
    "model": {"model": ["mistral-nemo"]},
    "prompt": {"prompt_version": ["triage-2"]},
    "taxonomy": {"taxonomy_version": ["2026-01"]},
    "corrected": {"corrected": True},
    "limit": {"limit": 5000},
    "sample": {"sample": 5000, "seed": 1},
    "much at once": {"language": ["ja"], "profile": ["nemo-awq-32k"], "confidence_below": 0.9},
}


@pytest.fixture(scope="module")
def filled(postgres_url: str) -> Iterator[Sessions]:
    """Many tickets in a database of their own."""
    admin = database.connect(postgres_url, pool_size=1)
    for statement in ("drop database if exists many with (force)", "create database many"):
        run_outside(admin, statement)
    admin.dispose()
    engine = database.connect(postgres_url.replace("/postgres?", "/many?"), pool_size=2)
    migrate.upgrade(engine)
    for statement in FILL.read_text().split(";\n"):
        made = statement.replace(":tickets", str(TICKETS)).replace(":apart", "20 seconds")
        run_outside(engine, made)
    run_outside(engine, "vacuum full analyze tickets")
    run_outside(engine, "vacuum analyze")
    yield database.sessions(engine)
    engine.dispose()


def run_outside(engine: Engine, statement: str) -> None:
    """Run a statement outside any transaction."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("name", SELECTIONS)
def test_no_wide_table_is_read_as_a_whole(filled: Sessions, name: str) -> None:
    selection = Selection.model_validate(SELECTIONS[name])

    with transaction(filled) as session:
        statement = select.looked_for(selection).compile(
            session.get_bind(), compile_kwargs={"literal_binds": True}
        )
        [[[plan]]] = session.execute(text(f"explain (format json) {statement}"))

    read = list(nodes(plan["Plan"]))
    assert "tickets" in {table for _, table in read}
    assert {table for kind, table in read if kind == "Seq Scan"} & WIDE == set()


def nodes(plan: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    yield plan["Node Type"], plan.get("Relation Name")
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def test_a_tenth_of_a_million_takes_a_tenth_of_the_two_seconds_and_some(filled: Sessions) -> None:
    taken = []
    for chosen in SELECTIONS.values():
        started = time.monotonic()
        with transaction(filled) as session:
            found = select.look(session, Selection.model_validate(chosen))
        taken.append(time.monotonic() - started)
        assert found.count

    assert sorted(taken)[len(taken) // 2] < 0.3
