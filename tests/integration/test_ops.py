"""The page for operators: what it shows, whom it lets in, what it keeps."""

import base64
import re
from collections.abc import Callable

import pytest
from fastapi import HTTPException, Request
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import select, text

from schemas.desks import Taxonomies
from schemas.selection import Selection
from schemas.taxonomy import Taxonomy
from tests.replies import GERMAN_BODY, written
from worker.database import Sessions, transaction
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.engine.scripted import ScriptedEngine
from worker.errors import SettingsError
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.ops import pages
from worker.ops.access import Access
from worker.queues import Queue
from worker.replay.begin import begin
from worker.replay.select import chosen
from worker.settings import load_settings
from worker.tickets import store
from worker.tickets.rows import Correction, Ticket

Receive = Callable[..., int]
MakeRuntime = Callable[..., Runtime]
Browser = Callable[..., TestClient]
PASSWORD = "a-password"


@pytest.fixture
def browser(sessions: Sessions, publisher: Publisher, taxonomy: Taxonomy) -> Browser:
    """A browser on the gateway; Ana has given her name and the password, unless it is nobody."""

    def make(*, name: str | None = "Ana") -> TestClient:
        access = Access.for_host(
            "127.0.0.1", password=SecretStr(PASSWORD), token=SecretStr("t" * 16)
        )
        intake = Intake(load_settings(), sessions, publisher)
        routes = pages.router(sessions, Taxonomies(taxonomy), access)
        app = create_app(intake, sessions, routes, max_body_bytes=10_000, threads=2)
        return TestClient(app, headers=basic(name, PASSWORD) if name else None)

    return make


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def hidden_in(page: str) -> dict[str, str]:
    """What the form sends along: its token, and the marks of what it shows."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([0-9a-f]+)"', page))


def corrections(sessions: Sessions) -> list[tuple[str, str, str]]:
    with transaction(sessions) as session:
        found = session.scalars(select(Correction).order_by(Correction.id))
        return [(one.field, one.value, one.corrected_by) for one in found]


def test_tickets_are_listed_counted_and_drawn(
    browser: Browser, replied: int, receive: Receive
) -> None:
    receive("waits")

    page = browser().get("/ops")

    assert page.status_code == 200
    assert f'<a href="/ops/tickets/{replied}">' in page.text
    assert "<b>2</b>received" in page.text
    assert "<b>1</b>replied" in page.text
    assert "<svg" in page.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?language=de", True),
        ("?language=fr", False),
        ("?source=generic&language=&state=", True),
        ("?source=zendesk", False),
        ("?profile=scripted", True),
        ("?profile=nemo-awq-32k", False),
        ("?state=replied", True),
        ("?state=needs_human", False),
        ("?before=1", False),
        ("?period=1h", True),
    ],
)
def test_the_list_is_held_to_what_stands_in_the_address(
    browser: Browser, replied: int, query: str, *, found: bool
) -> None:
    assert (f"/ops/tickets/{replied}" in browser().get(f"/ops{query}").text) == found


@pytest.mark.parametrize(
    "query",
    [
        "?period=9999d", "?language='; drop table tickets; --", "?state=lost", "?before=0",
        "?before=99999999999999999999", "?colour=red", "?refresh=0", "?period=<script>",
        "?source=%00",
    ],
)  # fmt: skip
def test_filters_that_make_no_sense_are_answered_with_a_sentence(
    browser: Browser, query: str
) -> None:
    page = browser().get(f"/ops{query}")

    assert page.status_code == 422
    assert "<h1>" in page.text
    assert "<script>" not in page.text


@pytest.mark.parametrize(
    "path", ["tickets/7", "tickets/0", f"tickets/{10**30}", "tickets/x", "replays/7", "replays/x"]
)
def test_what_is_not_there_is_told_on_a_page(browser: Browser, path: str) -> None:
    page = browser().get(f"/ops/{path}")

    assert page.status_code == 404
    assert "here is no" in page.text


def test_a_page_reloads_only_when_that_was_asked_for(browser: Browser) -> None:
    assert "Refresh" not in browser().get("/ops").headers
    assert browser().get("/ops?refresh=30").headers["Refresh"] == "30"


def test_a_ticket_page_tells_its_whole_journey(
    browser: Browser, receive: Receive, runtime: MakeRuntime
) -> None:
    faulty = written(reply="Guten Tag [Name], danke sehr.")
    ticket_id = receive()
    triage_one(ticket_id, runtime(ScriptedEngine(lambda _: faulty)))

    page = browser().get(f"/ops/tickets/{ticket_id}").text

    assert GERMAN_BODY in page
    assert "no_placeholder" in page
    assert "[Name]" in page
    assert 'lang="de"' in page
    assert "grammar_hash" in page
    assert "&#34;category&#34;:&#34;billing&#34;" in page, "the raw output, escaped"


def test_what_a_ticket_says_is_text_and_nothing_else(
    browser: Browser, receive: Receive, runtime: MakeRuntime
) -> None:
    attack = f'{GERMAN_BODY} <script>alert(1)</script> <img src=x onerror="alert(2)">'
    answer = written(reply="<script>alert(3)</script> Guten Tag, wir prüfen die Rechnung gern.")
    ticket_id = receive(body=attack, subject="</title><script>alert(4)</script>")
    triage_one(ticket_id, runtime(ScriptedEngine(lambda _: answer)))

    for path in ("/ops", f"/ops/tickets/{ticket_id}"):
        page = browser().get(path)
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "script-src" not in page.headers["Content-Security-Policy"]


def test_the_form_keeps_what_was_changed_and_only_that(
    sessions: Sessions, browser: Browser, replied: int
) -> None:
    client = browser(name=None)
    headers = basic("Ana", PASSWORD)
    page = client.get(f"/ops/tickets/{replied}", headers=headers).text

    answer = client.post(
        f"/ops/tickets/{replied}/corrections",
        data={**hidden_in(page), "category": "returns", "type": "problem",
              "reply": "Guten Tag!\r\nWir erstatten den Betrag.", "note": "wrong team"},
        headers=headers, follow_redirects=False,
    )  # fmt: skip

    assert (answer.status_code, answer.headers["location"]) == (
        303, f"/ops/tickets/{replied}#corrections",
    )  # fmt: skip
    assert corrections(sessions) == [
        ("category", "returns", "Ana"), ("reply", "Guten Tag!\nWir erstatten den Betrag.", "Ana"),
    ]  # fmt: skip
    after = client.get(f"/ops/tickets/{replied}", headers=headers).text
    assert "returns (Ana)" in after
    assert "wrong team" in after


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"category": "nonsense"}, 422, "category is none of"),
        ({"category": "billing"}, 422, "Nothing was changed"),
        ({"category": "returns", "token": "0" * 64}, 403, "load the page again"),
        ({"category": "returns", "token": ""}, 403, "load the page again"),
        ({"note": "x" * 200_000}, 413, "larger than"),
    ],
)
def test_a_form_that_cannot_be_kept_is_refused_and_says_why(
    sessions: Sessions, browser: Browser, replied: int, *,
    form: dict[str, str], status: int, told: str,
) -> None:  # fmt: skip
    client = browser()
    hidden = hidden_in(client.get(f"/ops/tickets/{replied}").text)

    answer = client.post(f"/ops/tickets/{replied}/corrections", data={**hidden, **form})

    assert answer.status_code == status
    assert told in answer.text
    assert corrections(sessions) == []


def test_a_form_made_for_one_ticket_is_none_for_another(
    sessions: Sessions, browser: Browser, replied: int, receive: Receive
) -> None:
    client = browser()
    hidden = hidden_in(client.get(f"/ops/tickets/{replied}").text)

    answer = client.post(
        f"/ops/tickets/{receive('2')}/corrections",
        data={**hidden, "category": "returns"},
    )

    assert answer.status_code == 403
    assert corrections(sessions) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (basic("Ana", "wrong"), 401),
        (basic("", PASSWORD), 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        (basic("Ana", PASSWORD), 200),
        ({"Authorization": "Bearer " + "t" * 16}, 200),
    ],
)
def test_only_who_knows_the_password_or_bears_the_token_is_let_in(
    browser: Browser, replied: int, *, headers: dict[str, str], status: int
) -> None:
    client = browser(name=None)

    for path in ("/ops", f"/ops/tickets/{replied}", "/ops/replays"):
        page = client.get(path, headers=headers)
        assert page.status_code == status
        assert ("WWW-Authenticate" in page.headers) == (status == 401)
    assert client.post(f"/ops/tickets/{replied}/corrections", headers=headers).status_code != 303


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "gateway.example.org"])  # noqa: S104
def test_without_a_secret_the_gateway_does_not_open_the_page_to_others(host: str) -> None:
    with pytest.raises(SettingsError, match="TRIAGE_OPS_PASSWORD"):
        Access.for_host(host, password=None, token=None)

    assert Access.for_host(host, password=SecretStr(PASSWORD), token=None)


def test_a_replay_is_compared_on_its_page(
    sessions: Sessions, browser: Browser, runtime: MakeRuntime, replied: int
) -> None:
    with transaction(sessions) as session:
        store.worker_is_here(session, "w", profile="scripted", queues=[Queue.REPLAY], in_flight=4)
        begin(session, store.Order("Ana", "new prompt", {"language": ["de"]}), chosen(Selection()))
    before = browser().get("/ops/replays/1").text
    triage_one(replied, runtime(ScriptedEngine(lambda _: written(category="returns"))))

    listed = browser().get("/ops/replays").text
    page = browser().get("/ops/replays/1").text

    assert "Nothing of it is done yet" in before
    assert "new prompt" in listed
    assert "<del>billing</del>" in page
    assert "<ins>returns</ins>" in page
    assert "Replay 1" in browser().get(f"/ops/tickets/{replied}").text


def test_what_somebody_else_changed_meanwhile_is_not_changed_back(
    sessions: Sessions, browser: Browser, replied: int
) -> None:
    client = browser()
    page = client.get(f"/ops/tickets/{replied}").text
    shown = {**hidden_in(page), "category": "billing"}
    with transaction(sessions) as session:
        store.correct(session, replied, {"category": "returns"}, by="Cem", note=None)

    kept = client.post(f"/ops/tickets/{replied}/corrections", data={**shown, "priority": "low"},
                       follow_redirects=False)  # fmt: skip
    refused = client.post(
        f"/ops/tickets/{replied}/corrections", data={**shown, "category": "other"}
    )

    assert kept.status_code == 303
    assert refused.status_code == 422
    assert "Somebody changed category meanwhile" in refused.text
    assert corrections(sessions) == [("category", "returns", "Cem"), ("priority", "low", "Ana")]


def test_text_that_was_erased_meanwhile_does_not_come_back(
    sessions: Sessions, browser: Browser, replied: int
) -> None:
    client = browser()
    page = client.get(f"/ops/tickets/{replied}").text
    with transaction(sessions) as session:
        store.erase(session, Ticket.id == replied)

    answer = client.post(
        f"/ops/tickets/{replied}/corrections",
        data={**hidden_in(page), "category": "returns", "reply": "Guten Tag Ana"},
    )

    assert answer.status_code in {404, 422}
    assert corrections(sessions) == []
    with transaction(sessions) as session:
        assert not store.correct(session, replied, {"category": "returns"}, by="Ana", note=None)


def test_a_label_that_the_taxonomy_has_no_more_stays_as_it_is(
    sessions: Sessions, browser: Browser, replied: int
) -> None:
    with transaction(sessions) as session:
        session.execute(text("update replies set category = 'legacy'"))

    page = browser().get(f"/ops/tickets/{replied}").text

    assert "<option selected>legacy</option>" in page


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_without_a_secret_nobody_sees_the_page_not_even_from_this_machine(host: str) -> None:
    access = Access.for_host(host, password=None, token=None)
    here = Request({"type": "http", "headers": [(b"host", b"127.0.0.1")], "method": "GET",
                    "client": ("127.0.0.1", 1), "path": "/ops", "query_string": b""})  # fmt: skip

    with pytest.raises(HTTPException, match="set TRIAGE_OPS_PASSWORD") as refused:
        access.user(here)

    assert refused.value.status_code == 403
