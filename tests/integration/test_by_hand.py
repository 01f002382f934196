"""Corrections, dead letters, bad outputs, export and erasure, through the commands people type."""

import csv
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import select, text
from typer.testing import Result

from schemas.desks import Taxonomies
from schemas.reply import LABELS
from schemas.taxonomy import Taxonomy
from tests.integration.conftest import Broker
from tests.replies import GERMAN_BODY, written
from worker.database import Sessions, transaction
from worker.dispatch.celery_app import DEAD
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.engine.scripted import ScriptedEngine
from worker.errors import DeadlineExceeded, EngineCrashed, RequestRefused, TriageError
from worker.gateway import corrections
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.migrate import latest_revision
from worker.settings import load_settings
from worker.tickets import read, store
from worker.tickets.rows import Act, Attempt, Correction, Reply, Ticket
from worker.tickets.states import Outcome, State

Receive = Callable[..., int]
MakeRuntime = Callable[..., Runtime]
Triage = Callable[..., Result]


@pytest.fixture
def dead(sessions: Sessions, runtime: MakeRuntime, receive: Receive) -> int:
    ticket_id = receive("dead")

    def crash(_: object) -> str:
        raise EngineCrashed("the engine died")

    for _ in range(3):
        triage_one(ticket_id, runtime(ScriptedEngine(crash)))
    assert ticket(sessions, ticket_id).state == State.NEEDS_HUMAN
    return ticket_id


def test_a_dead_ticket_stays_one_though_its_lost_worker_reports_late(
    sessions: Sessions, receive: Receive
) -> None:
    with transaction(sessions) as session:
        claim = store.claim(session, receive(), worker="slow", lease_s=-1)
        assert claim is not None
    with transaction(sessions) as session:
        store.free_expired(session, max_crashes=1)

    for _ in range(2):  # the answer of the first commit was lost
        with transaction(sessions) as session:
            late = store.Result(Outcome.REPLIED, None, {"raw_output": "{}"})
            assert store.record(session, claim, late) is None

    assert rows(sessions, "select outcome, reason, raw_output from attempts") == [
        ("lost", "the worker stopped answering", "{}")
    ]
    assert rows(sessions, "select tickets from ops_dead_v1") == [(1,)]
    with transaction(sessions) as session:
        assert store.run_again(session, [claim.ticket_id], by="Ana", reason=None)


def test_a_correction_that_waits_for_another_reply_corrects_that_one(
    sessions: Sessions, replied: int
) -> None:
    with ThreadPoolExecutor(1) as threads:
        with transaction(sessions) as session:
            session.execute(
                text(
                    "with made as (insert into attempts (ticket_id, number, worker, outcome)"
                    " select ticket_id, 2, worker, outcome from attempts returning id)"
                    " insert into replies (ticket_id, attempt_id, category, type, priority,"
                    " sentiment, entities, summary, reply, confidence, disposition)"
                    " select ticket_id, made.id, 'sales', type, priority,"
                    " sentiment, entities, summary, reply, confidence, disposition"
                    " from replies, made"
                )
            )
            session.execute(text("update tickets set reply_id = (select max(id) from replies)"))
            corrected = threads.submit(correct, sessions, replied)
            wait([corrected], timeout=0.5)
        assert corrected.result(5)

    [correction] = rows(sessions, "select model_value, reply_id from corrections")
    assert correction == ("sales", 2)


def correct(sessions: Sessions, ticket_id: int) -> bool:
    with transaction(sessions) as session:
        return store.correct(session, ticket_id, {"category": "returns"}, by="Ana", note=None)


def ticket(sessions: Sessions, ticket_id: int) -> Ticket:
    with transaction(sessions) as session:
        return session.get_one(Ticket, ticket_id)


def rows(sessions: Sessions, sql: str) -> list[Any]:
    with transaction(sessions) as session:
        return list(session.execute(text(sql)).all())


def acts(sessions: Sessions) -> list[tuple[str, str, str | None]]:
    with transaction(sessions) as session:
        return [(one.action, one.actor, one.reason) for one in session.scalars(select(Act))]


