"""The connection to Postgres and the one place that commits."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from worker.errors import SettingsError

Sessions = sessionmaker[Session]


def connect(url: str, *, pool_size: int) -> Engine:
    """A pool of connections to Postgres. Connects when first used.

    Raises:
        SettingsError: no URL, or not a Postgres one.
    """
    if not url:
        raise SettingsError(
            "TRIAGE_DATABASE_URL is empty: set it to a Postgres "
            "(postgresql+psycopg://user:password@host/name), or run `triage up`, which brings one"
        )
    if not url.startswith("postgresql"):
        raise SettingsError("TRIAGE_DATABASE_URL must begin with postgresql+psycopg://")
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=4,
        pool_pre_ping=True,  # a restarted Postgres costs one ping, not one failed ticket
        connect_args={"options": "-c timezone=utc -c statement_timeout=30s"},
    )


@contextmanager
def opened(url: str, *, pool_size: int) -> Iterator[Sessions]:
    """Sessions on a pool that is closed at the end of the block."""
    engine = connect(url, pool_size=pool_size)
    try:
        yield sessions(engine)
    finally:
        engine.dispose()


def sessions(engine: Engine) -> Sessions:
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def transaction(factory: Sessions) -> Iterator[Session]:
    """One transaction: commits at the end of the block, rolls back on any error."""
    with factory() as session, session.begin():
        yield session
