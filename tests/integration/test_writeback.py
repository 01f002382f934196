"""Replies on their way back: ordered with the reply, written once, each source for itself."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient
from typer.testing import CliRunner

from tests.replies import GERMAN_BODY, written
from worker import helpdesk, metrics
from worker.cli import compose, process
from worker.cli.main import app
from worker.database import Sessions, transaction
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.dispatch.writeback import MOST_ATTEMPTS, Destination, WriteBack, run_all
from worker.engine.scripted import ScriptedEngine
from worker.errors import OutletBusy, OutletUnavailable, UnusableBody
from worker.helpdesk import HELPDESKS, Webhook
from worker.helpdesk.outlets import Draft, Outlet, Remote, open_outlet
from worker.helpdesk.twins import SETTINGS, TOKEN, TWINS, Twin, TwinTicket
from worker.ops.metrics import GAUGES
from worker.queues import Queue
from worker.settings import HelpdeskApi
from worker.tickets import store
from worker.tickets.rows import Ticket

Runtimes = Callable[..., Runtime]


OF_WEBHOOKS = text("select source from ops_sources_v1")
"""The sources whose webhooks show signs of life."""


@pytest.fixture
def twin() -> Twin:
    return TWINS["zendesk"]()


def outlet(twin: Twin) -> Outlet:
    given = {"url": "http://twin", "token": TOKEN, **SETTINGS.get(twin.name, {})}
    return open_outlet(twin.name, HelpdeskApi.model_validate(given), TestClient(twin.app))


@pytest.fixture
def way(twin: Twin) -> Destination:
    return Destination(outlet(twin), fields={"category": "360"})


@pytest.fixture
def replied(
    twin: Twin, runtime: Runtimes, receive: Callable[..., int]
) -> Callable[..., tuple[TwinTicket, int]]:
    """A ticket of the twin's that was triaged; the twin's and our id."""

    def make(**more: Any) -> tuple[TwinTicket, int]:
        ticket = twin.customer_writes("Doppelt abgebucht")
        ticket_id = receive(str(ticket.id), source=twin.name)
        run = replace(runtime(**more), write_back=frozenset({twin.name}))
        triage_one(ticket_id, run)
        return ticket, ticket_id

    return make


Replied = Callable[..., tuple[TwinTicket, int]]


def ledger(sessions: Sessions) -> list[tuple[Any, ...]]:
    query = "select state, attempts, reason from writebacks order by id"
    with transaction(sessions) as session:
        return [tuple(row) for row in session.execute(text(query))]


def notes(ticket: TwinTicket) -> list[str]:
    return [one.body for one in ticket.said if one.by == "agent"]


def test_a_reply_is_written_back_once(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, _ = replied()
    back = WriteBack(sessions, "zendesk", way)

    assert back.once() == 0
    assert back.once() is None

    assert len(notes(ticket)) == 1
    assert ledger(sessions) == [("done", 1, None)]
    assert not ticket.said[-1].public


def test_what_needs_a_person_and_what_no_source_wants_stays_here(
    sessions: Sessions, twin: Twin, runtime: Runtimes, receive: Callable[..., int]
) -> None:
    unsure = ScriptedEngine(lambda _: written(), probability=0.3)
    run = replace(runtime(unsure), write_back=frozenset({"zendesk"}))

    triage_one(receive("1", source="zendesk"), run)
    triage_one(receive("2", source="zammad"), replace(runtime(), write_back=frozenset({"zendesk"})))

    assert ledger(sessions) == []


@pytest.mark.parametrize("public", [False, True])
def test_a_worker_that_dies_between_writing_and_noting_it_doubles_nothing(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, *, public: bool
) -> None:
    ticket, _ = replied()
    back = WriteBack(sessions, "zendesk", replace(way, public=public))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "end_write_back", died)
        with pytest.raises(SystemExit):
            back.once()
    with transaction(sessions) as session:
        session.execute(text("update writebacks set not_before = now()"))  # its lease has run out

    back.once()

    assert len(notes(ticket)) == 1
    assert ticket.said[-1].public is public
    assert ledger(sessions) == [("done", 2, None)]


def test_what_was_written_stays_done_though_a_person_used_it_before_that_was_noted(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, _ = replied()
    back = WriteBack(sessions, "zendesk", way)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "end_write_back", died)
        with pytest.raises(SystemExit):
            back.once()
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")
    with transaction(sessions) as session:
        session.execute(text("update writebacks set not_before = now()"))

    back.once()

    assert ledger(sessions) == [("done", 2, None)]


@pytest.mark.parametrize("dies", [False, True])
def test_nobody_is_answered_twice_in_public(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, runtime: Runtimes,
    *, dies: bool,
) -> None:  # fmt: skip
    ticket, ticket_id = replied()
    back = WriteBack(sessions, "zendesk", replace(way, public=True))
    with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
        if dies:
            patch.setattr(store, "end_write_back", died)
        back.once()
    with transaction(sessions) as session:  # as a promotion does
        session.execute(text("update tickets set state = 'received', attempts = 1"))
    triage_one(ticket_id, replace(runtime(), write_back=frozenset({"zendesk"})))

    back.once()

    assert [one.public for one in ticket.said if one.by == "agent"] == [True, False]
    assert [state for state, _, _ in ledger(sessions)] == ["waiting" if dies else "done", "done"]


def test_an_erased_reply_is_not_written_back_and_a_try_under_way_notes_nothing(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    replied()
    replied()
    with transaction(sessions) as session:
        job = store.take_write_back(session, "zendesk", lease_s=60)
        assert job is not None
        store.erase(session, Ticket.id.is_not(None))
        store.put_off_write_back(session, job, reason="Kunigunde …", wait_s=1, most_attempts=9)

    assert WriteBack(sessions, "zendesk", way).once() is None

    assert ledger(sessions) == [("skipped", 2, "erased"), ("skipped", 1, "erased")]


def test_what_was_written_back_while_it_was_erased_is_in_the_ledger(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    replied()
    with transaction(sessions) as session:
        job = store.take_write_back(session, "zendesk", lease_s=60)
        assert job is not None
        store.erase(session, Ticket.id.is_not(None))
        store.end_write_back(session, job, "done", remote_id="17")

    assert ledger(sessions) == [("done", 2, None)]


def died(*_: object, **__: object) -> None:
    raise SystemExit


def test_a_busy_helpdesk_is_left_alone_as_long_as_it_says(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, _ = replied()
    twin.busy, twin.retry_after = 1, "600"
    back = WriteBack(sessions, "zendesk", way)

    assert back.once() == 600
    assert back.once() is None

    [(state, attempts, reason)] = ledger(sessions)
    assert (state, attempts) == ("waiting", 1)
    assert "again in 600 s" in reason
    assert notes(ticket) == []


def test_a_conflict_is_looked_at_again_at_once(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, _ = replied()
    back = WriteBack(sessions, "zendesk", Destination(changing(way.outlet, ticket), fields={}))

    back.once()
    back.once()

    assert ledger(sessions)[0][:2] == ("done", 2)
    assert len(notes(ticket)) == 1


def changing(inner: Outlet, ticket: TwinTicket) -> Any:
    """An outlet between whose look and write somebody changes the ticket, the first time."""

    class Changing:
        looks = 0

        def look(self, draft: Draft) -> Any:
            remote = inner.look(draft)
            self.looks += 1
            if self.looks == 1:
                ticket.version += 1
            return remote

        def write(self, draft: Any, remote: Any) -> str:
            return inner.write(draft, remote)

    return Changing()


def test_a_ticket_that_a_person_answered_is_skipped(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, _ = replied()
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")

    WriteBack(sessions, "zendesk", way).once()

    assert ledger(sessions) == [("skipped", 1, "a person has answered meanwhile")]
    assert notes(ticket) == ["Wir haben es erstattet."]
    assert ticket.tags == set()


def test_what_a_customer_writes_after_an_answer_is_answered_itself(
    sessions: Sessions,
    twin: Twin,
    way: Destination,
    replied: Replied,
    *,
    runtime: Runtimes,
    receive: Callable[..., int],
) -> None:
    ticket, _ = replied()
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")
    twin.customer_adds(ticket.id, "Danke! Und die Rechnung?")
    run = replace(runtime(), write_back=frozenset({"zendesk"}))
    more = receive(
        str(ticket.id), source="zendesk", body=f"{GERMAN_BODY} Bitte!", delivery_key="second"
    )
    triage_one(more, run)
    back = WriteBack(sessions, "zendesk", way)

    while back.once() is not None:
        pass

    assert ledger(sessions) == [
        ("skipped", 1, "a person has answered meanwhile"), ("done", 1, None),
    ]  # fmt: skip
    assert "[ticket-triage 2]" in notes(ticket)[-1]


@pytest.mark.parametrize("known_of", ["when it came", "the helpdesk's clock"])
def test_an_answered_message_stays_answered_though_the_customer_wrote_what_never_came(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, *, known_of: str
) -> None:
    ticket, _ = replied()
    came = ticket.said[0].at
    column = "received_at" if known_of == "when it came" else "source_updated_at"
    with transaction(sessions) as session:
        session.execute(text(f"update tickets set {column} = :came"), {"came": came})
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")
    twin.customer_adds(ticket.id, "Danke!")

    WriteBack(sessions, "zendesk", way).once()

    assert ledger(sessions) == [("skipped", 1, "a person has answered meanwhile")]
    assert notes(ticket) == ["Wir haben es erstattet."]


@pytest.mark.parametrize("second", ["auto", "suggest"])
def test_our_public_reply_to_one_message_is_no_answer_to_the_next(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, *,
    second: str, runtime: Runtimes, receive: Callable[..., int],
) -> None:  # fmt: skip
    ticket, _ = replied()
    twin.customer_adds(ticket.id, "Und die Rechnung?")
    more = receive(
        str(ticket.id), source="zendesk", body=f"{GERMAN_BODY} Bitte!", delivery_key="second"
    )
    triage_one(more, replace(runtime(), write_back=frozenset({"zendesk"})))
    with transaction(sessions) as session:
        session.execute(text("update replies set disposition = :second where ticket_id = :more"),
                        {"second": second, "more": more})  # fmt: skip
    back = WriteBack(sessions, "zendesk", replace(way, public=True))

    while back.once() is not None:
        pass

    assert [state for state, _, _ in ledger(sessions)] == ["done", "done"]
    assert [one.public for one in ticket.said if one.by == "agent"] == [True, second == "auto"]


def test_of_messages_after_an_answer_none_is_answered_by_it(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, *,
    runtime: Runtimes, receive: Callable[..., int],
) -> None:  # fmt: skip
    ticket, _ = replied()
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")
    for number in (2, 3):
        twin.customer_adds(ticket.id, "Und die Rechnung?")
        more = receive(
            str(ticket.id), source="zendesk", body=f"{GERMAN_BODY} {number}",
            delivery_key=f"d{number}", source_updated_at=ticket.said[-1].at,
        )  # fmt: skip
        triage_one(more, replace(runtime(), write_back=frozenset({"zendesk"})))
    back = WriteBack(sessions, "zendesk", way)

    while back.once() is not None:
        pass

    assert [state for state, _, _ in ledger(sessions)] == ["skipped", "done", "done"]


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("came", ["in order", "the newer first"])
def test_what_was_put_off_does_not_undo_the_labels_of_a_newer_message(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, *,
    public: bool, came: str, runtime: Runtimes, receive: Callable[..., int],
) -> None:  # fmt: skip
    ticket, first = replied()
    twin.customer_adds(ticket.id, "Es eilt!")
    second = receive(
        str(ticket.id), source="zendesk", body=f"{GERMAN_BODY} Bitte!", delivery_key="second"
    )
    urgent = ScriptedEngine(lambda _: written(priority="urgent", sentiment="negative"))
    triage_one(second, replace(runtime(urgent), write_back=frozenset({"zendesk"})))
    older, newer = (first, second) if came == "in order" else (second, first)
    back = WriteBack(sessions, "zendesk", replace(way, public=public))
    with transaction(sessions) as session:
        for minute, ticket_id in enumerate((older, newer)):
            session.execute(
                text("update tickets set source_updated_at = :at where id = :id"),
                {"at": datetime(2026, 11, 24, 9, minute, tzinfo=UTC), "id": ticket_id},
            )
        session.execute(text("update writebacks set not_before = now() + interval '1 hour' "
                             "where ticket_id = :id"), {"id": older})  # fmt: skip
    back.once()
    after_the_newer = (ticket.priority, set(ticket.tags))
    with transaction(sessions) as session:
        session.execute(text("update writebacks set not_before = now()"))

    back.once()

    assert (ticket.priority, ticket.tags) == after_the_newer
    assert after_the_newer[0] == ("urgent" if newer == second else "high")
    assert len(notes(ticket)) == (2 if public else 1)
    if not public:
        assert sorted(ledger(sessions)) == [
            ("done", 1, None), ("skipped", 1, "a newer message's reply is there already"),
        ]  # fmt: skip


def test_what_was_written_is_not_ordered_again_and_what_failed_has_all_its_tries(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, ticket_id = replied()
    WriteBack(sessions, "zendesk", way).once()
    with transaction(sessions) as session:
        store.order_write_back(session, ticket_id, 1)
    done = ledger(sessions)
    with transaction(sessions) as session:
        session.execute(text("update writebacks set state = 'failed', attempts = 20"))
        store.retry_write_backs(session, None)

    assert done == [("done", 1, None)]
    assert [(state, tries) for state, tries, _ in ledger(sessions)] == [("waiting", 0)]
    assert len(notes(ticket)) == 1


def test_only_replies_of_the_conversation_are_known_as_ours(
    sessions: Sessions, twin: Twin, replied: Replied
) -> None:
    replied()
    replied()

    with transaction(sessions) as session:
        jobs = [store.take_write_back(session, "zendesk", lease_s=60) for _ in range(2)]

    assert [[id_ for id_, _ in job.auto] for job in jobs if job] == [[1], [2]]


def test_in_public_goes_only_what_nobody_has_to_look_at(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, _ = replied()
    with transaction(sessions) as session:
        session.execute(text("update replies set disposition = 'suggest'"))

    WriteBack(sessions, "zendesk", replace(way, public=True)).once()

    assert len(notes(ticket)) == 1
    assert not ticket.said[-1].public


def test_an_erased_ticket_is_skipped_without_asking_the_helpdesk(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    replied()
    with transaction(sessions) as session:
        session.execute(text("update tickets set erased_at = now()"))

    WriteBack(sessions, "zendesk", way).once()

    assert ledger(sessions)[0][0] == "skipped"
    assert twin.requests == []


def test_what_a_person_corrected_is_what_goes_back(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    ticket, ticket_id = replied()
    with transaction(sessions) as session:
        store.correct(session, ticket_id, {"category": "sales"}, by="Ana", note=None)

    WriteBack(sessions, "zendesk", way).once()

    assert "category__sales" in ticket.tags
    assert ticket.fields == {"360": "sales"}


def test_a_helpdesk_that_is_down_is_tried_later_and_at_last_given_up_and_can_be_retried(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, postgres_url: str
) -> None:
    ticket, _ = replied()
    twin.down = True
    back = WriteBack(sessions, "zendesk", way)
    for _ in range(MOST_ATTEMPTS):
        with transaction(sessions) as session:
            session.execute(text("update writebacks set not_before = now()"))
        back.once()
    assert [row[:2] for row in ledger(sessions)] == [("failed", MOST_ATTEMPTS)]

    twin.down = False
    with transaction(sessions) as session:
        assert store.retry_write_backs(session, "zendesk") == 1
    back.once()

    assert len(notes(ticket)) == 1


def test_an_answer_that_nobody_expected_is_tried_again_and_ends_nothing(
    sessions: Sessions, way: Destination, replied: Replied
) -> None:
    replied()

    class Odd(Hanging):
        def look(self, draft: Draft) -> Remote:
            del draft
            raise KeyError("ticket")

    assert WriteBack(sessions, "zendesk", Destination(Odd(), fields={})).once() == 0

    assert ledger(sessions) == [("waiting", 1, "unexpected KeyError: see the log")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_ends_all_so_that_they_are_started_again(
    sessions: Sessions, way: Destination
) -> None:
    with transaction(sessions) as session:
        session.execute(text("alter table writebacks rename to writebacks_gone"))
    try:
        assert not run_all(sessions, {"zendesk": way}, threading.Event().wait)
    finally:
        with transaction(sessions) as session:
            session.execute(text("alter table writebacks_gone rename to writebacks"))


def test_one_helpdesk_that_hangs_delays_no_other(
    sessions: Sessions,
    way: Destination,
    replied: Replied,
    receive: Callable[..., int],
    runtime: Runtimes,
) -> None:
    ticket, _ = replied()
    triage_one(receive("7", source="zammad"), replace(runtime(), write_back=frozenset({"zammad"})))
    hanging = Hanging()

    def stopped(_: float) -> bool:
        if notes(ticket):
            hanging.let_go.set()
        return hanging.let_go.wait(0.05)

    run_all(sessions, {"zammad": Destination(hanging, fields={}), "zendesk": way}, stopped)

    assert hanging.was_asked
    assert len(notes(ticket)) == 1


class Hanging:
    """A helpdesk that answers nothing until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.was_asked = False

    def look(self, draft: Draft) -> Remote:
        del draft
        self.was_asked = True
        self.let_go.wait(10)
        raise OutletUnavailable("it hung")

    def write(self, draft: Draft, remote: Remote) -> str:
        raise NotImplementedError

    def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
        raise NotImplementedError