def test_a_correction_stands_beside_the_models_value_and_is_audited(
    sessions: Sessions, triage: Triage, replied: int
) -> None:
    done = triage("correct", replied, "category=returns", "priority=low", "--by", "Ana",
                  "--note", "wrong team")  # fmt: skip

    assert done.exit_code == 0
    with transaction(sessions) as session:
        [report] = read.reports(session, [replied])
        kept = {one.field: one for one in session.scalars(select(Correction))}
    assert (report["category"], report["priority"]) == ("billing", "high")
    assert (kept["category"].value, kept["category"].model_value) == ("returns", "billing")
    assert (kept["category"].corrected_by, kept["category"].note) == ("Ana", "wrong team")
    assert [one["value"] for one in report["corrections"]] == ["returns", "low"]
    assert acts(sessions) == [("correct", "Ana", "wrong team")]


def test_a_later_attempt_changes_no_correction(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, replied: int
) -> None:
    triage("correct", replied, "category=returns", "--by", "Ana")
    with transaction(sessions) as session:
        session.execute(text("update tickets set state = 'received'"))

    triage_one(replied, runtime(ScriptedEngine(lambda _: written(category="sales"))))

    found = triage("export")
    assert found.exception is None, found.exception
    exported = json.loads(found.stdout)
    assert (exported["category"], exported["model_category"]) == ("returns", "sales")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("categroy=returns", "there is no field categroy; there are category, type, priority"),
        ("category=returned", "category is none of technical_support, product_support"),
        ("category", "'category' is not FIELD=VALUE"),
        ("reply=" + "x" * 20_000, "reply has more than 12000 characters"),
    ],
)
def test_a_correction_that_makes_no_sense_is_refused(
    triage: Triage, replied: int, pair: str, message: str
) -> None:
    refused = triage("correct", replied, pair, "--by", "Ana")

    assert isinstance(refused.exception, TriageError)
    assert message in str(refused.exception)


def test_a_ticket_that_there_is_not_cannot_be_corrected(triage: Triage) -> None:
    refused = triage("correct", 404, "category=returns", "--by", "Ana")

    assert "there is no ticket 404" in str(refused.exception)


def test_a_corrected_ticket_becomes_a_golden_example(triage: Triage, replied: int) -> None:
    triage("correct", replied, "category=returns", "reply=Hallo", "--by", "Ana")
    triage("correct", replied, "category=sales", "--by", "Ben")

    golden = json.loads(triage("quality", "golden").stdout)

    assert golden["category"] == "sales"
    assert golden["body"] == GERMAN_BODY
    assert golden.keys() == {"id", "subject", "body", "locale", "language", *LABELS}
    assert golden["priority"] == "high", "what a person left as it was"


def test_an_erased_ticket_is_no_golden_example(
    sessions: Sessions, triage: Triage, replied: int
) -> None:
    triage("correct", replied, "category=returns", "--by", "Ana")
    with transaction(sessions) as session:
        store.erase(session, Ticket.id == replied)

    assert triage("quality", "golden").stdout == ""


@pytest.fixture
def api(sessions: Sessions, publisher: Publisher, taxonomy: Taxonomy) -> TestClient:
    intake = Intake(load_settings(), sessions, publisher)
    routes = corrections.router(sessions, Taxonomies(taxonomy), SecretStr(TOKEN))
    return TestClient(create_app(intake, sessions, routes, max_body_bytes=10_000, threads=2))


TOKEN = "a-token-of-sixteen"


@pytest.mark.parametrize(
    ("values", "token", "status"),
    [
        ({"category": "returns"}, TOKEN, 201),
        ({"category": "returns"}, "another-token", 401),
        ({"category": "returns"}, "", 401),
        ({"category": "nonsense"}, TOKEN, 422),
        ({}, TOKEN, 422),
    ],
)
def test_corrections_come_over_http_from_who_bears_the_token(
    sessions: Sessions, api: TestClient, replied: int, *, values: Any, token: str, status: int
) -> None:
    answer: httpx.Response = api.post(
        f"/api/tickets/{replied}/corrections",
        json={"by": "Ana", "values": values},
        headers={"Authorization": f"Bearer {token}"},
    )

    assert answer.status_code == status
    assert len(rows(sessions, "select from corrections")) == (status == 201)


