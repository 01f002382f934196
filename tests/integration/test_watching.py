"""What monitoring sees: metrics of gateway and worker, traces, logs, refused webhooks."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import select, text
from typer.testing import Result

from tests.conftest import REPOSITORY
from tests.integration.test_gateway import LIMIT, SECRET, Desk
from worker import metrics
from worker.cli import process
from worker.database import Sessions, opened, transaction
from worker.dispatch import outcomes, tasks
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.engine.scripted import ScriptedEngine
from worker.errors import BadSignature, DeadlineExceeded, UnusableBody
from worker.gateway.app import create_app
from worker.gateway.refusals import Refusals
from worker.gateway.webhooks import Intake
from worker.ops import metrics as ops_metrics
from worker.ops.access import Access
from worker.settings import load_settings
from worker.tickets.rows import Refusal

ALERTS = REPOSITORY / "docker/prometheus/alerts.yml"
TOKEN = "a-token-of-16-or-more"  # it opens nothing
BEARER = {"Authorization": f"Bearer {TOKEN}"}
RUNBOOK = REPOSITORY / "docs/operate.md"

Runtimes = Callable[..., Runtime]


@pytest.fixture
def helpdesk(sessions: Sessions, publisher: Publisher) -> Iterator[Desk]:
    settings = load_settings(webhook_secrets={"generic": SECRET, "zendesk": SECRET})
    app = create_app(
        Intake(settings, sessions, publisher),
        sessions,
        ops_metrics.router(sessions, bearers()),
        max_body_bytes=LIMIT,
        threads=4,
    )
    with TestClient(app, headers=BEARER, raise_server_exceptions=False) as client:
        yield Desk(client)


def bearers() -> Access:
    return Access.for_host("127.0.0.1", password=None, token=SecretStr(TOKEN))


def scraped(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels."""
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page.text)
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_webhooks_are_counted_by_what_became_of_them(helpdesk: Desk) -> None:
    before = scraped(helpdesk.client)

    helpdesk.send_ticket("one")
    helpdesk.send_ticket("one")
    helpdesk.send(b"{}", delivery_id="two")
    helpdesk.client.post("/webhooks/generic", content=b"{}")
    helpdesk.client.post("/webhooks/<script>", content=b"{}")

    after = scraped(helpdesk.client)
    counted = {
        key[1:]: after[key] - before.get(key, 0)
        for key in after
        if key[0] == "triage_webhooks_total" and after[key] != before.get(key, 0)
    }
    assert counted == {
        ("generic", "accepted"): 1,
        ("generic", "duplicate"): 1,
        ("generic", "refused"): 2,
        ("unknown", "refused"): 1,
    }


def test_what_waits_and_since_when_is_told(helpdesk: Desk) -> None:
    helpdesk.send_ticket("one")

    found = scraped(helpdesk.client)

    assert found["triage_database_up",] == 1
    assert found["triage_backlog_tickets", "triage.live"] == 1
    assert 0 <= found["triage_backlog_age_seconds", "triage.live"] < 60
    assert found["triage_source_silent_seconds", "generic"] < 60


@pytest.mark.usefixtures("replied")
def test_a_day_of_tickets_is_read_once_a_minute(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    views, monotonic = ops_metrics.OfViews(sessions), time.monotonic

    def languages() -> list[str]:
        [found] = [one for one in views.collect() if one.name == "triage_answered_tickets"]
        return [sample.labels["language"] for sample in found.samples]

    assert languages() == ["de"]
    with transaction(sessions) as session:
        session.execute(text("update tickets set language = 'ja'"))
    assert languages() == ["de"]
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + ops_metrics.DAY_S)
    assert languages() == ["ja"]


def test_without_postgres_metrics_say_so(sessions: Sessions) -> None:
    with opened("postgresql://nobody@127.0.0.1:1/none", pool_size=1) as nowhere:
        collected = list(ops_metrics.OfViews(nowhere).collect())

    [up] = collected
    assert (up.name, up.samples[0].value) == ("triage_database_up", 0)


def test_metrics_are_for_those_who_may_see_the_page(sessions: Sessions) -> None:
    app = create_app(
        Intake(load_settings(), sessions, None),  # type: ignore[arg-type]  # no webhook comes
        sessions,
        ops_metrics.router(sessions, bearers()),
        max_body_bytes=1000,
        threads=2,
    )
    client = TestClient(app)

    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=BEARER).status_code == 200