def test_a_promoted_reply_goes_back_when_that_is_asked_for(
    sessions: Sessions, twin: Twin, replied: Replied
) -> None:
    _, ticket_id = replied()
    with transaction(sessions) as session:
        session.execute(text("delete from writebacks"))
        store.order_write_backs(session, [ticket_id], [])
        nothing = session.execute(text("select count(*) from writebacks")).scalar()
        store.order_write_backs(session, [ticket_id], ["zammad"])
        other = session.execute(text("select count(*) from writebacks")).scalar()
        for _ in range(2):
            store.order_write_backs(session, [ticket_id], ["zendesk"])

    assert (nothing, other) == (0, 0)
    assert ledger(sessions) == [("waiting", 0, None)]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, postgres_url: str, twin: Twin) -> Callable[..., Any]:
    """Runs a command against the tests' database and the twin."""
    monkeypatch.setenv("TRIAGE_DATABASE_URL", postgres_url)
    monkeypatch.setenv("TRIAGE_BROKER_URL", "memory://")
    monkeypatch.setattr(compose, "outlet_of", lambda _settings, _source: outlet(twin))

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, words)

    return run


def test_the_command_lists_what_was_written_back_and_why_not(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied, cli: Callable[..., Any]
) -> None:
    ticket, _ = replied()
    twin.agent_answers(ticket.id, "Schon erledigt.")
    WriteBack(sessions, "zendesk", way).once()

    shown = cli("writeback", "list", "--json").stdout

    assert json.loads(shown)["reason"] == "a person has answered meanwhile"
    assert "a person has answered" in cli("writeback", "list").stdout
    assert "0 will be tried again" in cli("writeback", "retry").stdout


