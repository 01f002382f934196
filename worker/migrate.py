"""Brings a database's schema up to date. Safe to run by several processes at once."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from worker import logs
from worker.database import Sessions, connect, transaction

log = logs.get(__name__)

SCRIPTS = Path(__file__).parent.parent / "migrations"
MIGRATION_LOCK = 0x6D69_6772  # "migr": one migration at a time per database


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Apply all migrations up to `revision`; to a later version's schema none, it may stay."""

    def apply(config: Config) -> None:
        found = MigrationContext.configure(config.attributes["connection"]).get_current_revision()
        if found is None or found in known_revisions():
            command.upgrade(config, revision)
        else:
            log.warning("schema_of_a_later_version", revision=found)

    _run(engine, apply)


def upgrade_at(url: str) -> None:
    """Apply all migrations to the database at this URL."""
    engine = connect(url, pool_size=1)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def downgrade(engine: Engine, revision: str) -> None:
    """Take migrations back down to `revision` (`base` takes all of them back)."""
    _run(engine, lambda config: command.downgrade(config, revision))


def latest_revision() -> str:
    """The revision that this version of the product expects."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current_revision(sessions: Sessions) -> str | None:
    """The revision that the database has; None if it is empty."""
    try:
        with transaction(sessions) as session:
            return session.execute(text("select version_num from alembic_version")).scalar()
    except ProgrammingError:  # no such table
        return None


def is_outdated(found: str | None) -> bool:
    """Whether this version's migrations have to run on a database with this revision.

    A revision that this version does not know is a later version's, and those run under it, too.
    """
    return found is None or (found in known_revisions() and found != latest_revision())


def known_revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config


def _run(engine: Engine, action: Callable[[Config], None]) -> None:
    with engine.connect() as connection:
        connection.execute(text("set local statement_timeout = 0"))  # another's may take minutes
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        try:
            config = _config()
            config.attributes["connection"] = connection
            action(config)
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()