def test_what_was_erased_is_not_said_to_be_corrected(
    sessions: Sessions, triage: Triage, api: TestClient, replied: int
) -> None:
    with transaction(sessions) as session:
        store.erase(session, Ticket.id == replied)

    by_hand = triage("correct", replied, "category=returns", "--by", "Ana")
    answer: httpx.Response = api.post(
        f"/api/tickets/{replied}/corrections",
        json={"by": "Ana", "values": {"category": "returns"}},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )

    assert (by_hand.exit_code, answer.status_code) == (1, 404)
    assert "was erased" in str(by_hand.exception)
    assert "was erased" in answer.json()["reason"]
    assert rows(sessions, "select from corrections") == []


def test_a_correction_that_postgres_cannot_keep_is_no_error_of_ours(
    sessions: Sessions, api: TestClient, replied: int
) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    path = f"/api/tickets/{replied}/corrections"

    zeros = {"by": "A\0na", "note": "\0", "values": {"summary": "paid\0 twice"}}
    kept: httpx.Response = api.post(path, json=zeros, headers=bearer)
    nowhere = api.post(f"/api/tickets/{2**64}/corrections", json=zeros, headers=bearer)
    book = api.post(path, content=b" " * 1_100_000, headers=bearer)

    assert (kept.status_code, nowhere.status_code, book.status_code) == (201, 422, 413)
    [correction] = rows(sessions, "select corrected_by, note, value from corrections")
    assert tuple(correction) == ("Ana", "", "paid twice")


def test_without_a_token_the_api_is_closed(
    sessions: Sessions, publisher: Publisher, taxonomy: Taxonomy
) -> None:
    intake = Intake(load_settings(), sessions, publisher)
    closed = TestClient(
        create_app(intake, sessions, corrections.router(sessions, Taxonomies(taxonomy), None),
                   max_body_bytes=10_000, threads=2)
    )  # fmt: skip

    answer = closed.post("/api/tickets/1/corrections", json={"by": "x", "values": {}})

    assert answer.status_code == 403
    assert "TRIAGE_API_TOKEN" in answer.text


def bad(sessions: Sessions) -> list[tuple[str, int]]:
    found = rows(sessions, "select kind, count(*) from bad_outputs_v1 group by kind order by kind")
    return [(kind, count) for kind, count in found]


def test_every_bad_output_is_found_by_its_kind_with_output_and_lineage(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, receive: Receive, dead: int
) -> None:
    def too_slow(_: object) -> str:
        raise DeadlineExceeded("no answer within 5 s")

    english = "Hello, we are checking the invoice and will get back to you very soon, thank you."
    for name, engine in {
        "good": ScriptedEngine(lambda _: written()),
        "broken": ScriptedEngine(lambda _: '{"category":'),
        "slow": ScriptedEngine(too_slow),
        "unsure": ScriptedEngine(lambda _: written(), probability=0.2),
        "english": ScriptedEngine(lambda _: written(reply=english)),
        "placeholder": ScriptedEngine(lambda _: written(reply="Guten Tag [Name], danke sehr.")),
        "corrected": ScriptedEngine(lambda _: written()),
    }.items():
        triage_one(receive(name), runtime(engine))
    [corrected] = rows(sessions, "select id from tickets where external_id = 'corrected'")
    triage("correct", corrected.id, "category=returns", "--by", "Ana")

    assert bad(sessions) == [
        ("below_threshold", 1),
        ("check_failed", 1),
        ("corrected", 1),
        ("deadline", 1),
        ("engine_error", 3),
        ("not_parsed", 1),
        ("wrong_language", 1),
    ]
    [broken] = rows(sessions, "select * from bad_outputs_v1 where external_id = 'broken'")
    assert broken.raw_output == '{"category":'
    assert (broken.profile, broken.prompt_version) == ("scripted", "demo-1")
    assert len(broken.grammar_hash) == 64
    [person] = rows(sessions, "select * from bad_outputs_v1 where kind = 'corrected'")
    assert person.detail == "category: billing -> returns (Ana)"


