"""Runs the migrations over a connection that `worker.migrate` (or a test) passes in.

Every migration has a lock timeout, so that one that waits for a running desk fails soon, and a
statement timeout, so that a slow one is noticed. What has its lock keeps it until it is done: an
index on a table of millions takes a minute, in which webhooks are answered with 503 and come again.
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
