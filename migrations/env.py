"""Runs the migrations over a connection that `worker.migrate` (or a test) passes in.

Every migration has a lock timeout, so that it fails fast instead of blocking a running desk, and
a statement timeout, so that a slow one is noticed.
"""

from alembic import context
from sqlalchemy import Connection, text

from worker.tickets.rows import Row


def run(connection: Connection) -> None:
    connection.execute(text("set lock_timeout = '5s'; set statement_timeout = '5min'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