def test_a_worker_counts_tickets_tokens_and_the_time_of_each_stage(
    runtime: Runtimes, receive: Callable[..., int]
) -> None:
    run, ticket_id = runtime(), receive()
    tickets = {"language": "de", "outcome": "replied"}
    before = value("triage_tickets_total", **tickets)
    stages = ("queue", "language", "engine", "checks", "record")
    timed = {name: value("triage_stage_duration_seconds_count", stage=name) for name in stages}
    written = value("triage_tokens_total", kind="output")

    triage_one(ticket_id, run)

    assert value("triage_tickets_total", **tickets) == before + 1
    assert value("triage_tokens_total", kind="output") > written
    assert {
        name: value("triage_stage_duration_seconds_count", stage=name) - timed[name]
        for name in stages
    } == dict.fromkeys(stages, 1)


def test_metrics_of_a_worker_are_served_and_a_taken_port_is_no_failure() -> None:
    import socket  # noqa: PLC0415
    from urllib.request import urlopen  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    metrics.serve("127.0.0.1", port)
    with structlog.testing.capture_logs() as lines:
        metrics.serve("127.0.0.1", port)

    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:  # our own
        assert b"triage_engine_up" in answer.read()
    assert [line["event"] for line in lines] == ["metrics_not_served"]


def test_where_there_is_no_engine_yet_none_is_down() -> None:
    told = "import prometheus_client as p; from worker import metrics; print(p.generate_latest())"

    said = subprocess.run(  # a process of its own, as the gateway is
        [sys.executable, "-c", told], capture_output=True, text=True, check=True
    ).stdout

    assert "triage_engine_up NaN" in said


def test_refusals_become_rows_and_add_up(sessions: Sessions) -> None:
    refusals = Refusals(sessions)
    for source, error in (
        ("zendesk", BadSignature("no")),
        ("zendesk", BadSignature("no")),
        ("zendesk", UnusableBody("no")),
    ):
        refusals.note(source, error)

    refusals.flush()
    refusals.note("zendesk", BadSignature("no"))
    refusals.flush()

    with transaction(sessions) as session:
        rows = session.scalars(select(Refusal)).all()
        assert {(row.source, row.kind): row.refused for row in rows} == {
            ("zendesk", "bad signature"): 3,
            ("zendesk", "unusable body"): 1,
        }


def test_refusals_outlast_a_postgres_that_is_away(sessions: Sessions) -> None:
    with opened("postgresql://nobody@127.0.0.1:1/none", pool_size=1) as nowhere:
        refusals = Refusals(nowhere)
        refusals.note("zendesk", BadSignature("no"))
        refusals.flush()
    refusals._sessions = sessions

    refusals.flush()

    with transaction(sessions) as session:
        assert session.scalars(select(Refusal.refused)).all() == [1]


def test_refusals_outlast_a_database_that_is_not_migrated_yet(
    sessions: Sessions,
) -> None:
    refusals = Refusals(sessions)
    refusals.note("zendesk", BadSignature("no"))
    with transaction(sessions) as session:
        session.execute(text("alter table refusals rename to not_yet"))
    refusals.flush()
    with transaction(sessions) as session:
        session.execute(text("alter table not_yet rename to refusals"))

    refusals.flush()

    with transaction(sessions) as session:
        assert session.scalars(select(Refusal.refused)).all() == [1]


SPANS = InMemorySpanExporter()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What was traced; OpenTelemetry lets a process choose its provider once."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(SPANS))
        trace.set_tracer_provider(provider)
    SPANS.clear()
    yield SPANS
    SPANS.clear()


def test_a_trace_says_what_kind_of_error_it_was_and_none_of_its_words(
    helpdesk: Desk, spans: InMemorySpanExporter
) -> None:
    answer = helpdesk.send_ticket("one", body=None, requester="DE02 3704 0044 0532 0130 00")

    [span] = spans.get_finished_spans()
    assert answer.status_code == 422
    assert (span.status.description, span.events) == ("UnusableBody", ())
    assert "3704" not in span.to_json()


