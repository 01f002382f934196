"""The pool of connections: what Postgres has ended is never handed out."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from worker import database

PROCESS = text("select pg_backend_pid()")
END = text("select pg_terminate_backend(:process, 10000)")
"""Ends a connection, as a restart does with all; true when its process is gone."""


@pytest.fixture
def pool(postgres_url: str) -> Iterator[Engine]:
    pool = database.connect(postgres_url, pool_size=2)
    yield pool
    pool.dispose()


def processes(pool: Engine) -> set[int]:
    """The processes of Postgres behind two connections that are used at once."""
    with pool.connect() as one, pool.connect() as other:
        return {connection.execute(PROCESS).scalar_one() for connection in (one, other)}


def test_a_connection_is_used_again(pool: Engine) -> None:
    assert processes(pool) == processes(pool)


def test_connections_that_were_ended_meanwhile_are_replaced_unnoticed(
    pool: Engine, engine: Engine
) -> None:
    ended = processes(pool)
    with engine.connect() as other:
        assert all(other.execute(END, {"process": process}).scalar_one() for process in ended)

    found = processes(pool)

    assert len(found) == 2
    assert not found & ended


def test_a_connection_that_was_closed_here_is_not_handed_out(pool: Engine) -> None:
    raw = pool.raw_connection()
    assert raw.driver_connection
    raw.driver_connection.close()
    raw.close()

    assert len(processes(pool)) == 2
