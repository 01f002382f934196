"""Answers that are asked for again, tickets that go to a longer context, workers that are known."""

import dataclasses
from collections.abc import Callable

import pytest
from sqlalchemy import select, text

from tests.integration.conftest import Broker
from tests.replies import GERMAN_BODY, written
from worker.database import Sessions, transaction
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.sweep import Sweep
from worker.dispatch.tasks import triage_one
from worker.engine.contract import Prompt
from worker.engine.scripted import ScriptedEngine
from worker.queues import Queue
from worker.tickets import read, store
from worker.tickets.rows import Attempt, Finding, Reply, Ticket, Worker
from worker.tickets.states import Outcome, State

Receive = Callable[..., int]
MakeRuntime = Callable[..., Runtime]
LONG_BODY = f"{GERMAN_BODY}\n\n" + "Bitte helfen Sie mir! " * 20_000
FAULTY = written(reply="Guten Tag [Name], wir prüfen die Rechnung und melden uns bei Ihnen.")


@pytest.fixture
def repairing(runtime: MakeRuntime) -> MakeRuntime:
    """A runtime whose prompt version knows how to ask again."""

    def make(engine: ScriptedEngine) -> Runtime:
        run = runtime(engine)
        return dataclasses.replace(
            run, desk=dataclasses.replace(run.desk, prompt_version="triage-1")
        )

    return make


def mends_what_it_is_told(prompt: Prompt) -> str:
    return written() if "no_placeholder" in prompt.note else FAULTY


def ticket_of(sessions: Sessions, ticket_id: int) -> Ticket:
    with transaction(sessions) as session:
        return session.get_one(Ticket, ticket_id)


def outcomes(sessions: Sessions) -> list[str]:
    with transaction(sessions) as session:
        return list(session.scalars(select(Attempt.outcome).order_by(Attempt.number)))


def serve(sessions: Sessions, queue: Queue) -> None:
    with transaction(sessions) as session:
        store.worker_is_here(session, "other", profile="long", queues=[queue], in_flight=4)


def test_an_answer_that_fails_a_check_is_asked_for_again_with_the_fault_named(
    sessions: Sessions, broker: Broker, repairing: MakeRuntime, receive: Receive
) -> None:
    ticket_id, run = receive(), repairing(ScriptedEngine(mends_what_it_is_told))

    triage_one(ticket_id, run)
    waiting = ticket_of(sessions, ticket_id)
    triage_one(ticket_id, run)

    assert (waiting.state, waiting.repairs, waiting.failures) == (State.RECEIVED, 1, 0)
    assert broker.sent == [(ticket_id, Queue.LIVE)]
    assert outcomes(sessions) == [Outcome.REPAIR, Outcome.REPLIED]
    with transaction(sessions) as session:
        first, second = session.scalars(select(Attempt).order_by(Attempt.number))
        assert session.scalars(select(Finding.attempt_id)).all() == [first.id]
        assert session.scalars(select(Reply.attempt_id)).all() == [second.id]
    assert first.raw_output == FAULTY


def test_an_answer_that_fails_again_goes_to_a_person(
    sessions: Sessions, repairing: MakeRuntime, receive: Receive
) -> None:
    ticket_id, run = receive(), repairing(ScriptedEngine(lambda _: FAULTY))

    for _ in range(3):
        triage_one(ticket_id, run)

    assert outcomes(sessions) == [Outcome.REPAIR, Outcome.NEEDS_HUMAN]
    assert ticket_of(sessions, ticket_id).reason == "failed checks: no_placeholder"