def test_dead_tickets_are_listed_shown_and_exported_with_reasons_and_attempts(
    triage: Triage, replied: int, dead: int, tmp_path: Path
) -> None:
    listed = [json.loads(line) for line in triage("dead", "list", "--json").stdout.splitlines()]
    shown = json.loads(triage("dead", "show", dead).stdout)
    triage("dead", "export", "--output", tmp_path / "dead.jsonl")

    assert [(one["id"], one["reason"]) for one in listed] == [(dead, "the engine died")]
    assert [one["outcome"] for one in shown["tries"]] == ["crashed"] * 3
    assert {one["error"] for one in shown["tries"]} == {"EngineCrashed"}
    assert json.loads((tmp_path / "dead.jsonl").read_text()) == shown


def test_what_the_engine_refuses_is_a_dead_letter_and_a_bad_output(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, receive: Receive
) -> None:
    def refuse(_: object) -> str:
        raise RequestRefused("the grammar is not understood")

    ticket_id = receive("refused")
    triage_one(ticket_id, runtime(ScriptedEngine(refuse)))
    listed = json.loads(triage("dead", "list", "--json").stdout)
    refused = triage("replay", "plan", "--reason", "engine_error", "--json")

    assert ticket(sessions, ticket_id).state == State.NEEDS_HUMAN
    assert (listed["id"], listed["reason"]) == (ticket_id, "the grammar is not understood")
    assert bad(sessions) == [("engine_error", 1)]
    assert json.loads(refused.stdout)["tickets"] == 1
    assert rows(sessions, "select tickets from ops_dead_v1")[0].tickets == 1

    triage("dead", "retry", ticket_id, "--by", "Ana")
    triage_one(ticket_id, runtime())

    assert ticket(sessions, ticket_id).state == State.REPLIED


def test_a_dead_ticket_that_is_retried_has_all_its_tries_again(
    sessions: Sessions, broker: Broker, triage: Triage, runtime: MakeRuntime, dead: int
) -> None:
    done = triage("dead", "retry", dead, "--by", "Ana", "--reason", "engine mended")
    again = ticket(sessions, dead)
    triage_one(dead, runtime())

    assert done.exit_code == 0
    assert (again.state, again.crashes, again.failures) == (State.RECEIVED, 0, 0)
    assert broker.sent == [(dead, "triage.live")] * 3, "two crashes, one retry by hand"
    assert ticket(sessions, dead).state == State.REPLIED
    assert acts(sessions) == [("dead retry", "Ana", "engine mended")]


def test_discarding_asks_and_is_audited(sessions: Sessions, triage: Triage, dead: int) -> None:
    refused = triage("dead", "discard", "--all", "--by", "Ana", input="n\n")
    still = ticket(sessions, dead).state
    done = triage("dead", "discard", "--all", "--by", "Ana", "--reason", "junk", input="y\n")

    assert (refused.exit_code, still) == (1, State.NEEDS_HUMAN)
    assert done.exit_code == 0
    assert ticket(sessions, dead).state == State.IGNORED
    assert acts(sessions) == [("dead discard", "Ana", "junk")]


