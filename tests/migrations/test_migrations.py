"""Migrations run up, down and up again, and give exactly what the models say."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

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
