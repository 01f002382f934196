"""`triage enqueue --from`: a helpdesk's export becomes tickets, once, line by line."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tests.integration.conftest import Broker
from worker.cli.main import app
from worker.database import Sessions, transaction
from worker.helpdesk import HELPDESKS
from worker.helpdesk.exports import COLUMNS, exported


@pytest.fixture
def enqueue(
    sessions: Sessions, broker: Broker, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> Callable[..., Any]:
    monkeypatch.setenv("TRIAGE_DATABASE_URL", postgres_url)
    monkeypatch.setenv("TRIAGE_BROKER_URL", "memory://")
    return lambda *words: CliRunner().invoke(app, ["enqueue", *map(str, words), "--json"])


def rows(sessions: Sessions) -> list[tuple[str, str, str]]:
    with transaction(sessions) as session:
        found = session.execute(text("select source, external_id, body from tickets order by id"))
        return [(row[0], row[1], row[2]) for row in found]


def zendesk_csv(path: Path, *lines: tuple[str, str, str]) -> Path:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("Ticket ID", "Subject", "Description", "Requester email"))
    writer.writerows((*line, "ana@example.org") for line in lines)
    path.write_text("\ufeff" + buffer.getvalue(), encoding="utf-8")
    return path


def test_a_csv_export_becomes_tickets(
    sessions: Sessions, enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    file = zendesk_csv(
        tmp_path / "tickets.csv", ("7", "Frage", "Wo ist es?\nDanke"), ("8", "", "Hi")
    )

    done = enqueue(file, "--from", "zendesk")

    assert json.loads(done.stdout) == {"new": 2, "known": 0, "unusable": 0}
    assert rows(sessions) == [("zendesk", "7", "Wo ist es?\nDanke"), ("zendesk", "8", "Hi")]
    with transaction(sessions) as session:  # no sign that zendesk's webhook works
        assert session.execute(text("select source from ops_sources_v1")).all() == []


def test_stopped_halfway_the_same_command_goes_on(
    sessions: Sessions, enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    file = zendesk_csv(tmp_path / "t.csv", *((str(n), "S", f"Text {n}") for n in range(5)))

    first = enqueue(file, "--from", "zendesk", "--limit", 2)
    whole = enqueue(file, "--from", "zendesk")

    assert json.loads(first.stdout)["new"] == 2
    assert json.loads(whole.stdout) == {"new": 3, "known": 2, "unusable": 0}


def test_a_dry_run_keeps_and_announces_nothing(
    sessions: Sessions, broker: Broker, enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    file = zendesk_csv(tmp_path / "t.csv", ("7", "S", "Hallo"))

    done = enqueue(file, "--from", "zendesk", "--dry-run")

    assert json.loads(done.stdout)["new"] == 1
    assert (rows(sessions), broker.sent) == ([], [])


def test_what_became_of_each_line_is_told_and_a_bad_one_stops_nothing(
    sessions: Sessions, enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    file = zendesk_csv(
        tmp_path / "t.csv", ("7", "S", "Hallo"), ("", "S", "Hallo"), ("9", "S", "Hi")
    )
    results = tmp_path / "results.jsonl"

    done = enqueue(file, "--from", "zendesk", "--results", results)

    assert done.exit_code == 1
    told = [json.loads(line) for line in results.read_text().splitlines()]
    assert [(one["line"], one["status"]) for one in told] == [
        (1, "new"), (2, "unusable"), (3, "new"),
    ]  # fmt: skip
    assert "none of the columns id, ID, Ticket ID" in told[1]["reason"]


def test_a_line_that_is_no_json_stops_no_other(
    sessions: Sessions, enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "EXPORT.JSONL"
    one, two = ({"id": number, "description": f"Text {number}"} for number in (7, 8))
    file.write_text(f"\ufeff{json.dumps(one)}\n\n{{no json\n{json.dumps(two)}\n", "utf-8")

    done = enqueue(file, "--from", "zendesk", "--results", tmp_path / "results")

    assert (done.exit_code, json.loads(done.stdout)["new"]) == (1, 2)
    became = [json.loads(line) for line in (tmp_path / "results").read_text().splitlines()]
    assert [(one["line"], one["status"]) for one in became] == [
        (1, "new"), (3, "unusable"), (4, "new"),
    ]  # fmt: skip
    assert became[1]["reason"].startswith("not JSON: ")


def test_a_dry_run_names_no_ticket_that_there_is_not(
    enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    file = zendesk_csv(tmp_path / "T.CSV", ("7", "S", "Hallo"), ("7", "S", "Hallo"))

    enqueue(file, "--from", "zendesk", "--dry-run", "--results", tmp_path / "results")

    told = [json.loads(line) for line in (tmp_path / "results").read_text().splitlines()]
    assert [(one["status"], one["ticket_id"]) for one in told] == [("new", None), ("known", None)]


def test_a_ticket_that_its_webhook_brought_is_known_whatever_its_message(
    sessions: Sessions, receive: Callable[..., int], enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    ticket_id = receive("7", source="zendesk", body="Mehr dazu")
    results = tmp_path / "results.jsonl"

    enqueue(zendesk_csv(tmp_path / "t.csv", ("7", "S", "Hallo")), "--from", "zendesk",
            "--results", results)  # fmt: skip

    assert json.loads(results.read_text()) == {
        "line": 1, "status": "known", "ticket_id": ticket_id,
    }  # fmt: skip


@pytest.mark.parametrize("wrapped", ["tickets", None])
def test_a_json_export_is_read_wrapped_or_not(
    sessions: Sessions, enqueue: Callable[..., Any], tmp_path: Path, wrapped: str | None
) -> None:
    listed = [{"id": 7, "title": "T", "articles": [{"body": "<p>Hallo</p>"}]}]
    file = tmp_path / "export.json"
    file.write_text(json.dumps({wrapped: listed} if wrapped else listed))

    enqueue(file, "--from", "zammad")

    assert rows(sessions) == [("zammad", "7", "Hallo")]


def nested(column: str, value: str) -> dict[str, Any]:
    """An object in which `a.b.0.c` has this value."""
    inner: Any = value
    for name in reversed(column.split(".")):
        inner = [inner] if name.isdecimal() else {name: inner}
    assert isinstance(inner, dict)
    return inner


@pytest.mark.parametrize("source", sorted(HELPDESKS))
def test_every_column_that_an_export_may_have_is_found(source: str) -> None:
    for id_column in COLUMNS[source]["id"]:
        for body_column in COLUMNS[source]["body"]:
            row = {**nested(body_column, "Hallo"), **nested(id_column, "7")}
            ticket = exported(source, row)
            assert (ticket.id, ticket.body) == ("7", "Hallo")


def test_a_helpdesk_that_there_is_not_is_refused(
    enqueue: Callable[..., Any], tmp_path: Path
) -> None:
    file = zendesk_csv(tmp_path / "t.csv")

    assert "there is no helpdesk otrs" in str(enqueue(file, "--from", "otrs").exception)


def test_a_file_that_is_no_json_is_refused(enqueue: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text("{")

    assert "not JSON" in str(enqueue(file, "--from", "jira").exception)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "Ticket ID,Subject,Description\n1,Grüße,x\n".encode("cp1252"), "UTF-8"),
        ("a.json", b'"tickets"', "neither a list"),
    ],
)
def test_a_file_that_would_be_read_wrongly_is_refused(
    enqueue: Callable[..., Any], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)

    assert said in str(enqueue(file, "--from", "zendesk").exception)


def test_a_field_may_hold_a_whole_thread(enqueue: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"ID,Subject,Description\n1,S,{'Wort ' * 40_000}\n")

    done = enqueue(file, "--from", "zendesk", "--json")

    assert json.loads(done.stdout)["new"] == 1, done.output
