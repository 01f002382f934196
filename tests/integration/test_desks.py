"""Several desks on one service, secrets that are rotated, webhooks that are set up."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import text

from schemas.desks import load_desks
from tests.replies import written
from worker.cli import compose, desks, doctor
from worker.database import Sessions, transaction
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.engine.contract import Prompt
from worker.engine.scripted import ScriptedEngine
from worker.errors import PromptTooLong, SettingsError
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.helpdesk import HELPDESKS
from worker.settings import load_settings
from worker.triage.desk import Desk

TICKET = {"id": "1", "subject": "Frage", "body": "Wo ist meine Bestellung geblieben?"}


NEW, OLD, ACMES, FRONTS = "new secret", "old secret", "acme's secret", "front's secret"


@pytest.fixture
def client(sessions: Sessions, publisher: Publisher) -> Iterator[TestClient]:
    settings = load_settings(
        webhook_secrets={
            "generic": NEW,
            "generic_acme": ACMES,
            "front": FRONTS,
        },
        webhook_secrets_before={"generic": "old secret"},
    )
    intake = Intake(settings, sessions, publisher)
    with TestClient(create_app(intake, sessions, max_body_bytes=10_000, threads=2)) as client:
        yield client


def send(
    client: TestClient, path: str, secret: str, ticket: dict[str, Any] = TICKET, **headers: str
) -> Response:
    body, source = json.dumps(ticket).encode(), path.split("/", maxsplit=1)[0]
    signed = HELPDESKS[source].sign(body, secret, delivery_id=path, now=datetime.now(UTC))
    return client.post(f"/webhooks/{path}", content=body, headers=signed | headers)


def test_while_a_secret_is_rotated_both_are_good(client: TestClient) -> None:
    statuses = [send(client, "generic", secret).status_code for secret in (OLD, NEW, "other")]

    assert statuses == [202, 200, 401]


def test_a_desk_has_a_secret_and_tickets_of_its_own(client: TestClient, sessions: Sessions) -> None:
    answers = [
        send(client, "generic", NEW),
        send(client, "generic/acme", ACMES),
        send(client, "generic/acme", NEW),
        send(client, "generic/other", NEW),
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 401, 404]
    assert "TRIAGE_WEBHOOK_SECRETS__GENERIC_OTHER" in answers[-1].json()["reason"]
    with transaction(sessions) as session:
        sources = session.scalars(text("select source from tickets order by id")).all()
    assert sources == ["generic", "generic/acme"]


def test_front_hears_its_challenge_back_when_it_is_signed(
    client: TestClient, sessions: Sessions
) -> None:
    right = send(client, "front", FRONTS, {}, **{"x-front-challenge": "abc"})
    wrong = send(client, "front", "another", {}, **{"x-front-challenge": "abc"})

    assert (right.status_code, right.json()) == (200, {"challenge": "abc"})
    assert wrong.status_code == 401
    with transaction(sessions) as session:
        assert session.execute(text("select count(*) from tickets")).scalar() == 0


def test_tickets_of_a_desk_are_triaged_its_way(
    runtime: Callable[..., Runtime], receive: Callable[..., int], desk: Desk, sessions: Sessions
) -> None:
    theirs = replace(desk, languages=frozenset({"fr"}))
    run = replace(runtime(), named_desks={"acme": theirs})
    own, acme = receive("1"), receive("2", source="generic/acme")

    for ticket_id in (own, acme):
        triage_one(ticket_id, run)

    with transaction(sessions) as session:
        rows = session.execute(text("select state, reason from tickets order by id")).all()
    assert [tuple(row) for row in rows] == [
        ("replied", None), ("needs_human", "unsupported language: de"),
    ]  # fmt: skip


DESKS = """
[desks.acme]
taxonomy = "acme.toml"
desk_language = "de"
languages = ["de", "en"]

[desks.other]
"""
TAXONOMY = """
version = "acme-1"

[[categories]]
value = "yes"
description = "It is."

[[categories]]
value = "no"
description = "It is not."
"""


@pytest.fixture
def desks_file(tmp_path: Path) -> Path:
    (tmp_path / "acme.toml").write_text(TAXONOMY)
    file = tmp_path / "desks.toml"
    file.write_text(DESKS)
    return file


def test_a_file_says_what_each_desk_has_of_its_own(desks_file: Path) -> None:
    settings = load_settings(desks=desks_file, profile="scripted")
    own = desks.make_desk(settings)

    named = desks.named_desks(settings, own)

    assert named["acme"].taxonomy.version == "acme-1"
    assert named["acme"].language == "de"
    assert named["acme"].languages == {"de", "en"}
    assert named["other"].sha256 == own.sha256
    assert named["acme"].detector is own.detector


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[desks.Acme]", "Acme"),
        ('[desks.acme]\nlanguages = ["xx"]', "languages"),
        ("[desks.acme]\nlanguages = []", "languages"),
        ("[desks.acme]\ncolour = 1", "colour"),
        ('[desks.acme]\ntaxonomy = "missing.toml"', "missing.toml"),
        ("[desks", "at the end"),
    ],
)
def test_a_file_of_desks_that_makes_no_sense_is_refused(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "desks.toml"
    file.write_text(content)
    settings = load_settings(desks=file, profile="scripted")

    with pytest.raises(SettingsError, match=said):
        desks.named_desks(settings, desks.make_desk(settings))


def test_which_desk_makes_no_sense_is_told_by_the_doctor_too(
    desks_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme.toml").write_text("version = ")
    settings = load_settings(desks=desks_file, profile="scripted")

    with pytest.raises(SettingsError, match="desk acme: TRIAGE_TAXONOMY"):
        desks.named_desks(settings, desks.make_desk(settings))
    [*_, seen] = doctor.guarded(doctor.helpdesks, settings)

    assert "desk acme" in seen.found
    assert seen.fix


def test_a_desk_whose_prompt_has_no_room_keeps_no_other_from_starting(
    desks_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(desks=desks_file, profile="demo")
    own = desks.make_desk(settings)

    def answer(prompt: Prompt) -> str:
        if prompt.instruction != own.instruction:
            raise PromptTooLong("demo", tokens=9000, room=4096)
        return written()

    monkeypatch.setattr(compose, "engine_maker", lambda _: lambda: ScriptedEngine(answer))

    with structlog.testing.capture_logs() as lines:
        compose.start_engine(settings, own).stop()

    assert [(line["event"], line["desk"]) for line in lines] == [("desk_not_warm", "acme")]


def test_the_example_in_the_docs_is_such_a_file() -> None:
    from tests.conftest import REPOSITORY  # noqa: PLC0415

    assert set(load_desks(REPOSITORY / "docs/examples/desks.toml")) == {"acme", "tokyo"}