def test_nothing_is_asked_again_where_the_prompt_version_cannot_say_what_was_wrong(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    triage_one(receive(), runtime(ScriptedEngine(lambda _: FAULTY)))

    assert outcomes(sessions) == [Outcome.NEEDS_HUMAN]


def test_a_ticket_too_long_goes_to_the_workers_that_have_room(
    sessions: Sessions, broker: Broker, runtime: MakeRuntime, receive: Receive
) -> None:
    serve(sessions, Queue.LONG)
    ticket_id = receive(body=LONG_BODY)
    roomy = ScriptedEngine(lambda _: written(), max_model_len=131_072)

    triage_one(ticket_id, runtime())
    moved = ticket_of(sessions, ticket_id)
    triage_one(ticket_id, runtime(roomy))

    assert (moved.state, moved.queue) == (State.RECEIVED, Queue.LONG)
    assert moved.reason is not None
    assert "has room for" in moved.reason
    assert broker.sent == [(ticket_id, Queue.LONG)]
    assert outcomes(sessions) == [Outcome.MOVED, Outcome.REPLIED]


@pytest.mark.parametrize("seen", [None, "2 minutes"])
def test_where_nobody_has_room_it_is_shortened_and_a_person_gets_it(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive, seen: str | None
) -> None:
    if seen:
        serve(sessions, Queue.LONG)
        with transaction(sessions) as session:
            session.execute(text(f"update workers set seen_at = now() - interval '{seen}'"))
    ticket_id = receive(body=LONG_BODY)

    triage_one(ticket_id, runtime())

    with transaction(sessions) as session:
        [report] = read.reports(session, [ticket_id])
    assert (report["state"], report["disposition"]) == (State.NEEDS_HUMAN, "human")
    assert report["reply"]
    assert [finding["check"] for finding in report["findings"]] == ["ticket_is_whole"]


def test_a_long_ticket_too_long_even_for_its_queue_is_shortened_there(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    serve(sessions, Queue.LONG)
    ticket_id = receive(body=LONG_BODY)

    triage_one(ticket_id, runtime())
    triage_one(ticket_id, runtime())

    assert outcomes(sessions) == [Outcome.MOVED, Outcome.NEEDS_HUMAN]


@pytest.mark.parametrize(("event", "queue"), [("ticket", Queue.LIVE), ("import", Queue.BULK)])
def test_a_long_ticket_whose_workers_never_come_back_is_shortened_by_the_others(
    sessions: Sessions, publisher: Publisher, runtime: MakeRuntime, receive: Receive, *,
    event: str, queue: Queue,
) -> None:  # fmt: skip
    serve(sessions, Queue.LONG)
    ticket_id = receive(body=LONG_BODY, event=event)
    triage_one(ticket_id, runtime())
    sweep = Sweep(sessions, publisher, max_crashes=3, lease_s=60)

    def pass_by(minutes: int) -> str:
        with transaction(sessions) as session:
            for column in ("workers set seen_at = seen_at", "tickets set updated_at = updated_at"):
                session.execute(text(f"update {column} - interval '{minutes} minutes'"))
        sweep.once()
        return ticket_of(sessions, ticket_id).queue

    assert [pass_by(10), pass_by(10)] == [Queue.LONG, queue]
    triage_one(ticket_id, runtime())
    assert ticket_of(sessions, ticket_id).state == State.NEEDS_HUMAN


def test_a_worker_that_stops_is_not_counted_on_any_more(sessions: Sessions) -> None:
    serve(sessions, Queue.LONG)

    with transaction(sessions) as session:
        assert store.is_served(session, Queue.LONG)
        assert not store.is_served(session, Queue.BULK)
        store.worker_is_gone(session, "other")
        assert not store.is_served(session, Queue.LONG)
        assert session.scalars(select(Worker)).all() == []


def test_a_suggested_reply_says_what_keeps_it_from_being_sent(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()

    triage_one(ticket_id, runtime(ScriptedEngine(lambda _: written(), probability=0.8)))

    with transaction(sessions) as session:
        reply = session.scalars(select(Reply)).one()
    row = ticket_of(sessions, ticket_id)
    assert (row.state, row.reason) == (State.REPLIED, None)
    assert (reply.disposition, (reply.disposition_reason or "")[:17]) == (
        "suggest",
        "unsure: category ",
    )