def test_an_unusable_answer_after_a_failure_is_no_dead_letter(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()
    answers = iter([DeadlineExceeded("no answer"), "{"])

    def write(_: object) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    run = runtime(ScriptedEngine(write))
    triage_one(ticket_id, run)
    with transaction(sessions) as session:
        session.execute(text("update tickets set not_before = now()"))
    triage_one(ticket_id, run)

    assert ticket(sessions, ticket_id).state == State.NEEDS_HUMAN
    assert triage("dead", "list", "--json").stdout == ""
    assert bad(sessions) == [("deadline", 1), ("not_parsed", 1)]


def test_what_is_not_dead_is_left_alone(sessions: Sessions, triage: Triage, replied: int) -> None:
    retried = triage("dead", "retry", replied, "--by", "Ana")
    discarded = triage("dead", "discard", replied, "--yes", "--by", "Ana")

    assert (retried.exit_code, discarded.exit_code) == (3, 3)
    assert ticket(sessions, replied).state == State.REPLIED
    assert acts(sessions) == []


def test_an_export_has_every_ticket_in_every_format(
    triage: Triage, replied: int, dead: int, tmp_path: Path
) -> None:
    triage("correct", replied, "category=returns", "--by", "Ana")
    for name in ("jsonl", "csv", "parquet"):
        done = triage("export", "--format", name, "--output", tmp_path / name)
        assert done.exit_code == 0, done.exception

    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text().splitlines()]
    with (tmp_path / "csv").open() as file:
        table = list(csv.DictReader(file))
    parquet = pq.read_table(tmp_path / "parquet").to_pylist()
    for found in (lines, table, parquet):
        by_id = {str(one["id"]): one for one in found}
        one = by_id[str(replied)]
        assert by_id.keys() == {str(replied), str(dead)}
        assert (one["category"], one["model_category"]) == ("returns", "billing")
        assert one["profile"] == "scripted"
    assert lines[0]["is_corrected"] is parquet[0]["is_corrected"] is True


def test_an_export_can_be_held_to_days(triage: Triage, replied: int) -> None:
    assert triage("export", "--until", "2020-01-01").stdout == ""
    assert triage("export", "--since", "2020-01-01").stdout.count("\n") == 1


EVERYWHERE = """
select string_agg(everything, ' ') from (
    select tickets::text as everything from tickets
    union all select attempts::text from attempts
    union all select replies::text from replies
    union all select findings::text from findings
    union all select corrections::text from corrections
    union all select deliveries::text from deliveries
    union all select audit::text from audit
    union all select writebacks::text from writebacks
) as all_rows
"""


def test_a_person_is_erased_everywhere_counts_stay_and_there_is_a_receipt(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, receive: Receive
) -> None:
    body = "Ich heiße Kunigunde, die Rechnung RE-2026-0412 wurde doppelt abgebucht."
    reply = "Guten Tag Kunigunde, wir prüfen das für Sie und melden uns. [Name]"
    of_her = receive("1", body=body, requester="Kunigunde@Example.org", subject="Von Kunigunde",
                     cut="> Kunigunde schrieb")  # fmt: skip
    of_another = receive("2", requester="other@example.org")
    named = written(
        reply=reply,
        summary="Kunigunde paid twice",
        entities=[{"kind": "order", "value": "Kunigunde"}],
    )
    for ticket_id, answer in ((of_her, named), (of_another, written(reply=reply))):
        triage_one(ticket_id, runtime(ScriptedEngine(lambda _, answer=answer: answer)))
    triage("correct", of_her, "category=returns", "summary=Kunigunde pays twice", "--by", "Ana",
           "--note", "Kunigunde called")  # fmt: skip
    with transaction(sessions) as session:
        session.execute(text(
            "insert into writebacks (ticket_id, reply_id, source, state, reason) select ticket_id,"
            " id, 'generic', 'failed', '422: kunigunde@example.org is suspended' from replies"
            " where ticket_id = :hers"
        ), {"hers": of_her})  # fmt: skip

    asked = triage("erase", "--requester", "kunigunde@example.org", "--by", "Ana", input="n\n")
    done = triage("erase", "--requester", "kunigunde@example.org", "--yes", "--by", "Ana")

    assert asked.exit_code == 1
    receipt = json.loads(done.stdout)
    assert receipt["without_requester"] == 0
    assert receipt["removed_from"] == {
        "tickets": 1, "attempts": 1, "replies": 1, "findings": 1, "corrections": 2,
    }  # fmt: skip
    with transaction(sessions) as session:
        hers = session.scalars(select(Reply).where(Reply.ticket_id == of_her)).one()
        theirs = session.scalars(select(Reply).where(Reply.ticket_id == of_another)).one()
        attempt = session.scalars(select(Attempt).where(Attempt.ticket_id == of_her)).one()
    assert (hers.category, hers.reply, attempt.raw_output) == ("billing", "(erased)", None)
    assert (attempt.output_tokens or 0) > 0
    assert theirs.reply == reply
    with transaction(sessions) as session:
        session.execute(text("delete from findings where detail like '%Name%'"))
        session.execute(
            text("update replies set reply = '' where ticket_id = :id"), {"id": of_another}
        )
        session.execute(
            text("update attempts set raw_output = '' where ticket_id = :id"), {"id": of_another}
        )
    [everything] = rows(sessions, EVERYWHERE)
    assert "kunigunde" not in everything[0].lower()
    assert acts(sessions)[-1][:2] == ("erase", "Ana")


