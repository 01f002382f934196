"""Migrations run up, down and up again, and give exactly what the models say."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from worker import database, migrate
from worker.tickets.rows import Row


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """A database of its own beside the other tests'."""
    admin = database.connect(postgres_url, pool_size=1)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("drop database if exists migrations with (force)"))
        connection.execute(text("create database migrations"))
    admin.dispose()
    engine = database.connect(postgres_url.replace("/postgres?", "/migrations?"), pool_size=1)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_up_down_and_up_again(engine: Engine) -> None:
    migrate.upgrade(engine)
    assert tables(engine) == set(Row.metadata.tables)

    migrate.downgrade(engine, "base")
    assert tables(engine) == set()

    migrate.upgrade(engine)
    assert tables(engine) == set(Row.metadata.tables)


def test_the_migrated_schema_is_the_models_schema(engine: Engine) -> None:
    migrate.upgrade(engine)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Row.metadata) == []


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate.upgrade(engine)
    migrate.upgrade(engine)

    with engine.connect() as connection:
        versions = connection.execute(text("select version_num from alembic_version")).scalars()
        assert list(versions) == [migrate.latest_revision()]


WITH_A_PROMOTED_REPLAY = """
insert into tickets (source, external_id, content_key, subject, body, queue, state, attempts)
values ('generic', '1', 'x', 's', 'b', 'triage.live', 'replied', 1);
insert into replays (state, actor, selection, as_it_was) values ('done', 'Ana', '{}', false);
insert into attempts (ticket_id, replay_id, number, worker, outcome)
values (1, null, 1, 'w', 'replied'), (1, 1, 1, 'w', 'replied');
insert into replies (ticket_id, attempt_id, category, type, priority, sentiment, entities, summary, reply, confidence, disposition)
select 1, id, case id when 1 then 'billing' else 'returns' end, 'problem', 'high', 'neutral', '[]', '', '',
    '{"category": 0.9, "type": 0.8, "priority": 0.7, "sentiment": 0.6}', 'auto' from attempts;
insert into reruns (replay_id, ticket_id, base_attempt_id, queue, state, attempt_id, reply_id, promoted_at)
values (1, 1, 1, 'triage.replay', 'replied', 2, 2, now());
insert into corrections (ticket_id, field, value, reply_id, corrected_by) values (1, 'category', 'sales', 2, 'Ana');
update tickets set attempt_id = 2, reply_id = 2;
"""  # noqa: E501


def test_a_later_versions_schema_stays_as_it_is(engine: Engine) -> None:
    """Going back to an older version must not end at its `triage migrate`."""
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '2099_01_01_later'"))

    migrate.upgrade(engine)

    with engine.connect() as connection:
        version = connection.execute(text("select version_num from alembic_version")).scalar()
    assert version == "2099_01_01_later"
    assert tables(engine) == set(Row.metadata.tables)


def test_without_replays_a_ticket_has_the_reply_of_its_own_way_again(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        for statement in WITH_A_PROMOTED_REPLAY.split(";\n"):
            connection.execute(text(statement.replace(": ", r"\: ")))

    migrate.downgrade(engine, "2026_11_24_by_hand")
    with engine.connect() as connection:
        shown = connection.execute(
            text("select category from tickets join replies on replies.id = tickets.reply_id")
        ).scalars()
        assert list(shown) == ["billing"]

    migrate.upgrade(engine)
    with engine.connect() as connection:
        [row] = connection.execute(
            text(
                "select tickets.attempt_id, replies.least_confidence from tickets"
                " join replies on replies.id = tickets.reply_id"
            )
        )
        assert tuple(row) == (1, 0.6)


def test_a_migration_waits_for_another_however_long_that_takes(
    engine: Engine,
) -> None:
    """The lock is held for longer than a statement may take."""
    migrate.upgrade(engine)
    url = engine.url.update_query_dict({"options": "-c statement_timeout=200"})
    hurried = create_engine(url)
    holder = hurried.connect()
    holder.execute(text("select pg_advisory_lock(:key)"), {"key": migrate.MIGRATION_LOCK})

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(migrate.upgrade, hurried)
        time.sleep(0.5)
        is_waiting = not waiting.done()
        holder.invalidate()  # its session ends, and the lock with it
        waiting.result()

    hurried.dispose()
    assert is_waiting
