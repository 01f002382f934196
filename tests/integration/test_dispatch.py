"""From message to record: a ticket's way through a worker, with a scripted engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from tests.integration.conftest import Broker
from tests.replies import written
from worker.database import Sessions, transaction
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.sweep import sweep
from worker.dispatch.tasks import triage_one
from worker.engine.contract import Prompt
from worker.engine.scripted import ScriptedEngine
from worker.errors import EngineUnavailable
from worker.tickets import read, store
from worker.tickets.rows import Attempt, Finding, Reply, Ticket
from worker.tickets.states import Outcome, Queue, State

Receive = Callable[..., int]
MakeRuntime = Callable[..., Runtime]


def state_of(sessions: Sessions, ticket_id: int) -> str:
    with transaction(sessions) as session:
        return session.get_one(Ticket, ticket_id).state


def test_a_ticket_is_triaged_and_its_lineage_is_in_sql(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()

    triage_one(ticket_id, runtime())

    assert state_of(sessions, ticket_id) == State.REPLIED
    with transaction(sessions) as session:
        attempt, reply = session.execute(
            select(Attempt, Reply).join(Reply, Reply.attempt_id == Attempt.id)
        ).one()
    assert (reply.category, reply.disposition) == ("billing", "auto")
    assert attempt.raw_output == written()
    lineage = (attempt.profile, attempt.prompt_version, attempt.taxonomy_version)
    assert lineage == ("scripted", "demo-1", "default-1")
    assert len(attempt.grammar_hash or "") == 64
    assert (attempt.prompt_tokens or 0) > 0
    assert (attempt.output_tokens or 0) > 0
    assert attempt.sampling == {"temperature": 0.0}
    assert None not in (attempt.queue_ms, attempt.engine_ms, attempt.cached_tokens, attempt.seed)


def test_a_message_received_sixteen_times_triages_once(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id, asked = receive(), []
    run = runtime(ScriptedEngine(lambda prompt: asked.append(prompt) or written()))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: triage_one(ticket_id, run), range(16)))

    assert len(asked) == 1


def test_an_engine_that_is_down_gives_the_ticket_back(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    def down(_: Prompt) -> str:
        raise EngineUnavailable("the engine process died")

    ticket_id = receive()
    triage_one(ticket_id, runtime(ScriptedEngine(down)))

    assert state_of(sessions, ticket_id) == State.RECEIVED
    with transaction(sessions) as session:
        attempt = session.scalars(select(Attempt)).one()
    assert (attempt.outcome, attempt.reason) == (Outcome.RETRY, "the engine process died")


def test_a_bug_gives_the_ticket_back_and_does_not_leave_the_task(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    def broken(_: Prompt) -> str:
        raise ZeroDivisionError

    ticket_id = receive()
    triage_one(ticket_id, runtime(ScriptedEngine(broken)))

    assert state_of(sessions, ticket_id) == State.RECEIVED


def test_an_output_that_does_not_parse_is_recorded_with_its_text(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()

    triage_one(ticket_id, runtime(ScriptedEngine(lambda _: '{"category":')))

    with transaction(sessions) as session:
        attempt = session.scalars(select(Attempt)).one()
        assert session.scalars(select(Reply)).all() == []
    assert (attempt.outcome, attempt.raw_output) == (Outcome.NEEDS_HUMAN, '{"category":')


def test_a_failed_check_is_a_row_and_the_reply_is_kept(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()

    triage_one(ticket_id, runtime(ScriptedEngine(lambda _: written(reply=""))))

    assert state_of(sessions, ticket_id) == State.NEEDS_HUMAN
    with transaction(sessions) as session:
        assert session.scalars(select(Finding.check_name)).all() == ["reply_is_there"]
        [report] = read.reports(session, [ticket_id])
    assert report["findings"] == [{"check": "reply_is_there", "detail": "the reply is empty"}]
    assert (report["disposition"], report["category"]) == ("human", "billing")


@pytest.mark.parametrize("body", ["😀😀😀", "12345", "", "???"])
def test_a_ticket_without_words_goes_to_a_person_with_the_reason(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive, body: str
) -> None:
    ticket_id = receive(body=body, subject="")

    triage_one(ticket_id, runtime())

    with transaction(sessions) as session:
        row = session.get_one(Ticket, ticket_id)
    assert (row.state, row.reason) == (State.NEEDS_HUMAN, "there is no text to read")


def test_a_broker_that_is_down_loses_nothing_the_sweep_announces_later(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    ticket_id = receive()
    broker.is_down = True
    assert publisher.announce([(ticket_id, Queue.LIVE)]) == 0
    with transaction(sessions) as session:
        session.execute(text("update tickets set received_at = now() - interval '1 minute',"
                             " not_before = now() - interval '1 minute'"))  # fmt: skip

    broker.is_down = False
    sweep(sessions, Publisher(broker, sessions), max_attempts=3)
    sweep(sessions, Publisher(broker, sessions), max_attempts=3)

    assert broker.sent == [(ticket_id, Queue.LIVE)]


def test_after_a_failure_a_dead_broker_is_left_alone_for_a_while(
    broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    broker.is_down = True
    publisher.announce([(receive(), Queue.LIVE)])

    broker.is_down = False

    assert publisher.announce([(receive("2"), Queue.LIVE)]) == 0


def test_the_sweep_leaves_a_ticket_alone_that_the_gateway_is_about_to_announce(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    receive()

    sweep(sessions, publisher, max_attempts=3)

    assert broker.sent == []


def test_a_retry_is_announced_as_soon_as_it_is_due(
    sessions: Sessions,
    broker: Broker,
    publisher: Publisher,
    runtime: MakeRuntime,
    receive: Receive,
) -> None:
    def down(_: Prompt) -> str:
        raise EngineUnavailable("down")

    ticket_id = receive()
    triage_one(ticket_id, runtime(ScriptedEngine(down)))
    with transaction(sessions) as session:
        session.execute(text("update tickets set not_before = now()"))

    sweep(sessions, publisher, max_attempts=3)

    assert broker.sent == [(ticket_id, Queue.LIVE)]


def test_a_ticket_whose_worker_died_is_taken_back_and_announced(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    ticket_id = receive()
    with transaction(sessions) as session:
        store.claim(session, ticket_id, worker="dead", lease_s=-1)

    swept = sweep(sessions, publisher, max_attempts=3)

    assert swept is not None
    assert (swept.freed, swept.announced) == (1, 1)
    with transaction(sessions) as session:
        assert session.scalars(select(Attempt.outcome)).all() == [Outcome.LOST]


def test_while_one_sweep_works_another_does_nothing(
    sessions: Sessions, publisher: Publisher
) -> None:
    with transaction(sessions) as session:
        assert store.is_ours(session)
        assert sweep(sessions, publisher, max_attempts=3) is None