@pytest.mark.parametrize(
    "words", [("--requester", " "), ("--ticket", "", "--source", "generic"),
              ("--requester", "ana", "--source", "")]
)  # fmt: skip
def test_nobody_is_erased_by_an_empty_name(triage: Triage, words: tuple[str, ...]) -> None:
    refused = triage("erase", *words, "--yes", "--by", "Ana")

    assert "is empty" in str(refused.exception)


def test_the_audit_names_somebody(triage: Triage) -> None:
    refused = triage("purge", "--older-than", "90d", "--yes", "--by", " ")

    assert refused.exit_code == 2
    assert "say who you are" in refused.output


def test_a_command_on_an_older_schema_says_what_to_do(triage: Triage, sessions: Sessions) -> None:
    with transaction(sessions) as session:
        session.execute(text("alter table audit rename to acts_of_old"))
        session.execute(text("update alembic_version set version_num = '2026_11_24_replays'"))
    try:
        refused = triage("purge", "--older-than", "90d", "--yes", "--by", "Ana")
    finally:
        with transaction(sessions) as session:
            session.execute(text("alter table acts_of_old rename to audit"))
            session.execute(
                text("update alembic_version set version_num = :now"), {"now": latest_revision()}
            )

    assert "run `triage migrate`" in str(refused.exception)


