"""`triage export`: tickets with their labels, for training or audit, streamed."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Console

from worker.cli import compose, process
from worker.errors import TriageError
from worker.tickets import export as tickets

Row = dict[str, Any]
BATCH = 1000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
TIMES = {"received_at", "erased_at"}
NUMBERS = {"id", "attempts"}


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def export(
    *,
    format_: Annotated[Format, typer.Option("--format")] = Format.JSONL,
    output: Annotated[Path, typer.Option(help="Write here; - for standard output.")] = Path("-"),
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Received from this day on, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Received before this day, UTC.")
    ] = None,
) -> None:
    """Write tickets with the model's labels and people's, and what they were made with."""
    if format_ is Format.PARQUET and str(output) == "-":
        raise TriageError("Parquet is written to a file: name one with --output")
    with compose.one_transaction() as session:
        found = tickets.rows(session, since=utc(since), until=utc(until))
        if format_ is Format.PARQUET:
            count = write_parquet(found, output)
        else:
            with process.output(output) as file:
                count = (write_csv if format_ is Format.CSV else write_jsonl)(found, file)
    Console(stderr=True).print(f"{count:,} tickets.", highlight=False)


def utc(day: datetime | None) -> datetime | None:
    return day.replace(tzinfo=UTC) if day else None


def write_jsonl(rows: Iterable[Row], file: IO[str]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  # its last value is returned
        file.write(json.dumps(row, ensure_ascii=False, default=as_text) + "\n")
    return count


def write_csv(rows: Iterable[Row], file: IO[str]) -> int:
    count = 0
    writer = csv.DictWriter(file, tickets.COLUMNS)
    writer.writeheader()
    for count, row in enumerate(rows, 1):  # noqa: B007  # its last value is returned
        writer.writerow({name: harmless(value) for name, value in flat(row).items()})
    return count


def harmless(value: object) -> object:
    """A spreadsheet would run a customer's text that begins like a formula: `'` keeps it text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def write_parquet(rows: Iterable[Row], path: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415  # 50 MB that no other command needs
    import pyarrow.parquet as pq  # noqa: PLC0415

    def type_of(name: str) -> pa.DataType:
        if name in TIMES:
            return pa.timestamp("us", "UTC")
        if name in NUMBERS:
            return pa.int64()
        return pa.bool_() if name == "is_corrected" else pa.string()

    schema = pa.schema([(name, type_of(name)) for name in tickets.COLUMNS])
    count = 0
    try:
        with pq.ParquetWriter(path, schema) as writer:
            for batch in batches(rows):
                writer.write_table(pa.Table.from_pylist(batch, schema))
                count += len(batch)
    except OSError as error:
        raise TriageError(f"cannot write {path}: {error}") from error
    return count


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = map(flat, rows)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def flat(row: Row) -> Row:
    """A row without nested values: those become JSON."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in row.items()
    }


def as_text(value: object) -> str:
    assert isinstance(value, date)
    return value.isoformat()