def test_how_long_replies_wait_is_a_metric(sessions: Sessions, replied: Replied) -> None:
    replied()
    _, _, query = GAUGES["triage_writeback_waiting_seconds"]
    with transaction(sessions) as session:
        session.execute(text("update writebacks set created_at = now() - interval '3 hours'"))

        [(source, seconds)] = session.execute(text(query)).all()

    assert source == "zendesk"
    assert 3 * 3600 <= seconds <= 4 * 3600


def test_missed_tickets_are_asked_for_once(
    sessions: Sessions, twin: Twin, receive: Callable[..., int], cli: Callable[..., Any]
) -> None:
    twin.customer_writes("Wo ist meine Bestellung geblieben?", subject="Frage")
    twin.customer_writes("Die App stürzt ab.", subject="Absturz")

    would_be = cli("reconcile", "zendesk", "--since", "2h", "--dry-run", "--json")
    first = cli("reconcile", "zendesk", "--since", "2h", "--json")
    again = cli("reconcile", "zendesk", "--since", "2h", "--json")

    missing = {"new": 2, "known": 0, "ignored": 0, "unreadable": 0}
    assert json.loads(would_be.stdout) == json.loads(first.stdout) == missing
    assert json.loads(again.stdout) == {**missing, "new": 0, "known": 2}
    with transaction(sessions) as session:
        assert session.execute(text("select count(*) from tickets")).scalar() == 2
        assert session.execute(OF_WEBHOOKS).scalars().all() == []