def test_a_worker_that_finishes_an_erased_ticket_brings_no_text_back(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive(requester="a@example.org")

    def erased_meanwhile(_: object) -> str:
        with transaction(sessions) as session:
            store.erase(session, store.of_requester("a@example.org"))
        return written()

    triage_one(ticket_id, runtime(ScriptedEngine(erased_meanwhile)))

    assert ticket(sessions, ticket_id).state == State.IGNORED
    with transaction(sessions) as session:
        assert session.scalars(select(Attempt.raw_output)).all() == [None]
        assert session.scalars(select(Reply)).all() == []


def test_a_worker_that_lost_its_ticket_and_tells_of_it_during_an_erasure_brings_no_text_back(
    sessions: Sessions, receive: Receive
) -> None:
    ticket_id = receive(requester="a@example.org")
    with transaction(sessions) as session:
        claim = store.claim(session, ticket_id, worker="slow", lease_s=-1)
    with transaction(sessions) as session:
        store.free_expired(session, max_crashes=5)
    result = store.Result(Outcome.REPLIED, None, attempt={"raw_output": "quotes secret text"})

    def tell() -> None:
        with transaction(sessions) as session:
            store.record(session, claim, result)

    with ThreadPoolExecutor() as late, transaction(sessions) as session:
        store.erase(session, store.of_requester("a@example.org"))
        told = late.submit(tell)
        wait([told], timeout=0.5)
        session.commit()
        told.result(timeout=10)

    with transaction(sessions) as session:
        [attempt] = session.scalars(select(Attempt))
    assert (attempt.outcome, attempt.raw_output) == (Outcome.SUPERSEDED, None)


def test_a_dead_ticket_that_was_erased_is_not_run_again(
    sessions: Sessions, triage: Triage, dead: int
) -> None:
    with transaction(sessions) as session:
        store.erase(session, Ticket.id == dead)

    assert triage("dead", "retry", "--all", "--by", "Ana").exit_code == 3
    assert ticket(sessions, dead).state == State.NEEDS_HUMAN
    assert rows(sessions, "select * from ops_dead_v1") == []


def test_purging_takes_the_text_of_old_tickets_that_are_done(
    sessions: Sessions, triage: Triage, replied: int, receive: Receive
) -> None:
    waiting = receive("2")
    with transaction(sessions) as session:
        session.execute(text("update tickets set received_at = now() - interval '91 days'"))

    young = triage("purge", "--older-than", "92d", "--yes", "--by", "Ana")
    done = triage("purge", "--older-than", "90d", "--yes", "--by", "Ana")

    assert young.exit_code == 3
    assert json.loads(done.stdout)["removed_from"]["tickets"] == 1
    assert ticket(sessions, replied).body == ""
    assert ticket(sessions, waiting).body == GERMAN_BODY


@pytest.mark.parametrize("age", ["90", "d", "-1d", "0d", "90 days"])
def test_an_age_that_is_none_is_refused(triage: Triage, age: str) -> None:
    refused = triage("purge", "--older-than", age, "--yes", "--by", "Ana")

    assert "such as 90d" in str(refused.exception)


def test_messages_that_nobody_could_read_are_listed_and_discarded(
    sessions: Sessions, broker: Broker, triage: Triage
) -> None:
    letter = {"reason": "cannot be decoded: x", "queue": "triage.live", "body": "{"}
    with broker.app.producer_or_acquire() as producer:
        for _ in range(2):
            producer.publish(letter, exchange="", routing_key=DEAD.name, declare=[DEAD])

    first, again = (triage("dead", "messages").stdout.splitlines() for _ in range(2))
    asked = triage("dead", "messages", "--discard", "--by", "Ana", input="n\n")
    done = triage("dead", "messages", "--discard", "--by", "Ana", "--reason", "junk", input="y\n")

    assert [json.loads(line) for line in first] == [letter, letter]
    assert again == first, "they stay where they are"
    assert asked.exit_code == 1
    assert "2 messages discarded" in done.stdout
    assert triage("dead", "messages").stdout == ""
    assert acts(sessions) == [("dead messages discard", "Ana", "junk")]


def test_erasing_a_person_takes_what_quotes_them_in_their_conversation(
    sessions: Sessions, receive: Receive, replied: int
) -> None:
    del replied
    hers = receive("7", requester="kunigunde@example.org")
    answer = receive("7", body="Gern.", cut="> Kunigunde schrieb", requester="agent@example.org",
                     delivery_key="d-a", ignore_reason="an agent's reply")  # fmt: skip
    elsewhere = receive("8", body="Gern.", requester="agent@example.org", delivery_key="d-b",
                        ignore_reason="an agent's reply")  # fmt: skip

    with transaction(sessions) as session:
        counts = store.erase(session, store.of_requester("kunigunde@example.org"))

    assert counts["tickets"] == 2
    assert [ticket(sessions, id_).erased_at is not None for id_ in (hers, answer, elsewhere)] == [
        True, True, False,
    ]  # fmt: skip


def test_while_tickets_are_erased_their_deliveries_still_come_in(
    sessions: Sessions, receive: Receive
) -> None:
    receive("1", requester="a@example.org")

    with transaction(sessions) as session:
        store.erase(session, store.of_requester("a@example.org"))
        with transaction(sessions) as gateway:
            gateway.execute(text("set local lock_timeout = '2s'"))
            gateway.execute(text(
                "insert into deliveries (source, delivery_key, event, ticket_id)"
                " values ('generic', 'again', 'ticket', 1)"
            ))  # fmt: skip


def test_a_discarded_message_was_here_and_is_newer_than_those_before(
    sessions: Sessions, triage: Triage, dead: int
) -> None:
    triage("dead", "discard", dead, "--yes", "--by", "Ana")

    with transaction(sessions) as session:
        [known] = store.known(session, "generic", [ticket(sessions, dead).external_id]).values()
    assert known == dead


def test_more_dead_tickets_than_a_statement_has_parameters_are_run_again(
    sessions: Sessions, triage: Triage, dead: int
) -> None:
    with transaction(sessions) as session:
        session.execute(text(
            "insert into tickets (source, external_id, content_key, subject, body, cut, state,"
            " queue, attempt_id) select source, n::text, content_key, '', '', '', state, queue,"
            " attempt_id from tickets, generate_series(10, 66000) as n where id = :dead"
        ), {"dead": dead})  # fmt: skip

    done = triage("dead", "discard", "--all", "--yes", "--by", "Ana")

    assert done.exit_code == 0, done.output
    assert "65992 tickets discarded." in done.stdout.replace(",", "")


def test_a_number_names_another_person_on_each_helpdesk(
    sessions: Sessions, triage: Triage, receive: Receive
) -> None:
    here = receive("1", source="chatwoot/acme", requester="7")
    there = receive("1", source="chatwoot/beta", requester="7")

    refused = triage("erase", "--requester", "7", "--yes", "--by", "Ana")
    done = triage("erase", "--requester", "7", "--source", "chatwoot/acme", "--yes", "--by", "Ana")

    assert "name one with --source" in str(refused.exception)
    assert json.loads(done.stdout)["removed_from"]["tickets"] == 1
    assert [ticket(sessions, id_).erased_at is not None for id_ in (here, there)] == [True, False]


def test_a_ticket_that_names_nobody_is_counted_and_erased_by_its_id(
    sessions: Sessions, triage: Triage, receive: Receive
) -> None:
    receive("1", requester=" Ana@Example.org ")
    nobodys = receive("2", source="zendesk")

    hers = json.loads(
        triage("erase", "--requester", "ana@example.org", "--yes", "--by", "Ana").stdout
    )
    refused = triage("erase", "--ticket", "2", "--yes", "--by", "Ana")
    both = triage("erase", "--ticket", "2", "--requester", "a", "--yes", "--by", "Ana")
    done = json.loads(
        triage("erase", "--ticket", "2", "--source", "zendesk", "--yes", "--by", "Ana").stdout
    )

    assert (hers["removed_from"]["tickets"], hers["without_requester"]) == (1, 1)
    assert "name one with --source" in str(refused.exception)
    assert "give --requester, or --ticket" in str(both.exception)
    assert (done["removed_from"]["tickets"], done["without_requester"]) == (1, 0)
    assert ticket(sessions, nobodys).erased_at is not None


def test_purging_takes_along_what_quotes_the_purged_and_the_erased(
    sessions: Sessions, triage: Triage, receive: Receive, replied: int
) -> None:
    quote = {"body": "> Ich heiße Kunigunde", "ignore_reason": "an agent's reply"}
    with transaction(sessions) as session:
        session.execute(text("update tickets set received_at = now() - interval '99 days'"))
        [of_the_old] = session.scalars(select(Ticket.external_id))
    answered = receive(of_the_old, delivery_key="a", **quote)
    erased = receive("erased", requester="ana@example.org")
    triage("erase", "--requester", "ana@example.org", "--yes", "--by", "Ana")
    after = receive("erased", delivery_key="b", **quote)
    young, of_the_young = receive("young"), receive("young", delivery_key="c", **quote)

    triage("purge", "--older-than", "90d", "--yes", "--by", "Ana")

    kept = {id_ for id_ in (replied, answered, erased, after, young, of_the_young)
            if ticket(sessions, id_).erased_at is None}  # fmt: skip
    assert kept == {young, of_the_young}


def test_a_subject_that_begins_like_a_formula_is_text_in_a_spreadsheet(
    triage: Triage, receive: Receive
) -> None:
    receive("9", subject='=HYPERLINK("http://evil.example","open")')

    table, lines = triage("export", "--format", "csv").stdout, triage("export").stdout

    assert "'=HYPERLINK" in table
    assert json.loads(lines)["subject"].startswith("=HYPERLINK")
