"""From message to record: a ticket's way through a worker, with a scripted engine."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from amqp.exceptions import MessageNacked
from celery.exceptions import Reject
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from tests.integration.conftest import Broker
from tests.replies import GERMAN_BODY, written
from tests.stack import wait_for
from worker.database import Sessions, transaction
from worker.dispatch import sweep as sweeping
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.sweep import Sweep
from worker.dispatch.tasks import triage_one
from worker.engine.contract import Generation, Prompt, Request
from worker.engine.scripted import ScriptedEngine
from worker.errors import DeadlineExceeded, EngineCrashed, EngineUnavailable
from worker.queues import Queue
from worker.tickets import read, store
from worker.tickets.rows import Attempt, Finding, Reply, Ticket
from worker.tickets.states import Outcome, State

Receive = Callable[..., int]
MakeRuntime = Callable[..., Runtime]


def state_of(sessions: Sessions, ticket_id: int) -> str:
    with transaction(sessions) as session:
        return session.get_one(Ticket, ticket_id).state


def raising(error: Exception) -> Callable[[Prompt], str]:
    def script(_: Prompt) -> str:
        raise error

    return script


def crashes(sessions: Sessions) -> dict[str, int]:
    with transaction(sessions) as session:
        return {row.external_id: row.crashes for row in session.scalars(select(Ticket))}


def let_a_minute_pass(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        for column in ("received_at", "not_before", "announced_at"):
            session.execute(text(f"update tickets set {column} = {column} - interval '1 minute'"))


def sweep(sessions: Sessions, publisher: Publisher) -> Sweep:
    return Sweep(sessions, publisher, max_crashes=3, lease_s=60)


class MortalEngine(ScriptedEngine):
    """Dies with all that is in it over a ticket that says POISON, once so many are in it."""

    def __init__(self, parties: int) -> None:
        super().__init__(lambda _: written())
        self._everybody_is_in = threading.Barrier(parties)
        self._is_mortal = True

    def revive(self) -> None:
        self._is_mortal = False

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        if self._is_mortal:
            self._everybody_is_in.wait(10)
            raise EngineCrashed("the engine died")
        return super().generate(request, deadline_s=deadline_s)


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


def test_an_engine_that_is_down_gives_the_ticket_back_untouched_and_announces_it(
    sessions: Sessions, broker: Broker, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()
    triage_one(ticket_id, runtime(ScriptedEngine(raising(EngineUnavailable("stopped")))))

    assert state_of(sessions, ticket_id) == State.RECEIVED
    with transaction(sessions) as session:
        attempt = session.scalars(select(Attempt)).one()
        row = session.get_one(Ticket, ticket_id)
    assert (attempt.outcome, attempt.reason) == (Outcome.RELEASED, "stopped")
    assert (row.failures, row.crashes) == (0, 0)
    assert broker.sent == [(ticket_id, Queue.LIVE)]


def test_a_deadline_missed_uses_up_a_try_and_keeps_the_lineage(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()
    triage_one(ticket_id, runtime(ScriptedEngine(raising(DeadlineExceeded("no answer")))))

    with transaction(sessions) as session:
        attempt = session.scalars(select(Attempt)).one()
        row = session.get_one(Ticket, ticket_id)
    assert (attempt.outcome, attempt.reason) == (Outcome.RETRY, "no answer")
    assert attempt.profile == "scripted"
    assert (row.state, row.failures) == (State.RECEIVED, 1)


def test_when_the_engine_dies_all_that_were_in_it_may_have_done_it(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    run = runtime(ScriptedEngine(raising(EngineCrashed("the engine died"))))

    for ticket_id in (receive("1"), receive("2")):
        triage_one(ticket_id, run)

    assert crashes(sessions) == {"1": 1, "2": 1}


def test_a_ticket_that_kills_engines_is_found_and_its_neighbours_go_free(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ids = {name: receive(name, body=f"{GERMAN_BODY} {name}") for name in ("good", "POISON")}
    with transaction(sessions) as session:
        session.execute(text("update tickets set crashes = 2 where external_id = 'POISON'"))
    engine = MortalEngine(parties=2)
    run = runtime(engine)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda ticket_id: triage_one(ticket_id, run), ids.values()))
    engine.revive()
    triage_one(ids["good"], run)

    assert state_of(sessions, ids["good"]) == State.REPLIED
    assert state_of(sessions, ids["POISON"]) == State.NEEDS_HUMAN
    assert crashes(sessions) == {"good": 0, "POISON": 3}


def test_two_suspects_are_never_in_the_engine_together(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    inside, most = [0], [0]

    def watch(_: Prompt) -> str:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        inside[0] -= 1
        return written()

    ids = [receive(str(number)) for number in range(4)]
    with transaction(sessions) as session:
        session.execute(text("update tickets set crashes = 2"))
    run = runtime(ScriptedEngine(watch))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda ticket_id: triage_one(ticket_id, run), ids))

    assert most == [1]
    assert {state_of(sessions, ticket_id) for ticket_id in ids} == {State.REPLIED}


@dataclass(frozen=True)
class TwoSuspects:
    """One is in the engine until it `may_go`; the other waits for its turn."""

    run: Runtime
    inside: int
    waiting: int
    first: Future[None]
    second: Future[None]
    may_go: threading.Event


@pytest.fixture
def two_suspects(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> Iterator[TwoSuspects]:
    entered, may_go = threading.Event(), threading.Event()

    def hold(_: Prompt) -> str:
        entered.set()
        assert may_go.wait(10)
        return written()

    inside, waiting = receive("1"), receive("2")
    with transaction(sessions) as session:
        session.execute(text("update tickets set crashes = 2"))
    run = runtime(ScriptedEngine(hold))

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(triage_one, inside, run)
        assert entered.wait(10)
        second = threads.submit(triage_one, waiting, run)
        wait_for(lambda: run.suspects.is_waiting(waiting), "the second to wait")
        yield TwoSuspects(run, inside, waiting, first, second, may_go)
        may_go.set()


def test_a_suspect_waits_for_its_turn_without_a_claim(
    sessions: Sessions, two_suspects: TwoSuspects
) -> None:
    run, inside, waiting = two_suspects.run, two_suspects.inside, two_suspects.waiting
    triage_one(waiting, run)  # the sweep has announced it again
    held, state = run.held.ids(), state_of(sessions, waiting)
    two_suspects.may_go.set()
    two_suspects.first.result(10), two_suspects.second.result(10)

    assert (held, state) == ([inside], State.RECEIVED)
    assert {state_of(sessions, one) for one in (inside, waiting)} == {State.REPLIED}
    with transaction(sessions) as session:
        tries = session.scalars(
            select(Attempt.outcome).where(Attempt.ticket_id == waiting).order_by(Attempt.number)
        ).all()
    assert tries == [Outcome.RELEASED, Outcome.REPLIED]


def test_a_worker_that_stops_takes_no_suspect_that_waits(
    sessions: Sessions, two_suspects: TwoSuspects
) -> None:
    two_suspects.run.draining.set()
    error = two_suspects.second.exception(10)
    two_suspects.may_go.set()
    two_suspects.first.result(10)

    assert isinstance(error, Reject)
    assert state_of(sessions, two_suspects.waiting) == State.RECEIVED


def test_no_ticket_is_claimed_without_an_engine(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    engine = ScriptedEngine(lambda _: written())
    engine.stop()
    run, ticket_id = runtime(engine), receive()
    run.giving_up.set()

    with pytest.raises(Reject):
        triage_one(ticket_id, run)

    assert state_of(sessions, ticket_id) == State.RECEIVED


def test_a_finished_result_waits_for_postgres_and_is_recorded(
    sessions: Sessions, runtime: MakeRuntime, receive: Receive
) -> None:
    ticket_id = receive()

    def write_while_postgres_goes_away(_: Prompt) -> str:
        with transaction(sessions) as session:
            session.execute(text("alter table tickets rename to tickets_gone"))
            session.execute(text(
                "create view tickets as select * from tickets_gone where refuse_all()"
            ))  # fmt: skip
        return written()

    with transaction(sessions) as session:
        session.execute(text(
            "create function refuse_all() returns bool language plpgsql volatile as "
            "$$ begin raise read_only_sql_transaction; end $$"
        ))  # fmt: skip
    with ThreadPoolExecutor(1) as threads:
        run = runtime(ScriptedEngine(write_while_postgres_goes_away))
        working = threads.submit(triage_one, ticket_id, run)
        time.sleep(1)
        is_waiting = not working.done()
        with transaction(sessions) as session:
            session.execute(text("drop view tickets"))
            session.execute(text("drop function refuse_all"))
            session.execute(text("alter table tickets_gone rename to tickets"))
        working.result(10)

    assert is_waiting
    assert state_of(sessions, ticket_id) == State.REPLIED


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
    sessions: Sessions, broker: Broker, dead_publisher: Publisher, receive: Receive
) -> None:
    ticket_id = receive()
    assert dead_publisher.announce([(ticket_id, Queue.LIVE)]) == 0
    let_a_minute_pass(sessions)

    sweeping = sweep(sessions, Publisher(broker.app, sessions))
    sweeping.once()
    sweeping.once()

    assert broker.sent == [(ticket_id, Queue.LIVE)]


def test_after_a_failure_a_dead_broker_is_left_alone_for_a_while(
    dead_publisher: Publisher, receive: Receive
) -> None:
    started = time.monotonic()
    for number in range(20):
        dead_publisher.announce([(receive(str(number)), Queue.LIVE)])

    assert time.monotonic() - started < 2


def test_a_message_the_broker_lost_is_sent_again_once_its_queue_is_empty(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    ticket_id = receive()
    publisher.announce([(ticket_id, Queue.LIVE)])
    let_a_minute_pass(sessions)

    sweep(sessions, publisher).once()
    still_queued = list(broker.sent)
    sweep(sessions, publisher).once()

    assert still_queued == [(ticket_id, Queue.LIVE)]
    assert broker.sent == [(ticket_id, Queue.LIVE)] * 2


def test_a_ticket_that_is_given_back_while_others_are_announced_is_announced_again(
    sessions: Sessions, broker: Broker, runtime: MakeRuntime, receive: Receive
) -> None:
    quick, other = receive("1"), receive("2")
    run = runtime(ScriptedEngine(raising(DeadlineExceeded("no answer"))))

    def sent() -> Iterator[tuple[int, str]]:
        yield quick, Queue.LIVE
        triage_one(quick, run)  # a worker has it before the next is sent, and gives it back
        yield other, Queue.LIVE

    run.publisher.announce(sent())
    with transaction(sessions) as session:
        noted = session.scalars(select(Ticket.id).where(Ticket.announced_at.is_not(None))).all()
    let_a_minute_pass(sessions)
    sweep(sessions, run.publisher).once()

    assert noted == [other]
    assert broker.sent[:3] == [(quick, Queue.LIVE), (other, Queue.LIVE), (quick, Queue.LIVE)]


def test_a_sweep_that_has_just_started_waits_for_workers_that_were_cut_off_too(
    sessions: Sessions, publisher: Publisher, receive: Receive
) -> None:
    """Postgres and the sweep were away together: no worker could renew its lease."""
    ticket_id, ends = receive(), iter([False, True])
    with transaction(sessions) as session:
        store.claim(session, ticket_id, worker="far away", lease_s=-1)

    sweep(sessions, publisher).until(lambda _: next(ends), interval_s=0)

    assert state_of(sessions, ticket_id) == State.TRIAGING


def test_a_queue_that_nobody_serves_is_not_filled_with_the_same_again(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    publisher.announce([(receive(str(number)), Queue.LIVE) for number in range(3)])
    with transaction(sessions) as session:
        session.execute(text("update tickets set announced_at = now() - interval '2 hours'"))

    sweep(sessions, publisher).once()
    while_all_are_there = publisher.depths()[Queue.LIVE]
    broker.lose_one(Queue.LIVE)
    sweep(sessions, publisher).once()

    assert while_all_are_there == 3
    assert publisher.depths()[Queue.LIVE] == 2 + 3  # nobody knows which was lost


def test_the_sweep_leaves_a_ticket_alone_that_the_gateway_is_about_to_announce(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    receive()

    sweep(sessions, publisher).once()

    assert broker.sent == []


def test_of_more_than_a_sweep_takes_the_oldest_go_first(
    sessions: Sessions, receive: Receive
) -> None:
    newer, older = receive("1"), receive("2")
    with transaction(sessions) as session:
        for ticket_id, waits in ((newer, "1 hour"), (older, "2 hours")):
            session.execute(
                text("update tickets set not_before = now() - cast(:waits as interval)"
                     " where id = :id"),
                {"id": ticket_id, "waits": waits},
            )  # fmt: skip

        unannounced = store.unannounced(session, Queue.LIVE, older_than_s=60, limit=1)
        session.execute(text("update tickets set announced_at = not_before"))
        lost = store.announced_long_ago(session, Queue.LIVE, older_than_s=60, limit=1)

    assert unannounced == lost == [(older, Queue.LIVE)]


def test_live_tickets_are_announced_before_bulk_work_that_waits_for_longer(
    sessions: Sessions, publisher: Publisher, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(publisher, "_send", lambda ticket_id, _: sent.append(ticket_id))
    monkeypatch.setattr(sweeping, "BATCH", 2)
    bulk = [receive(f"bulk {number}") for number in range(4)]
    with transaction(sessions) as session:
        session.execute(text("update tickets set queue = 'triage.bulk',"
                             " not_before = now() - interval '2 hours'"))  # fmt: skip
    live = receive("live")
    let_a_minute_pass(sessions)

    sweep(sessions, publisher).once()

    assert sent == [live, *bulk[:2]]


def test_a_queue_that_takes_no_more_keeps_no_other_waiting(
    publisher: Publisher, broker: Broker, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = publisher._send

    def full(ticket_id: int, queue: str) -> None:
        if queue == Queue.BULK:
            raise MessageNacked("the queue is full")
        send(ticket_id, queue)

    monkeypatch.setattr(publisher, "_send", full)
    first, second, live = receive("1"), receive("2"), receive("3")

    with capture_logs() as logged:
        sent = publisher.send([(first, Queue.BULK), (second, Queue.BULK), (live, Queue.LIVE)])
        publisher.send([(first, Queue.BULK)])

    assert sent == [live]
    assert not publisher.is_paused
    assert [one["event"] for one in logged] == ["queue_takes_no_more"], "it is left alone then"


def test_a_retry_is_announced_as_soon_as_it_is_due(
    sessions: Sessions,
    broker: Broker,
    publisher: Publisher,
    runtime: MakeRuntime,
    receive: Receive,
) -> None:
    ticket_id = receive()
    triage_one(ticket_id, runtime(ScriptedEngine(raising(DeadlineExceeded("no answer")))))
    with transaction(sessions) as session:
        session.execute(text("update tickets set not_before = now()"))

    sweep(sessions, publisher).once()

    assert broker.sent == [(ticket_id, Queue.LIVE)]


def test_a_ticket_whose_worker_died_is_taken_back_and_announced(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    ticket_id = receive()
    with transaction(sessions) as session:
        store.claim(session, ticket_id, worker="dead", lease_s=-1)

    swept = sweep(sessions, publisher).once()

    assert swept is not None
    assert (swept.freed, swept.announced) == (1, 1)
    with transaction(sessions) as session:
        assert session.scalars(select(Attempt.outcome)).all() == [Outcome.LOST]


def test_while_one_sweep_works_another_does_nothing(
    sessions: Sessions, publisher: Publisher
) -> None:
    with transaction(sessions) as session:
        assert store.take_sweep_lock(session)
        assert sweep(sessions, publisher).once() is None


def test_a_count_that_takes_too_long_keeps_no_sweep_from_its_work(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def too_long(session: Session) -> None:
        session.execute(text("set local statement_timeout = 1; select pg_sleep(1)"))

    ticket_id = receive()
    let_a_minute_pass(sessions)
    monkeypatch.setattr(store, "count_day", too_long)

    swept = sweep(sessions, publisher).once()

    assert swept is not None
    assert broker.sent == [(ticket_id, Queue.LIVE)]


LONG_ONES = """
update tickets set queue = 'triage.long', announced_at = now() - interval '2 hours' where id = 1;
update tickets set state = 'replied' where id = 2;
insert into attempts (ticket_id, number, worker, outcome) values (2, 1, 'w', 'replied');
insert into replays (state, actor, selection, as_it_was) values ('running', 'Ana', '{}', false);
insert into reruns (replay_id, ticket_id, base_attempt_id, profile, queue, state, announced_at)
values (1, 2, 1, 'p', 'triage.long', 'received', now())
"""
"""The first ticket and a rerun of the second wait in the queue of long ones."""


def test_messages_of_reruns_do_not_hide_that_a_tickets_is_lost(
    sessions: Sessions, broker: Broker, publisher: Publisher, receive: Receive
) -> None:
    ticket_id = receive()
    publisher.announce([(ticket_id, Queue.LONG)])
    broker.lose_one(Queue.LONG)
    other = receive("2")
    publisher.send([(other, Queue.LONG)])  # a rerun's
    with transaction(sessions) as session:
        session.execute(text(LONG_ONES))
        store.worker_is_here(session, "w", profile="p", queues=["triage.long"], in_flight=1)

    sweep(sessions, publisher).once()

    assert (ticket_id, Queue.LONG) in broker.sent
