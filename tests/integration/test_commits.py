"""Webhooks that come together share a commit, and none of them pays for another."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from schemas.ticket import IncomingTicket
from worker.database import Sessions, transaction
from worker.gateway import commits
from worker.gateway.commits import GroupCommit
from worker.tickets import store
from worker.tickets.rows import Delivery, Ticket
from worker.tickets.store import Arrival, Received


class Announced:
    """What was announced, and whether it was committed before."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.were_there: list[bool] = []

    def announce(self, tickets: object) -> int:
        with transaction(self._sessions) as session:
            ids = [ticket_id for ticket_id, _ in tickets]  # type: ignore[attr-defined]
            found = session.scalars(select(Ticket.id).where(Ticket.id.in_(ids))).all()
        self.were_there.append(sorted(found) == sorted(ids))
        return len(ids)


@pytest.fixture
def announced(sessions: Sessions) -> Announced:
    return Announced(sessions)


@pytest.fixture
def group(sessions: Sessions, announced: Announced) -> GroupCommit:
    return GroupCommit(sessions, announced)  # type: ignore[arg-type]  # it announces


def arrival(external_id: str, *, delivery: str = "", body: str = "b") -> Arrival:
    return Arrival(
        IncomingTicket(
            source="generic", external_id=external_id, delivery_key=delivery or external_id,
            event="ticket", subject="s", body=body,
        )
    )  # fmt: skip


@contextmanager
def held_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Commits wait until they are let go."""
    may_go, keep = threading.Event(), store.receive_all

    def slowly(session: Session, *args: object) -> list[Received]:
        assert may_go.wait(10)
        return keep(session, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "receive_all", slowly)
    yield may_go.set
    may_go.set()


def keep_all(group: GroupCommit, *arrivals: Arrival) -> list[Received | BaseException]:
    async def together() -> list[Received | BaseException]:
        return await asyncio.gather(*map(group.keep, arrivals), return_exceptions=True)

    return asyncio.run(together())


def test_a_ticket_is_announced_when_it_is_committed(
    group: GroupCommit, announced: Announced
) -> None:
    kept = keep_all(group, arrival("1"), arrival("2"))

    assert all(isinstance(one, Received) and one.is_new for one in kept)
    assert announced.were_there
    assert all(announced.were_there)


def test_the_same_delivery_at_the_same_time_is_one_ticket(
    group: GroupCommit, sessions: Sessions
) -> None:
    kept = keep_all(group, *(arrival("1", delivery="d") for _ in range(20)))

    assert sum(one.is_new for one in kept if isinstance(one, Received)) == 1
    with transaction(sessions) as session:
        assert session.scalars(select(func.count()).select_from(Ticket)).one() == 1
        assert session.scalars(select(Delivery.repeats)).one() == 19


def test_messages_of_one_conversation_are_kept_as_they_came(
    group: GroupCommit, sessions: Sessions
) -> None:
    """The one that is kept later is the newer one, where no helpdesk's clock says otherwise."""
    messages = [
        arrival("1", delivery=f"message {number:02}", body=f"Text {number}") for number in range(12)
    ]

    kept = keep_all(group, *messages)

    ids = [one.ticket_id for one in kept if isinstance(one, Received)]
    assert len({*ids}) == len(messages)
    assert ids == sorted(ids)


def test_one_that_cannot_be_kept_fails_alone(
    group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = store.receive_all

    def picky(session: Session, arrivals: list[Arrival], *args: object) -> list[Received]:
        if any(one.ticket.external_id == "bad" for one in arrivals):
            raise ValueError("not to our taste")
        return keep(session, arrivals, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "receive_all", picky)

    kept = keep_all(group, *(arrival(one) for one in ("1", "bad", "2", "3", "4")))

    assert [isinstance(one, ValueError) for one in kept] == [False, True, False, False, False]


def test_who_hangs_up_costs_the_others_nothing_and_is_kept(
    group: GroupCommit, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one_hangs_up(let_go: Callable[[], None]) -> list[Received]:
        tasks = [asyncio.create_task(group.keep(arrival(str(one)))) for one in range(8)]
        await asyncio.sleep(0.2)
        tasks[0].cancel()
        tasks[5].cancel()
        await asyncio.sleep(0)
        let_go()
        return await asyncio.gather(*tasks[1:5], *tasks[6:])

    with held_back(monkeypatch) as let_go:
        kept = asyncio.run(one_hangs_up(let_go))

    assert all(one.is_new for one in kept)
    with transaction(sessions) as session:
        assert session.scalars(select(func.count()).select_from(Ticket)).one() == 8


def test_when_postgres_does_not_keep_up_more_are_sent_away(
    group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "MOST_WAITING", 3)
    monkeypatch.setattr(commits, "BATCH", 1)

    async def many(let_go: Callable[[], None]) -> list[Received | BaseException]:
        tasks = []
        for number in range(3 + commits.THREADS + 2):
            tasks.append(asyncio.create_task(group.keep(arrival(str(number)))))
            await asyncio.sleep(0.05)
        let_go()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with held_back(monkeypatch) as let_go:
        kept = asyncio.run(many(let_go))

    assert [isinstance(one, PoolTimeout) for one in kept[-2:]] == [True, True]
    assert all(isinstance(one, Received) for one in kept[:-2])