def test_what_a_webhook_brought_is_not_asked_for_again(
    sessions: Sessions, twin: Twin, cli: Callable[..., Any]
) -> None:
    ticket = twin.customer_writes("Wo ist meine Bestellung geblieben?", subject="Frage")
    sent = {
        "type": "zen:event-type:ticket.created",
        "detail": {"id": str(ticket.id), "subject": "Frage", "description": ticket.said[0].body},
    }
    webhook = Webhook(b"", {}, datetime.now(UTC))
    with transaction(sessions) as session:
        store.receive(session, helpdesk.read(HELPDESKS["zendesk"], sent, webhook), Queue.LIVE)

    found = json.loads(cli("reconcile", "zendesk", "--json").stdout)

    assert (found["new"], found["known"]) == (0, 1)
    with transaction(sessions) as session:
        assert session.execute(OF_WEBHOOKS).scalars().all() == ["zendesk"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("reconcile", "otrs"), "there are zendesk"),
        (("reconcile", "zendesk", "--since", "soon"), "is no age"),
    ],
)
def test_a_reconcile_that_makes_no_sense_is_refused(
    cli: Callable[..., Any], words: tuple[str, ...], said: str
) -> None:
    assert said in str(cli(*words).exception)


def test_a_ticket_that_cannot_be_read_is_told_by_the_exit_code(
    sessions: Sessions, twin: Twin, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del sessions
    twin.customer_writes("Wo ist meine Bestellung geblieben?", subject="Frage")
    monkeypatch.setattr(HELPDESKS["zendesk"], "read", unreadable)

    done = cli("reconcile", "zendesk", "--json")

    assert json.loads(done.stdout)["unreadable"] == 1
    assert done.exit_code == 1


def unreadable(*_: object) -> None:
    raise UnusableBody("detail.id is missing")


def test_a_helpdesk_that_is_away_for_a_while_does_not_end_reconciling(
    sessions: Sessions, twin: Twin, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del sessions
    twin.customer_writes("Wo ist meine Bestellung geblieben?", subject="Frage")
    twin.down = True

    def come_back(_s: float) -> bool:
        was_down, twin.down = twin.down, False
        return not was_down

    monkeypatch.setattr(process, "until_signalled", lambda: come_back)

    done = cli("reconcile", "zendesk", "--every", "15m", "--json")

    assert json.loads(done.stdout.splitlines()[-1])["new"] == 1
    assert done.exit_code == 0, done.output


def test_what_a_helpdesk_gave_before_it_failed_is_kept(
    sessions: Sessions, twin: Twin, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Limited:
        def recent(self, since: datetime) -> Iterator[dict[str, Any]]:
            yield from outlet(twin).recent(since)
            raise OutletBusy("GET /tickets", wait_s=60)

    twin.customer_writes("Wo ist meine Bestellung geblieben?", subject="Frage")
    monkeypatch.setattr(compose, "outlet_of", lambda _settings, _source: Limited())

    done = cli("reconcile", "zendesk", "--json")

    assert "busy, again in 60 s" in str(done.exception)
    with transaction(sessions) as session:
        assert session.execute(text("select count(*) from tickets")).scalar() == 1


def test_a_reply_that_failed_for_good_is_counted_so(
    sessions: Sessions, twin: Twin, way: Destination, replied: Replied
) -> None:
    replied()
    twin.down = True
    with transaction(sessions) as session:
        session.execute(text(f"update writebacks set attempts = {MOST_ATTEMPTS - 1}"))
    counted = metrics.WRITEBACKS.labels("zendesk", "failed")
    before = counted._value.get()

    WriteBack(sessions, "zendesk", way).once()

    assert ledger(sessions)[0][0] == "failed"
    assert counted._value.get() == before + 1


def test_what_was_missed_and_answered_meanwhile_is_not_answered_again(
    sessions: Sessions, twin: Twin, way: Destination, runtime: Runtimes, cli: Callable[..., Any]
) -> None:
    ticket = twin.customer_writes(GERMAN_BODY, subject="Frage")
    ticket.created_at = ticket.said[0].at
    twin.agent_answers(ticket.id, "Wir haben es erstattet.")
    for _ in range(3):  # each changes the ticket
        twin.customer_adds(ticket.id, "Danke! Und die Rechnung?")
    cli("reconcile", "zendesk", "--since", "900d")
    with transaction(sessions) as session:
        [missed] = session.scalars(text("select id from tickets")).all()
    triage_one(missed, replace(runtime(), write_back=frozenset({"zendesk"})))

    WriteBack(sessions, "zendesk", way).once()

    assert ledger(sessions) == [("skipped", 1, "a person has answered meanwhile")]
