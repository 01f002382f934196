"""The ticket store: each step is one statement that does its work once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from schemas.ticket import IncomingTicket, not_a_message
from tests.replies import GERMAN_SUBJECT
from worker.database import Sessions, transaction
from worker.queues import Queue
from worker.tickets import store
from worker.tickets.rows import Attempt, Delivery, Finding, Ticket
from worker.tickets.states import MOVES, Outcome, State
from worker.tickets.store import Claim, Received, Result, RetryPolicy
from worker.tickets.store.newer import has_newer_message

REPLIED = Result(Outcome.REPLIED, None, {"language": "de"})
CRASHED = Result(Outcome.CRASHED, "the engine died")
FAILED = Result(Outcome.RETRY, "the engine is down")
POLICY = RetryPolicy(max_repairs=1, max_attempts=2, max_crashes=2, base_s=0.001, cap_s=0.01)

Receive = Callable[..., int]


def take(sessions: Sessions, ticket_id: int, worker: str = "w1", lease_s: float = 60) -> Claim:
    with transaction(sessions) as session:
        claim = store.claim(session, ticket_id, worker=worker, lease_s=lease_s)
    assert claim is not None
    return claim


def ticket(sessions: Sessions, ticket_id: int) -> Ticket:
    with transaction(sessions) as session:
        return session.get_one(Ticket, ticket_id)


def attempts(sessions: Sessions, ticket_id: int) -> list[Attempt]:
    with transaction(sessions) as session:
        return list(
            session.scalars(
                select(Attempt).where(Attempt.ticket_id == ticket_id).order_by(Attempt.number)
            )
        )


def deliver(sessions: Sessions, **changes: object) -> Received:
    fields = {"source": "generic", "external_id": "1", "delivery_key": "d", "event": "e"}
    incoming = IncomingTicket.model_validate({**fields, "subject": "s", "body": "b", **changes})
    with transaction(sessions) as session:
        return store.receive(session, incoming, Queue.LIVE)


def test_a_delivery_repeated_is_counted_and_makes_no_ticket(sessions: Sessions) -> None:
    first, again = deliver(sessions), deliver(sessions)

    assert (first.is_new, again.is_new) == (True, False)
    assert again.ticket_id == first.ticket_id
    with transaction(sessions) as session:
        assert session.scalars(select(Delivery.repeats)).all() == [1]


def test_the_same_content_in_another_delivery_is_the_same_ticket(sessions: Sessions) -> None:
    first, again = deliver(sessions), deliver(sessions, delivery_key="other")

    assert (again.is_new, again.ticket_id) == (False, first.ticket_id)


def test_an_edited_message_is_another_ticket(sessions: Sessions) -> None:
    first, edited = deliver(sessions), deliver(sessions, delivery_key="other", body="changed")

    assert edited.is_new
    assert edited.ticket_id != first.ticket_id


def test_one_delivery_sent_by_sixteen_threads_makes_one_ticket(sessions: Sessions) -> None:
    with ThreadPoolExecutor(16) as threads:
        received = list(threads.map(lambda _: deliver(sessions), range(48)))

    assert sum(one.is_new for one in received) == 1
    assert len({one.ticket_id for one in received}) == 1


def test_an_ignored_message_is_kept_and_never_claimed(sessions: Sessions) -> None:
    received = deliver(sessions, ignore_reason="an internal note")

    with transaction(sessions) as session:
        assert store.claim(session, received.ticket_id, worker="w", lease_s=60) is None
    assert ticket(sessions, received.ticket_id).state == State.IGNORED


def test_an_ignored_event_with_the_tickets_text_does_not_take_its_place(sessions: Sessions) -> None:
    """A label set on a ticket brings its text along, perhaps before the ticket itself has come."""
    label = deliver(sessions, ignore_reason="no message: update", delivery_key="label")
    found_missing = known(sessions)
    opened = deliver(sessions, delivery_key="opened")
    again = deliver(sessions, ignore_reason="no message: update", delivery_key="again")

    assert found_missing == {}
    assert opened.is_new
    assert (again.is_new, again.ticket_id) == (False, label.ticket_id)
    assert known(sessions) == {"1": opened.ticket_id}
    assert ticket(sessions, opened.ticket_id).state == State.RECEIVED


def known(sessions: Sessions) -> dict[str, int]:
    with transaction(sessions) as session:
        return store.known(session, "generic", ["1"])


def test_a_ticket_claimed_by_sixteen_threads_is_claimed_once(
    sessions: Sessions, receive: Receive
) -> None:
    ticket_id = receive()

    def claim(number: int) -> Claim | None:
        with transaction(sessions) as session:
            return store.claim(session, ticket_id, worker=f"w{number}", lease_s=60)

    with ThreadPoolExecutor(16) as threads:
        claims = [claim for claim in threads.map(claim, range(16)) if claim]

    assert len(claims) == 1
    assert len(attempts(sessions, ticket_id)) == 1


def test_a_recorded_ticket_keeps_attempt_and_lineage(sessions: Sessions, receive: Receive) -> None:
    claim = take(sessions, receive())

    with transaction(sessions) as session:
        assert store.record(session, claim, REPLIED) is State.REPLIED

    row = ticket(sessions, claim.ticket_id)
    assert (row.state, row.language, row.claimed_by) == (State.REPLIED, "de", None)
    [attempt] = attempts(sessions, claim.ticket_id)
    assert attempt.outcome == Outcome.REPLIED
    assert attempt.finished_at is not None


def test_a_worker_that_lost_its_lease_keeps_the_attempt_and_changes_nothing_else(
    sessions: Sessions, receive: Receive
) -> None:
    late = take(sessions, receive(), worker="slow", lease_s=-1)
    with transaction(sessions) as session:
        assert store.free_expired(session, max_crashes=5) == [late.ticket_id]
    quick = take(sessions, late.ticket_id, worker="quick")

    with transaction(sessions) as session:
        assert store.record(session, late, REPLIED) is None

    assert ticket(sessions, late.ticket_id).claimed_by == "quick"
    with transaction(sessions) as session:
        assert store.record(session, quick, REPLIED) is State.REPLIED
    outcomes = [attempt.outcome for attempt in attempts(sessions, late.ticket_id)]
    assert outcomes == [Outcome.SUPERSEDED, Outcome.REPLIED]


def test_a_failed_ticket_waits_and_after_the_last_try_a_person_gets_it(
    sessions: Sessions, receive: Receive
) -> None:
    ticket_id = receive()
    states = []
    for _ in range(POLICY.max_attempts):
        with transaction(sessions) as session:
            session.execute(text("update tickets set not_before = now()"))
        claim = take(sessions, ticket_id)
        with transaction(sessions) as session:
            states.append(store.give_back(session, claim, FAILED, POLICY))

    assert states == [State.RECEIVED, State.NEEDS_HUMAN]
    assert ticket(sessions, ticket_id).reason == "the engine is down"


@pytest.mark.parametrize("cap_s", [1e-6, 20.0])
def test_a_retry_is_due_within_the_policy_s_bound(
    sessions: Sessions, receive: Receive, cap_s: float
) -> None:
    claim = take(sessions, receive())

    with transaction(sessions) as session:
        store.give_back(session, claim, FAILED, RetryPolicy(1, 9, 9, base_s=1e9, cap_s=cap_s))

    row = ticket(sessions, claim.ticket_id)
    assert timedelta(0) <= row.not_before - row.updated_at <= timedelta(seconds=cap_s)


def test_a_ticket_is_not_claimed_before_its_time(sessions: Sessions, receive: Receive) -> None:
    claim = take(sessions, receive())
    with transaction(sessions) as session:
        store.give_back(session, claim, FAILED, RetryPolicy(1, 9, 9, base_s=1e6, cap_s=1e6))

    with transaction(sessions) as session:
        assert store.claim(session, claim.ticket_id, worker="w", lease_s=60) is None


def test_a_record_repeated_because_its_answer_was_lost_changes_nothing(
    sessions: Sessions, receive: Receive
) -> None:
    claim = take(sessions, receive())

    for _ in range(2):
        with transaction(sessions) as session:
            assert store.record(session, claim, REPLIED) is State.REPLIED

    [attempt] = attempts(sessions, claim.ticket_id)
    assert attempt.outcome == Outcome.REPLIED


ENDS: dict[str, Callable[[Session, Claim], State | None]] = {
    "retry": lambda session, claim: store.give_back(session, claim, FAILED, POLICY),
    "crash": lambda session, claim: store.crashed(session, claim, CRASHED, POLICY),
    "release": lambda session, claim: store.release(session, claim, "the worker stops"),
    "move": lambda session, claim: store.move(
        session, claim, Result(Outcome.MOVED, "too long"), Queue.LONG
    ),
    "repair": lambda session, claim: store.repair(session, claim, Result(Outcome.REPAIR, "bad")),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_end_repeated_because_its_answer_was_lost_is_the_same_end(
    sessions: Sessions, receive: Receive, end: Callable[[Session, Claim], State | None]
) -> None:
    ticket_id = receive()
    with transaction(sessions) as session:
        session.execute(text("update tickets set announced_at = now()"))
    claim = take(sessions, ticket_id)
    states = []
    for _ in range(2):
        with transaction(sessions) as session:
            states.append(end(session, claim))

    row = ticket(sessions, claim.ticket_id)
    assert states == [State.RECEIVED, State.RECEIVED]
    assert row.failures + row.crashes + row.repairs <= 1
    assert row.announced_at is None
    assert len(attempts(sessions, claim.ticket_id)) == 1


def test_a_ticket_that_is_released_still_shows_the_attempt_before(
    sessions: Sessions, receive: Receive
) -> None:
    first = take(sessions, receive())
    with transaction(sessions) as session:
        store.crashed(session, first, CRASHED, POLICY)
    second = take(sessions, first.ticket_id)

    with transaction(sessions) as session:
        store.release(session, second, "the worker stops")

    assert ticket(sessions, first.ticket_id).attempt_id == first.attempt_id


def test_what_a_dead_worker_held_is_announced_again(sessions: Sessions, receive: Receive) -> None:
    ticket_id = receive()
    with transaction(sessions) as session:
        session.execute(text("update tickets set announced_at = now()"))
    take(sessions, ticket_id, lease_s=-1)

    with transaction(sessions) as session:
        store.free_expired(session, max_crashes=5)

    assert ticket(sessions, ticket_id).announced_at is None


def test_what_the_checks_found_in_a_late_result_is_not_kept(
    sessions: Sessions, receive: Receive
) -> None:
    claim = take(sessions, receive(), lease_s=-1)
    with transaction(sessions) as session:
        store.free_expired(session, max_crashes=5)
        store.record(session, claim, replace(REPLIED, findings=[("no_placeholder", "[Name]")]))

    with transaction(sessions) as session:
        assert session.scalars(select(Finding)).all() == []


def test_the_pause_grows_with_each_failure_and_is_drawn_anew(
    sessions: Sessions, receive: Receive
) -> None:
    policy = RetryPolicy(1, max_attempts=99, max_crashes=9, base_s=1, cap_s=1e6)
    pauses: dict[int, set[float]] = {}
    for failures in (0, 10):
        pauses[failures] = set()
        for number in range(12):
            claim = take(sessions, receive(f"{failures}-{number}"))
            with transaction(sessions) as session:
                session.execute(text("update tickets set failures = :n where id = :id"),
                                {"n": failures, "id": claim.ticket_id})  # fmt: skip
                store.give_back(session, claim, FAILED, policy)
            row = ticket(sessions, claim.ticket_id)
            pauses[failures].add((row.not_before - row.updated_at).total_seconds())

    assert max(pauses[0]) <= 1
    assert 2 < max(pauses[10]) <= 1024
    assert len(pauses[10]) == 12


def test_a_message_of_another_desk_is_no_newer_one(sessions: Sessions, receive: Receive) -> None:
    first = receive("1", source="zendesk/acme")
    receive("1", source="zendesk/beta", body="Another customer's.")

    with transaction(sessions) as session:
        alone = select(has_newer_message()).where(Ticket.id == first)
        assert session.scalars(alone).one() is False
        receive("1", source="zendesk/acme", body="And the invoice?", delivery_key="second")
    with transaction(sessions) as session:
        assert session.scalars(alone).one() is True


def test_a_late_result_that_is_repeated_is_late_both_times(
    sessions: Sessions, receive: Receive
) -> None:
    claim = take(sessions, receive(), lease_s=-1)
    with transaction(sessions) as session:
        store.free_expired(session, max_crashes=5)

    for _ in range(2):
        with transaction(sessions) as session:
            assert store.record(session, claim, REPLIED) is None


def test_a_renewed_lease_does_not_run_out(sessions: Sessions, receive: Receive) -> None:
    claim = take(sessions, receive(), lease_s=-1)

    with transaction(sessions) as session:
        store.extend(session, [claim], lease_s=60)
        assert store.free_expired(session, max_crashes=5) == []


def test_a_row_that_somebody_has_locked_keeps_no_other_lease_from_being_renewed(
    sessions: Sessions, receive: Receive
) -> None:
    locked, other = (take(sessions, receive(name), lease_s=-1) for name in ("1", "2"))

    with transaction(sessions) as holding, transaction(sessions) as session:
        holding.execute(
            text("select from tickets where id = :id for update"), {"id": locked.ticket_id}
        )
        session.execute(text("set local lock_timeout = '1s'"))
        store.extend(session, [locked, other], lease_s=60)
        assert store.free_expired(session, max_crashes=5) == [], (
            "one is renewed, one in other hands"
        )

    with transaction(sessions) as session:
        assert store.free_expired(session, max_crashes=5) == [locked.ticket_id]


def test_a_lease_is_as_long_as_it_is_said_though_its_transaction_has_waited(
    sessions: Sessions, receive: Receive
) -> None:
    ticket_id = receive()
    with transaction(sessions) as session:
        session.execute(text("select pg_sleep(1.2)"))
        claim = store.claim(session, ticket_id, worker="w1", lease_s=1)
        assert claim is not None
    assert is_held(sessions)

    with transaction(sessions) as session:
        session.execute(text("select pg_sleep(1.2)"))
        store.extend(session, [claim], lease_s=1)
    assert is_held(sessions)


def is_held(sessions: Sessions) -> bool:
    with transaction(sessions) as session:
        return store.free_expired(session, max_crashes=5) == []


def test_a_worker_cannot_renew_a_lease_it_has_lost(sessions: Sessions, receive: Receive) -> None:
    claim = take(sessions, receive(), worker="quick", lease_s=-1)

    with transaction(sessions) as session:
        store.extend(session, [replace(claim, worker="slow")], lease_s=60)
        assert store.free_expired(session, max_crashes=5) == [claim.ticket_id]


def test_a_ticket_over_which_engines_die_goes_to_a_person_with_all_attempts_kept(
    sessions: Sessions, receive: Receive
) -> None:
    ticket_id, states = receive(), []
    for _ in range(POLICY.max_crashes):
        claim = take(sessions, ticket_id)
        with transaction(sessions) as session:
            states.append(store.crashed(session, claim, CRASHED, POLICY))

    assert states == [State.RECEIVED, State.NEEDS_HUMAN]
    assert ticket(sessions, ticket_id).failures == 0
    outcomes = [attempt.outcome for attempt in attempts(sessions, ticket_id)]
    assert outcomes == [Outcome.CRASHED, Outcome.CRASHED]


def test_a_ticket_whose_workers_die_goes_to_a_person(sessions: Sessions, receive: Receive) -> None:
    ticket_id = receive()
    for _ in range(POLICY.max_crashes):
        take(sessions, ticket_id, lease_s=-1)
        with transaction(sessions) as session:
            store.free_expired(session, max_crashes=POLICY.max_crashes)

    row = ticket(sessions, ticket_id)
    assert (row.state, row.reason) == (State.NEEDS_HUMAN, "the worker stopped answering")


def test_the_oldest_live_ticket_that_is_due_tells_how_late_the_desk_is(
    sessions: Sessions, receive: Receive
) -> None:
    receive("waits"), receive("is in work"), receive("comes later")
    with transaction(sessions) as session:
        session.execute(text("update tickets set not_before = now() - interval '1 minute'"))
        session.execute(text(
            "update tickets set not_before = now() + interval '1 hour' "
            "where external_id = 'comes later'"
        ))  # fmt: skip
        assert 60 <= store.oldest_live_s(session) < 70
        session.execute(text("update tickets set queue = 'triage.bulk'"))
        assert store.oldest_live_s(session) == 0


def test_a_released_ticket_has_lost_no_try_and_can_be_claimed_at_once(
    sessions: Sessions, receive: Receive
) -> None:
    claim = take(sessions, receive())

    with transaction(sessions) as session:
        assert store.release(session, claim, "the worker stops") is State.RECEIVED

    assert ticket(sessions, claim.ticket_id).failures == 0
    assert take(sessions, claim.ticket_id, worker="w2").attempt == 2


def test_a_state_that_does_not_exist_is_refused_by_postgres(
    sessions: Sessions, receive: Receive
) -> None:
    ticket_id = receive()

    with pytest.raises(IntegrityError), transaction(sessions) as session:
        session.execute(text("update tickets set state = 'lost' where id = :id"), {"id": ticket_id})


def test_every_state_can_be_reached_and_only_the_ignored_is_for_good() -> None:
    reachable = set().union(*MOVES.values())

    assert set(MOVES) == set(State)
    assert reachable == set(State)
    assert [state for state, moves in MOVES.items() if not moves] == [State.IGNORED]


def test_of_an_event_that_is_no_message_the_text_is_not_kept(
    sessions: Sessions, receive: Receive
) -> None:
    receive(ignore_reason=not_a_message("issue update"), delivery_key="d-update")
    receive(ignore_reason="an agent's reply", delivery_key="d-reply", body="Gern.")

    with transaction(sessions) as session:
        rows = session.execute(text("select subject, body from tickets order by id")).all()
    assert [tuple(row) for row in rows] == [("", ""), (GERMAN_SUBJECT, "Gern.")]


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_cannot_be_read_again_is_not_kept(
    sessions: Sessions, receive: Receive, when: str
) -> None:
    ticket_id = receive(source_updated_at=when)

    with transaction(sessions) as session:
        assert store.claim(session, ticket_id, worker="w", lease_s=60) is not None
        assert session.get_one(Ticket, ticket_id).source_updated_at is None
