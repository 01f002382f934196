"""Any order of steps by any workers: the state machine over real Postgres, by Hypothesis."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, text

from schemas.ticket import IncomingTicket
from tests.integration.conftest import empty
from worker.database import Sessions, transaction
from worker.queues import Queue
from worker.tickets import store
from worker.tickets.rows import Attempt, Reply, Ticket
from worker.tickets.states import FINAL, MOVES, Outcome, State
from worker.tickets.store import Claim, Result, RetryPolicy

POLICY = RetryPolicy(max_repairs=1, max_attempts=3, max_crashes=3, base_s=1e-6, cap_s=1e-6)
REPLY = {
    "category": "billing", "type": "problem", "priority": "high", "sentiment": "negative",
    "entities": [], "summary": "s", "reply": "r", "confidence": {}, "disposition": "auto",
}  # fmt: skip
REPLIED = Result(Outcome.REPLIED, None, {"language": "de"}, REPLY)
UNSURE = Result(Outcome.NEEDS_HUMAN, "unsure", {"language": "de"}, REPLY)
FAILED = Result(Outcome.RETRY, "failed")
CRASHED = Result(Outcome.CRASHED, "crashed")

WORKERS = st.sampled_from(["a", "b", "c"])


class Journey(RuleBasedStateMachine):
    """Workers claim, finish, fail, crash and lose leases. Claims may be used late, and twice."""

    sessions: Sessions
    tickets = Bundle("tickets")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, State] = {}
        empty(self.sessions)

    @rule(target=tickets, external_id=st.integers(1, 5), delivery=st.integers(1, 8))
    def receive(self, external_id: int, delivery: int) -> int:
        new = IncomingTicket(
            source="generic", external_id=str(external_id), delivery_key=str(delivery),
            event="ticket", subject="s", body="b",
        )  # fmt: skip
        with transaction(self.sessions) as session:
            return store.receive(session, new, Queue.LIVE).ticket_id

    @rule(target=claims, ticket_id=tickets, worker=WORKERS)
    def claim(self, ticket_id: int, worker: str) -> object:
        with transaction(self.sessions) as session:
            claim = store.claim(session, ticket_id, worker=worker, lease_s=60)
        return multiple() if claim is None else claim

    @rule(claim=claims, result=st.sampled_from([REPLIED, UNSURE]))
    def record(self, claim: Claim, result: Result) -> None:
        with transaction(self.sessions) as session:
            store.record(session, claim, result)

    @rule(claim=claims)
    def fail(self, claim: Claim) -> None:
        with transaction(self.sessions) as session:
            store.give_back(session, claim, FAILED, POLICY)

    @rule(claim=consumes(claims))
    def crash(self, claim: Claim) -> None:
        with transaction(self.sessions) as session:
            store.crashed(session, claim, CRASHED, POLICY)

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        with transaction(self.sessions) as session:
            store.release(session, claim, "the worker stops")

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        with transaction(self.sessions) as session:
            store.extend(session, [claim], lease_s=60)

    @rule()
    def let_leases_run_out(self) -> None:
        with transaction(self.sessions) as session:
            session.execute(text(
                "update tickets set claimed_until = now() - interval '1 s' "
                "where state = 'triaging'"
            ))  # fmt: skip

    @rule()
    def sweep(self) -> None:
        with transaction(self.sessions) as session:
            store.free_expired(session, max_crashes=POLICY.max_crashes)

    @rule(ticket_id=tickets)
    def erase(self, ticket_id: int) -> None:
        with transaction(self.sessions) as session:
            store.erase(session, Ticket.id == ticket_id)

    @invariant()
    def only_legal_moves_are_made_and_an_end_is_an_end(self) -> None:
        with transaction(self.sessions) as session:
            now = {row.id: State(row.state) for row in session.scalars(select(Ticket))}
        for ticket_id, state in now.items():
            before = self.seen.get(ticket_id, State.RECEIVED)
            assert state == before or state in MOVES[before]
            assert before not in FINAL or state == before
        self.seen = now

    @invariant()
    def rows_agree_with_each_other(self) -> None:
        with transaction(self.sessions) as session:
            tickets = list(session.scalars(select(Ticket)))
            attempts = list(session.scalars(select(Attempt)))
            replies = list(session.scalars(select(Reply)))
        for ticket in tickets:
            its = [attempt for attempt in attempts if attempt.ticket_id == ticket.id]
            running = [attempt for attempt in its if attempt.outcome == Outcome.RUNNING]
            ends = [
                attempt
                for attempt in its
                if attempt.outcome in {Outcome.REPLIED, Outcome.NEEDS_HUMAN}
            ]
            assert sorted(attempt.number for attempt in its) == [*range(1, ticket.attempts + 1)]
            assert (ticket.claimed_by is not None) == (ticket.state == State.TRIAGING)
            assert len(running) == (ticket.state == State.TRIAGING)
            assert len(ends) <= 1
            assert [reply.attempt_id for reply in replies if reply.ticket_id == ticket.id] == [
                attempt.id for attempt in ends
            ]
            assert ticket.state != State.REPLIED or len(ends) == 1


@pytest.fixture
def journey(sessions: Sessions) -> Iterator[type[Journey]]:
    Journey.sessions = sessions
    yield Journey
    del Journey.sessions


def test_any_order_of_steps_keeps_the_promise(journey: type[Journey]) -> None:
    run_state_machine_as_test(
        journey,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
