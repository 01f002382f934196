"""A Postgres of the measurement's own with many tickets in it, as wide as real ones."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from worker import migrate
from worker.database import opened, transaction
from worker.embedded import EmbeddedPostgres
from worker.tickets import store

FILL = Path(__file__).parent.parent / "tests/integration/many_tickets.sql"


@contextmanager
def filled(tickets: int, *, apart_s: float = 20.0) -> Iterator[str]:
    """The URL of a database with so many tickets, vacuumed as in use. The newest came just now,
    each so many seconds after the one before.
    """
    with tempfile.TemporaryDirectory(prefix="triage-bench-", ignore_cleanup_errors=True) as path:
        server = EmbeddedPostgres(Path(path))
        migrate.upgrade_at(server.url)
        engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in FILL.read_text().split(";\n"):
                if statement.strip():
                    made = statement.replace(":tickets", str(tickets))
                    connection.execute(text(made.replace(":apart", f"{apart_s} seconds")))
        with opened(server.url, pool_size=1) as sessions, transaction(sessions) as session:
            session.execute(text("set local statement_timeout = 0"))
            while store.count_day(session):  # as the sweep does
                pass
        with engine.connect() as connection:
            connection.execute(text("vacuum full analyze tickets"))
            connection.execute(text("vacuum analyze"))
        engine.dispose()
        yield server.url
        server.stop()