def test_one_trace_leads_from_the_webhook_to_the_record(
    helpdesk: Desk, runtime: Runtimes, spans: InMemorySpanExporter
) -> None:
    ticket_id = helpdesk.send_ticket("one").json()["ticket_id"]
    triage_one(ticket_id, runtime())

    found = {span.name: span for span in spans.get_finished_spans()}

    assert set(found) == {
        "webhook generic", "process triage.live", "queue", "language", "engine", "checks", "record",
    }  # fmt: skip
    assert len({context(span).trace_id for span in found.values()}) == 1
    assert parent(found["process triage.live"]) == context(found["webhook generic"]).span_id
    for name in ("queue", "language", "engine", "checks", "record"):
        assert parent(found[name]) == context(found["process triage.live"]).span_id
    assert (found["engine"].attributes or {})["gen_ai.request.model"] == "scripted"


def context(span: ReadableSpan) -> trace.SpanContext:
    assert span.context is not None
    return span.context


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def too_slow(_: object) -> str:
    raise DeadlineExceeded("no answer within 120 s")


def test_a_second_try_is_in_the_same_trace(
    helpdesk: Desk, runtime: Runtimes, spans: InMemorySpanExporter
) -> None:
    ticket_id = helpdesk.send_ticket("one").json()["ticket_id"]

    triage_one(ticket_id, runtime(ScriptedEngine(too_slow)))
    time.sleep(0.05)  # longer than the back-off of the tests' runtime
    triage_one(ticket_id, runtime())

    found = spans.get_finished_spans()
    assert len([span for span in found if span.name == "process triage.live"]) == 2
    assert len({context(span).trace_id for span in found}) == 1


def test_every_line_about_an_attempt_names_it(
    runtime: Runtimes, receive: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> str:
        raise RuntimeError("a bug")

    ticket_id = receive()
    merged: list[dict[str, object]] = []

    def keep(_: object, __: str, event: dict[str, object]) -> dict[str, object]:
        merged.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, keep],
        cache_logger_on_first_use=False,
    )
    for module in (tasks, outcomes):  # theirs may be bound already, as a command before left them
        monkeypatch.setattr(module, "log", structlog.get_logger())
    try:
        with structlog.contextvars.bound_contextvars(ticket_id=ticket_id):
            triage_one(ticket_id, runtime(ScriptedEngine(fail)))
    finally:
        structlog.reset_defaults()

    assert {line["event"] for line in merged} == {"triage_failed", "ticket_failed", "ticket_left"}
    assert all((line["ticket_id"], line["attempt"]) == (ticket_id, 1) for line in merged)


def alert_names() -> list[str]:
    return re.findall(r"- alert: (\w+)", ALERTS.read_text())


def test_alerts_ask_for_metrics_that_there_are(helpdesk: Desk) -> None:
    asked = set(re.findall(r"\btriage_\w+", ALERTS.read_text()))
    told = {line.split()[2] for line in helpdesk.client.get("/metrics").text.splitlines()
            if line.startswith("# TYPE")}  # fmt: skip

    assert asked <= told


def test_every_alert_has_a_page_that_says_what_to_do() -> None:
    headings = set(re.findall(r"^### (\w+)", RUNBOOK.read_text(), re.MULTILINE))
    linked = re.findall(r"runbook: docs/operate.md#(\w+)", ALERTS.read_text())

    assert headings == set(alert_names())
    assert linked == [name.lower() for name in alert_names()]


def test_every_alert_is_tested() -> None:
    tested = (ALERTS.parent / "alerts_test.yml").read_text()

    for name in alert_names():
        assert re.search(rf"alertname: {name}\n\s+exp_alerts:\n", tested), name


@pytest.mark.parametrize("command", [["sweep"], ["writeback", "run"]])
def test_a_service_without_a_port_shows_in_each_round_that_it_is_alive(
    triage: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    alive = tmp_path / "run/alive"
    seen: list[bool] = []

    def ends_after_two_rounds(_s: float) -> bool:
        seen.append(alive.exists())
        alive.unlink()
        return len(seen) == 2

    monkeypatch.setenv("TRIAGE_ALIVE_FILE", str(alive))
    monkeypatch.setenv("TRIAGE_WRITEBACK_METRICS_PORT", "0")
    monkeypatch.setattr(process, "until_signalled", lambda: ends_after_two_rounds)

    done = triage(*command)

    assert done.exit_code == 0, done.output
    assert seen == [True, True]
