"""The results that stand below the queries of docs/views.md: python -m tests.worked_examples

Each query is run on the rows of tests/integration/known_rows.sql, at noon of their day.
"""

import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from worker import migrate
from worker.database import Sessions, connect, sessions, transaction
from worker.embedded import EmbeddedPostgres

PAGE = Path(__file__).parent.parent / "docs" / "views.md"
ROWS = Path(__file__).parent / "integration" / "known_rows.sql"
NOON = "timestamptz '2026-03-02 12:00+00'"
UNTIL_NOW = {"silent_hours", "oldest_s", "seen_s"}
"""Lengths of time until now: another one at each look."""
EXAMPLE = re.compile(r"```sql\n(.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)

Ask = Callable[[str], tuple[Sequence[str], Sequence[Sequence[Any]]]]


def worked(page: str, ask: Ask) -> str:
    """The page with the result of each query below it."""

    def with_results(found: re.Match[str]) -> str:
        queries = [query for query in found[1].split(";\n") if query.strip()]
        results = "\n".join(table(*ask(query.replace("now()", NOON))) for query in queries)
        return f"```sql\n{found[1]}```\n\n```text\n{results}```\n"

    return EXAMPLE.sub(with_results, page)


def table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as `psql` prints them, more or less."""
    body = [[shown(*pair) for pair in zip(names, row, strict=True)] for row in rows]
    cells = [list(names), *body]
    widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
    lines = [
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    rule = "-+-".join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def shown(name: str, value: Any) -> str:
    is_of_today = isinstance(value, datetime) and datetime.now(UTC) - value < timedelta(days=1)
    if name in UNTIL_NOW or is_of_today:
        return "…"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def fill(factory: Sessions) -> None:
    with transaction(factory) as session:
        for statement in ROWS.read_text().split(";\n"):
            session.execute(text(statement.replace(":", r"\:")))


def asker(factory: Sessions) -> Ask:
    def ask(query: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        with transaction(factory) as session:
            found = session.execute(text(query.replace(":", r"\:")))
            return list(found.keys()), [tuple(row) for row in found]

    return ask


def main() -> None:
    """Write the results into the page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        server = EmbeddedPostgres(Path(path) / "postgres")
        engine = connect(server.url, pool_size=1)
        migrate.upgrade(engine)
        factory = sessions(engine)
        fill(factory)
        PAGE.write_text(worked(PAGE.read_text(), asker(factory)))
        engine.dispose()
        server.stop()


if __name__ == "__main__":
    main()
