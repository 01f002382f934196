"""Replays through the commands people type, with a worker that takes what they announce."""

import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update
from structlog.testing import capture_logs
from typer.testing import Result

from schemas.reply import LABELS
from schemas.selection import Selection
from schemas.taxonomy import DEFAULT
from tests.integration.conftest import Broker
from tests.replies import GERMAN_BODY, written
from worker.database import Sessions, transaction
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.sweep import Sweep
from worker.dispatch.tasks import triage_one
from worker.engine.contract import Prompt
from worker.engine.scripted import ScriptedEngine
from worker.errors import EngineCrashed, EngineUnavailable, TriageError
from worker.queues import Queue
from worker.replay import begin as beginning
from worker.replay import feed
from worker.replay.select import chosen
from worker.tickets import read, store
from worker.tickets.rows import Act, Attempt, Replay, Reply, Rerun, Ticket, Writeback
from worker.tickets.states import Outcome, State, WritebackState
from worker.tickets.store.among import among

Receive = Callable[..., int]
MakeRuntime = Callable[..., Runtime]
Triage = Callable[..., Result]
Working = Callable[..., Any]

SECOND_REPLY = (
    "Guten Tag! Wir erstatten den doppelten Betrag sofort. Viele Grüße, Ihr Kundenservice"
)
BETTER = written(category="returns", reply=SECOND_REPLY)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A replay's command takes signals over, for a process that ends with it."""
    before = {number: signal.getsignal(number) for number in
              (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}  # fmt: skip
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def working(sessions: Sessions, broker: Broker, runtime: MakeRuntime) -> Working:
    """A worker around this engine, in a thread, for the length of a block."""

    @contextmanager
    def work(engine: ScriptedEngine | None = None, queue: Queue = Queue.REPLAY) -> Iterator[None]:
        run = runtime(engine or ScriptedEngine(lambda _: BETTER))
        serve(sessions, run.engine.identity.profile, queue)
        ended = threading.Event()

        def take_what_comes() -> None:
            taken = 0
            while not ended.wait(0.01):
                sent = broker.sent
                for ticket_id, _ in sent[taken:]:
                    triage_one(ticket_id, run)
                taken = len(sent)

        thread = threading.Thread(target=take_what_comes)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    return work


def serve(sessions: Sessions, profile: str = "scripted", queue: Queue = Queue.REPLAY) -> None:
    with transaction(sessions) as session:
        store.worker_is_here(session, f"w-{profile}", profile=profile, queues=[queue], in_flight=4)


def one(sessions: Sessions, row: type[Any]) -> Any:
    with transaction(sessions) as session:
        return session.scalars(select(row)).one()


def shown(sessions: Sessions, ticket_id: int) -> dict[str, Any]:
    with transaction(sessions) as session:
        [report] = read.reports(session, [ticket_id])
    return report


def said(triage: Triage, *words: object) -> list[dict[str, Any]]:
    """The lines of JSON that a command prints."""
    done = triage(*words, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_replay_makes_new_attempts_and_overwrites_nothing(
    sessions: Sessions, triage: Triage, replied: int, working: Working
) -> None:
    before = shown(sessions, replied)

    with working():
        done = triage("replay", "run", "--by", "Ana", "--note", "new worker")

    assert done.exit_code == 0, done.output
    assert shown(sessions, replied) == before
    replay, rerun = one(sessions, Replay), one(sessions, Rerun)
    assert (replay.state, replay.actor, replay.reason) == ("done", "Ana", "new worker")
    assert (rerun.state, rerun.ticket_id) == (State.REPLIED, replied)
    with transaction(sessions) as session:
        old, new = session.scalars(select(Attempt).order_by(Attempt.id))
        replies = session.scalars(select(Reply).order_by(Reply.id)).all()
    assert (old.replay_id, new.replay_id) == (None, replay.id)
    assert (old.id, new.id) == (rerun.base_attempt_id, rerun.attempt_id)
    assert [reply.category for reply in replies] == ["billing", "returns"]


def test_a_comparison_tells_field_by_field_what_changed(
    triage: Triage, receive: Receive, runtime: MakeRuntime, working: Working, tmp_path: Path
) -> None:
    for name in ("improved", "regressed", "unlabelled", "unchanged"):
        triage_one(receive(name), runtime())
    triage("correct", 1, "category=returns", "--by", "Ana")
    triage("correct", 2, "category=billing", "--by", "Ana")
    turn = iter([BETTER, BETTER, BETTER, written()])
    with working(ScriptedEngine(lambda _: next(turn))):
        triage("replay", "run", "--by", "Ana")

    summary, *pairs = said(triage, "replay", "compare", 1)
    table = triage("replay", "compare", 1, "--html", tmp_path / "page.html").stdout
    page = (tmp_path / "page.html").read_text()

    assert summary["fields"]["category"] == {
        "unchanged": 1, "improved": 1, "regressed": 1, "changed without a label": 1,
    }  # fmt: skip
    assert summary["confusion"]["category"] == {"billing": {"returns": 3, "billing": 1}}
    assert (summary["tickets"], summary["changed"], summary["same_output"]) == (4, 3, 1)
    assert [pair["fields"]["category"]["change"] for pair in pairs] == [
        "improved", "regressed", "changed without a label", "unchanged",
    ]  # fmt: skip
    assert pairs[0]["fields"]["reply"]["new"] == SECOND_REPLY
    assert "erstatten" in table
    assert "<ins>" in page
    assert "erstatten" in page


def test_promoting_makes_the_new_reply_current_and_undoing_brings_the_old_one_back(
    sessions: Sessions, triage: Triage, replied: int, working: Working
) -> None:
    before = shown(sessions, replied)
    with working():
        triage("replay", "run", "--by", "Ana")

    promoted = triage("replay", "promote", 1, "--all", "--by", "Ben", "--note", "better")
    after = shown(sessions, replied)
    undone = triage("replay", "undo", 1, "--all", "--by", "Cem")

    assert (promoted.exit_code, undone.exit_code) == (0, 0)
    assert (after["category"], after["reply"]) == ("returns", SECOND_REPLY)
    assert shown(sessions, replied) == before
    with transaction(sessions) as session:
        acts = session.scalars(select(Act).order_by(Act.id)).all()
    assert [(act.action, act.actor, act.reason) for act in acts] == [
        ("replay run", "Ana", None),
        ("replay promote", "Ben", "better"),
        ("replay undo", "Cem", None),
    ]
    assert len(said(triage, "replay", "show", 1)[0]["acts"]) == 3


def test_a_promoted_reply_brings_the_language_that_a_failed_ticket_had_not(
    sessions: Sessions, triage: Triage, replied: int, working: Working
) -> None:
    with transaction(sessions) as session:
        session.execute(text("update tickets set language = null"))
    with working():
        triage("replay", "run", "--by", "Ana")

    triage("replay", "promote", 1, "--all", "--by", "Ben")

    assert one(sessions, Ticket).language == "de"


def test_a_replay_writes_nothing_back_unless_it_is_promoted_with_write_back(
    sessions: Sessions,
    triage: Triage,
    replied: int,
    working: Working,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with working():
        triage("replay", "run", "--by", "Ana")
    promotion = ("replay", "promote", 1, "--all", "--by", "Ben")

    nowhere = triage(*promotion, "--write-back")
    monkeypatch.setenv(
        "TRIAGE_HELPDESKS__GENERIC",
        '{"url": "https://x.example", "token": "t", "write_back": true}',
    )
    triage(*promotion)
    without = ordered(sessions)
    triage("replay", "undo", 1, "--all", "--by", "Ben")
    triage(*promotion, "--write-back")

    assert "no source is written to" in str(nowhere.exception)
    assert without == []
    assert ordered(sessions) == [(replied, SECOND_REPLY)]


def test_what_was_skipped_for_a_promoted_reply_goes_back_when_that_is_undone(
    sessions: Sessions, triage: Triage, replied: int, working: Working
) -> None:
    with transaction(sessions) as session:
        store.order_write_back(session, replied, 1)
    with working():
        triage("replay", "run", "--by", "Ana")
    triage("replay", "promote", 1, "--all", "--by", "Ben")
    with transaction(sessions) as session:
        job = store.take_write_back(session, "generic", lease_s=60)
        assert job is not None
        assert not job.is_current
        store.end_write_back(session, job, WritebackState.SKIPPED, reason=store.NOT_SHOWN)

    triage("replay", "undo", 1, "--all", "--by", "Ben")

    with transaction(sessions) as session:
        again = store.take_write_back(session, "generic", lease_s=60)
        assert again is not None
        assert again.is_current


def test_a_replay_of_a_million_may_take_its_time_to_be_cancelled(
    sessions: Sessions, replied: int
) -> None:
    serve(sessions)
    replay_id = begin(sessions)
    with transaction(sessions) as session:
        store.change_replay(session, replay_id, "cancelled", be=["running"])
        assert session.execute(text("show statement_timeout")).scalar() == "0"


def ordered(sessions: Sessions) -> list[tuple[int, str]]:
    """The tickets that wait to be written back, each with the reply that goes."""
    with transaction(sessions) as session:
        rows = session.execute(
            select(Writeback.ticket_id, Reply.reply).join(Reply, Reply.id == Writeback.reply_id)
        )
        return [(ticket_id, reply) for ticket_id, reply in rows]


def test_promotion_leaves_what_people_or_the_helpdesk_did_since_and_says_which(
    sessions: Sessions, triage: Triage, receive: Receive, runtime: MakeRuntime, working: Working
) -> None:
    for name in ("corrected", "edited", "rerun", "free"):
        triage_one(receive(name), runtime())
    with working():
        triage("replay", "run", "--by", "Ana")
        triage("replay", "run", "--by", "Ana", "--ids", ids_file(3))
        triage("replay", "promote", 2, "--all", "--by", "Ana")
    triage("correct", 1, "category=returns", "--by", "Ana")
    receive("edited", body=f"{GERMAN_BODY} Bitte schnell!", delivery_key="d-2")
    receive("free", body="[ticket-triage 4]", delivery_key="d-3", ignore_reason="our own note")

    done = triage("replay", "promote", 1, "--all", "--by", "Ana")

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "1 tickets promoted.",
        "Ticket 1 was left as it is: a person corrected it.",
        "Ticket 2 was left as it is: the helpdesk has a newer message of it.",
        "Ticket 3 was left as it is: it has a newer result.",
    ]
    with transaction(sessions) as session:
        promoted = session.scalars(select(Rerun.ticket_id).where(Rerun.replay_id == 1,
                                   Rerun.promoted_at.is_not(None))).all()  # fmt: skip
    assert promoted == [4]


def test_what_has_a_newer_result_is_not_brought_back(
    sessions: Sessions, triage: Triage, replied: int, working: Working
) -> None:
    with working():
        triage("replay", "run", "--by", "Ana")
        triage("replay", "promote", 1, "--all", "--by", "Ben")
        triage("replay", "run", "--by", "Ana")
        triage("replay", "promote", 2, "--all", "--by", "Ben")

    undone = triage("replay", "undo", 1, "--all", "--by", "Cem")

    assert f"Ticket {replied} was left as it is: it has a newer result." in undone.stdout
    assert shown(sessions, replied)["category"] == "returns"


def ids_file(*ids: int) -> Path:
    path = Path("ids.txt")
    path.write_text("\n".join(map(str, ids)))
    return path


def test_promotion_can_be_held_to_tickets_and_to_what_changed(
    sessions: Sessions, triage: Triage, receive: Receive, runtime: MakeRuntime, working: Working
) -> None:
    for name in ("1", "2", "3"):
        triage_one(receive(name), runtime())
    turn = iter([BETTER, written(), BETTER])
    with working(ScriptedEngine(lambda _: next(turn))):
        triage("replay", "run", "--by", "Ana")

    by_ticket = triage("replay", "promote", 1, "--ticket", 1, "--by", "Ana")
    by_change = triage(
        "replay", "promote", 1, "--change", "changed without a label", "--field", "category",
        "--by", "Ana",
    )  # fmt: skip
    unclear = triage("replay", "promote", 1, "--by", "Ana")

    assert [by_ticket.stdout, by_change.stdout] == ["1 tickets promoted.\n"] * 2
    assert unclear.exit_code == 2
    assert [shown(sessions, id_)["category"] for id_ in (1, 2, 3)] == [
        "returns",
        "billing",
        "returns",
    ]


@pytest.mark.parametrize("change", ["improved", "regressed"])
def test_what_only_corrected_tickets_can_be_is_refused(
    triage: Triage, replied: int, working: Working, change: str
) -> None:
    with working():
        triage("replay", "run", "--by", "Ana")

    done = triage("replay", "promote", 1, "--change", change, "--by", "Ana")

    assert done.exit_code == 2
    assert "a person corrected" in " ".join(done.output.replace("│", " ").split())


def test_a_note_is_shown_as_it_was_written(
    triage: Triage, replied: int, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with working():
        triage("replay", "run", "--by", "Ana [/b]", "--note", "new prompt [/billing] [x]")

    for words in (["list"], ["show", 1]):
        done = triage("replay", *words)
        assert done.exit_code == 0, done.output
        assert "new prompt [/billing] [x]" in done.output
        assert "Ana [/b]" in done.output


def test_as_it_was_asks_byte_for_byte_what_was_asked_though_the_desk_is_set_otherwise_now(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, receive: Receive, working: Working
) -> None:
    then = runtime(ScriptedEngine(echo))
    other = dataclasses.replace(then.desk, prompt_version="triage-1", seed=7, instruction="Then.")
    triage_one(receive(), dataclasses.replace(then, desk=other))
    with transaction(sessions) as session:
        session.execute(text("update attempts set language_tag = 'fr', language = 'fr'"))

    with working(ScriptedEngine(echo)):
        done = triage("replay", "run", "--as-it-was", "--by", "Ana")

    assert done.exit_code == 0, done.output
    with transaction(sessions) as session:
        old, new = session.scalars(select(Attempt).order_by(Attempt.id))
    assert (new.desk_sha256, new.prompt_version, new.seed) == (old.desk_sha256, "triage-1", 7)
    assert (new.language, new.language_tag) == ("fr", "fr"), "the language is frozen too"
    assert json.loads(new.raw_output or "")["reply"] == "Then."


def echo(prompt: Prompt) -> str:
    return written(reply=prompt.instruction[:40])


def test_the_same_output_again_is_told_and_so_is_what_differed(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, receive: Receive, working: Working
) -> None:
    for name in ("1", "2", "3"):
        triage_one(receive(name), runtime())
    answers = iter([written(), BETTER, BETTER])
    engine = ScriptedEngine(lambda _: next(answers))
    newer = dataclasses.replace(engine.identity, engine_version="2", hardware="H100")
    identities = iter([engine.identity, engine.identity, newer])

    class Upgraded(ScriptedEngine):
        def generate(self, *arguments: Any, **more: Any) -> Any:
            written = engine.generate(*arguments, **more)
            return dataclasses.replace(written, identity=next(identities))

    with working(Upgraded(lambda _: "")):
        triage("replay", "run", "--as-it-was", "--by", "Ana")

    summary, *pairs = said(triage, "replay", "compare", 1)
    assert summary["same_output"] == 1
    assert summary["differed_in"] == {"batch": 1, "engine version": 1, "hardware": 1}
    assert [pair["differed_in"] for pair in pairs] == [
        [],
        ["batch"],
        ["engine version", "hardware"],
    ]


def test_an_attempt_that_repaired_an_answer_is_asked_to_repair_it_again(
    sessions: Sessions, triage: Triage, runtime: MakeRuntime, receive: Receive, working: Working
) -> None:
    notes: list[str] = []
    faulty = written(reply="Guten Tag [Name], wir prüfen die Rechnung und melden uns bei Ihnen.")

    def mend(prompt: Prompt) -> str:
        notes.append(prompt.note)
        return written() if prompt.note else faulty

    run = runtime(ScriptedEngine(mend))
    run = dataclasses.replace(run, desk=dataclasses.replace(run.desk, prompt_version="triage-1"))
    ticket_id = receive()
    triage_one(ticket_id, run)
    triage_one(ticket_id, run)

    with working(ScriptedEngine(mend)):
        triage("replay", "run", "--as-it-was", "--by", "Ana")

    assert "no_placeholder" in notes[1]
    assert notes[2:] == [notes[1]]
    with transaction(sessions) as session:
        _, old, new = session.scalars(select(Attempt).order_by(Attempt.id))
    assert new.prompt_hash == old.prompt_hash


def test_another_prompt_and_taxonomy_are_tried_without_touching_the_workers(
    sessions: Sessions, triage: Triage, replied: int, working: Working, tmp_path: Path
) -> None:
    prompts: list[Prompt] = []
    file = tmp_path / "taxonomy.toml"
    file.write_text(DEFAULT.read_text().replace('version = "', 'version = "new-', 1)
                    .replace('value = "billing"', 'value = "money"'))  # fmt: skip

    def answer(prompt: Prompt) -> str:
        prompts.append(prompt)
        return written(category="money")

    with working(ScriptedEngine(answer)):
        done = triage("replay", "run", "--by", "Ana", "--with", "prompt=triage-1",
                      f"taxonomy={file}")  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "money" in prompts[0].instruction
    with transaction(sessions) as session:
        new = session.scalars(select(Attempt).where(Attempt.replay_id.is_not(None))).one()
    assert new.prompt_version == "triage-1"
    assert (new.taxonomy_version or "").startswith("new-")
    assert said(triage, "replay", "show", 1)[0]["how"].startswith("with prompt triage-1, taxonomy")
    assert said(triage, "replay", "compare", 1)[0]["confusion"]["category"] == {
        "billing": {"money": 1}
    }


def test_a_rerun_goes_only_to_a_worker_of_its_profile_and_the_others_pass_it_on(
    sessions: Sessions, triage: Triage, replied: int, runtime: MakeRuntime, working: Working
) -> None:
    serve(sessions, "other", Queue.LONG)
    other = runtime(ScriptedEngine(lambda _: BETTER))
    other.engine.identity = dataclasses.replace(other.engine.identity, profile="other")
    begin(sessions, profile="other")

    triage_one(replied, runtime())
    passed_on = one(sessions, Rerun)
    due_now(sessions)
    triage_one(replied, other)

    assert (passed_on.state, passed_on.announced_at, passed_on.queue) == (
        State.RECEIVED, None, Queue.LONG,
    )  # fmt: skip
    assert one(sessions, Rerun).state == State.REPLIED


def test_a_message_passed_on_while_others_are_sent_is_sent_again(
    sessions: Sessions, publisher: Publisher, replied: int, runtime: MakeRuntime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    serve(sessions, "other", Queue.LONG)
    replay_id = begin(sessions, profile="other")
    with transaction(sessions) as session:
        session.execute(text("update reruns set announced_at = null"))
    send = publisher.send

    def taken_at_once(tickets: list[Any]) -> list[int]:
        sent = send(tickets)
        triage_one(replied, runtime())  # of another profile
        return sent

    monkeypatch.setattr(publisher, "send", taken_at_once)
    feeder = feed.Feeder(replay_id, sessions, publisher, feed.Pace(None))

    feeder.look()
    passed_on = one(sessions, Rerun)
    feeder.look()
    before_it_is_due = publisher.depths()[Queue.LONG]
    due_now(sessions)
    feeder.look()

    assert passed_on.announced_at is None
    assert (before_it_is_due, publisher.depths()[Queue.LONG]) == (1, 2)


def test_what_could_not_be_sent_is_not_taken_for_sent(
    sessions: Sessions, publisher: Publisher, replied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(sessions)
    replay_id = begin(sessions)
    with transaction(sessions) as session:
        session.execute(text("update reruns set announced_at = null"))
    monkeypatch.setattr(publisher, "send", lambda _: [])

    feed.Feeder(replay_id, sessions, publisher, feed.Pace(None)).look()

    assert one(sessions, Rerun).announced_at is None


@pytest.mark.parametrize("live_waits", [False, True])
def test_no_more_reruns_are_out_than_the_workers_places_say(
    sessions: Sessions, publisher: Publisher, receive: Receive, runtime: MakeRuntime,
    live_waits: bool,
) -> None:  # fmt: skip
    for number in range(8):
        triage_one(receive(str(number)), runtime())
    serve(sessions)  # with four places
    replay_id = begin(sessions)
    with transaction(sessions) as session:
        session.execute(text("update reruns set announced_at = null"))
    if live_waits:
        receive("live")
    feeder = feed.Feeder(replay_id, sessions, publisher, feed.Pace(None))

    feeder.look()
    feeder.look()

    with transaction(sessions) as session:
        assert session.scalar(text("select count(announced_at) from reruns")) == (
            1 if live_waits else 5
        )


def test_a_replay_that_is_done_lacks_no_workers(
    triage: Triage, replied: int, working: Working
) -> None:
    with capture_logs() as logged, working():
        triage("replay", "run", "--by", "Ana")

    assert [one["event"] for one in logged if one["event"] == "no_worker_takes_replays"] == []


def test_workers_of_another_profile_are_none_for_a_replay_that_is_bound(
    sessions: Sessions, publisher: Publisher, replied: int
) -> None:
    serve(sessions, "other")
    begin(sessions, profile="other")
    with transaction(sessions) as session:
        store.worker_is_gone(session, "w-other")
    serve(sessions, "scripted")

    with transaction(sessions) as session:
        assert store.slots(session, store.left(session, 1).keys()) == 0
        assert store.slots(session, [(Queue.REPLAY, None)]) == 4


def test_a_rerun_comes_back_from_the_long_queue_that_nobody_serves_any_more(
    sessions: Sessions, publisher: Publisher, replied: int, runtime: MakeRuntime
) -> None:
    serve(sessions)
    serve(sessions, "long", Queue.LONG)
    begin(sessions)
    with transaction(sessions) as session:
        session.execute(update(Ticket).values(body="Wo bleibt meine Bestellung? " * 6000))
    triage_one(replied, runtime())
    moved_to = one(sessions, Rerun).queue
    with transaction(sessions) as session:
        store.worker_is_gone(session, "w-long")
        session.execute(text("update reruns set updated_at = updated_at - interval '1 hour'"))

    Sweep(sessions, publisher, max_crashes=3, lease_s=60).once()

    assert (moved_to, one(sessions, Rerun).queue) == (Queue.LONG, Queue.REPLAY)
    triage_one(replied, runtime())
    assert one(sessions, Rerun).state == State.NEEDS_HUMAN


def due_now(sessions: Sessions) -> None:
    with transaction(sessions) as session:
        session.execute(text("update reruns set not_before = now()"))


def begin(sessions: Sessions, **how: Any) -> int:
    """Begin a replay over all tickets that nobody feeds; its messages are as good as sent."""
    with transaction(sessions) as session:
        order = store.Order("Ana", None, {}, **how)
        begun = beginning.begin(session, order, chosen(Selection()))
        session.execute(text("update reruns set announced_at = now()"))
    return begun.replay_id


def test_the_first_signal_pauses_and_resuming_does_only_what_is_left(
    sessions: Sessions, triage: Triage, receive: Receive, runtime: MakeRuntime, working: Working
) -> None:
    for number in range(12):
        triage_one(receive(str(number)), runtime())

    asked: list[Prompt] = []

    def answer(prompt: Prompt) -> str:
        asked.append(prompt)
        if len(asked) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return BETTER

    engine = ScriptedEngine(answer, latency_s=0.1)
    with working(engine):
        paused = triage("replay", "run", "--by", "Ana", "--rate", 5)
        while_paused = one(sessions, Replay).state
        time.sleep(0.5)
        done_first = len(asked)
        resumed = triage("replay", "resume", 1, "--by", "Ben")

    assert (paused.exit_code, while_paused, resumed.exit_code) == (130, "paused", 0)
    assert 3 <= done_first < 12
    assert len(asked) == 12, "none was asked twice"
    with transaction(sessions) as session:
        assert len(session.scalars(select(Reply)).all()) == 24


def test_a_paused_replay_is_not_worked_on_though_messages_of_it_are_about(
    sessions: Sessions, replied: int, runtime: MakeRuntime
) -> None:
    serve(sessions)
    replay_id = begin(sessions)
    with transaction(sessions) as session:
        store.change_replay(session, replay_id, "paused", be=["running"])

    triage_one(replied, runtime())

    assert one(sessions, Rerun).state == State.RECEIVED


def test_a_cancelled_replay_is_over_and_its_tickets_are_free(
    sessions: Sessions, triage: Triage, replied: int, working: Working
) -> None:
    serve(sessions)
    begin(sessions)

    cancelled = triage("replay", "cancel", 1, "--by", "Ana")
    resumed = triage("replay", "resume", 1, "--by", "Ana")
    with working():
        again = triage("replay", "run", "--by", "Ana")

    assert (cancelled.exit_code, again.exit_code) == (0, 0)
    assert "is cancelled: nothing is left of it" in str(resumed.exception)
    assert [(one["state"], one["done"]) for one in said(triage, "replay", "list")] == [
        ("done", 1), ("cancelled", 0),
    ]  # fmt: skip
    assert triage("replay", "compare", 1).exit_code == 3


def test_cancelling_frees_what_is_in_work_too(
    sessions: Sessions, triage: Triage, replied: int, runtime: MakeRuntime, working: Working
) -> None:
    serve(sessions)
    begin(sessions)

    running: list[Attempt] = []

    def cancelled_meanwhile(_: Prompt) -> str:
        triage("replay", "cancel", 1, "--by", "Ana")
        with transaction(sessions) as session:
            running.extend(session.scalars(select(Attempt).where(Attempt.outcome == "running")))
        raise EngineUnavailable("the engine was stopped")

    triage_one(replied, runtime(ScriptedEngine(cancelled_meanwhile)))
    ended = one(sessions, Rerun)
    with working():
        again = triage("replay", "run", "--by", "Ana")

    assert (ended.state, ended.claimed_by) == (State.IGNORED, None)
    assert running == [], "its worker may be dead: nobody else would end it"
    assert again.exit_code == 0, again.output


def test_what_is_claimed_while_a_replay_is_cancelled_ends_too(
    sessions: Sessions, replied: int
) -> None:
    serve(sessions)
    replay_id = begin(sessions)

    def cancel() -> None:
        with transaction(sessions) as session:
            store.change_replay(session, replay_id, "cancelled", be=["running"], by="Ana")

    with ThreadPoolExecutor() as meanwhile, transaction(sessions) as session:
        store.claim_rerun(session, replied, worker="w", lease_s=60, profile="scripted")
        cancelled = meanwhile.submit(cancel)
        wait([cancelled], timeout=0.5)
        session.commit()
        cancelled.result(timeout=10)

    with transaction(sessions) as session:
        [last] = session.scalars(select(Attempt).where(Attempt.replay_id == replay_id))
    assert (last.outcome, last.reason) == (Outcome.LOST, "cancelled by Ana")


def test_a_correction_that_is_made_while_a_replay_is_promoted_is_not_overruled(
    sessions: Sessions, replied: int, runtime: MakeRuntime
) -> None:
    serve(sessions)
    replay_id = begin(sessions)
    triage_one(replied, runtime(ScriptedEngine(lambda _: BETTER)))

    def promote() -> store.Promoted:
        with transaction(sessions) as session:
            return store.promote(session, replay_id, None, by="Ana", reason=None)

    with ThreadPoolExecutor() as meanwhile, transaction(sessions) as session:
        store.correct(session, replied, {"category": "sales"}, by="Ben", note=None)
        promoted = meanwhile.submit(promote)
        wait([promoted], timeout=0.5)
        session.commit()
        done = promoted.result(timeout=10)

    assert (done.ticket_ids, done.skipped) == ([], [(replied, "a person corrected it")])


def test_a_replay_is_fed_though_its_workers_take_long_tickets_only(
    triage: Triage, replied: int, working: Working
) -> None:
    with working(queue=Queue.LONG):
        done = triage("replay", "run", "--with", "profile=scripted", "--by", "Ana")

    assert done.exit_code == 0, done.output


def test_a_rerun_for_one_profile_is_shortened_not_moved_to_workers_of_another(
    sessions: Sessions, replied: int, runtime: MakeRuntime
) -> None:
    serve(sessions, "scripted")
    serve(sessions, "other", Queue.LONG)
    begin(sessions, profile="scripted")
    with transaction(sessions) as session:
        session.execute(update(Ticket).values(body="Wo bleibt meine Bestellung? " * 6000))

    triage_one(replied, runtime(ScriptedEngine(lambda _: BETTER)))

    assert (one(sessions, Rerun).queue, one(sessions, Rerun).state) == (
        Queue.REPLAY, State.NEEDS_HUMAN,
    )  # fmt: skip


def test_a_desk_that_this_worker_cannot_make_is_a_failed_try_that_says_so(
    sessions: Sessions, replied: int, runtime: MakeRuntime
) -> None:
    serve(sessions)
    begin(sessions, prompt_version="of-tomorrow")

    triage_one(replied, runtime())

    rerun = one(sessions, Rerun)
    assert (rerun.state, rerun.failures) == (State.RECEIVED, 1)
    assert "of-tomorrow" in (rerun.reason or "")
    with transaction(sessions) as session:
        tried = session.scalars(select(Attempt).where(Attempt.replay_id.is_not(None))).one()
    assert (tried.error, tried.prompt_version) == ("DeskUnknown", None)


def test_more_tickets_than_a_statement_has_parameters_are_promoted_and_brought_back(
    sessions: Sessions, replied: int
) -> None:
    many = range(replied + 1, replied + 70_000)

    with transaction(sessions) as session:
        replay_id = beginning_of_nothing(session)
        done = store.promote(session, replay_id, [*many], by="Ana", reason=None)
        undone = store.undo_promotion(session, replay_id, [*many], by="Ana", reason=None)
        erased = store.erase(session, among(Ticket.id, many))

    assert (done.ticket_ids, undone.ticket_ids, erased["tickets"]) == ([], [], 0)


def beginning_of_nothing(session: Any) -> int:
    session.add(replay := Replay(state="done", actor="Ana", selection={}, as_it_was=False))
    session.flush()
    return replay.id


def test_two_replays_never_hold_one_ticket(
    sessions: Sessions, triage: Triage, replied: int
) -> None:
    serve(sessions)
    begin(sessions)

    refused = triage("replay", "run", "--by", "Ana")

    assert "1 by replay 1" in str(refused.exception)
    assert len(said(triage, "replay", "list")) == 1


def test_a_rerun_whose_worker_dies_is_taken_back_and_one_that_kills_engines_is_given_up(
    sessions: Sessions, publisher: Publisher, replied: int, runtime: MakeRuntime
) -> None:
    def crash(_: object) -> str:
        raise EngineCrashed("the engine died")

    serve(sessions)
    begin(sessions)
    with transaction(sessions) as session:
        store.claim_rerun(session, replied, worker="dead", lease_s=-1, profile="scripted")

    Sweep(sessions, publisher, max_crashes=3, lease_s=60).once()
    taken_back = one(sessions, Rerun)
    for _ in range(2):
        triage_one(replied, runtime(ScriptedEngine(crash)))

    assert (taken_back.state, taken_back.crashes) == (State.RECEIVED, 1)
    given_up = one(sessions, Rerun)
    assert (given_up.state, given_up.reply_id) == (State.NEEDS_HUMAN, None)
    with transaction(sessions) as session:
        outcomes = session.scalars(select(Attempt.outcome).order_by(Attempt.id)).all()
        assert session.get_one(Ticket, replied).state == State.REPLIED
    assert outcomes == [Outcome.REPLIED, Outcome.LOST, Outcome.CRASHED, Outcome.CRASHED]


def test_an_erased_ticket_leaves_its_replays_too(
    sessions: Sessions, receive: Receive, runtime: MakeRuntime
) -> None:
    ticket_id = receive(requester="a@example.org")
    triage_one(ticket_id, runtime())
    serve(sessions)
    begin(sessions)

    def erased_meanwhile(_: object) -> str:
        with transaction(sessions) as session:
            store.erase(session, store.of_requester("a@example.org"))
        return BETTER

    triage_one(ticket_id, runtime(ScriptedEngine(erased_meanwhile)))

    assert one(sessions, Rerun).state == State.IGNORED
    with transaction(sessions) as session:
        assert set(session.scalars(select(Attempt.raw_output))) == {None}
        assert session.scalars(select(Reply.reply)).all() == ["(erased)"]


def test_a_replay_that_begins_while_a_ticket_is_erased_has_not_read_it(
    sessions: Sessions, receive: Receive, runtime: MakeRuntime
) -> None:
    triage_one(receive(requester="a@example.org"), runtime())
    serve(sessions)

    with ThreadPoolExecutor() as meanwhile, transaction(sessions) as session:
        store.erase(session, store.of_requester("a@example.org"))
        begun = meanwhile.submit(begin, sessions)
        wait([begun], timeout=0.5)
        session.commit()
        begun.result(timeout=10)

    with transaction(sessions) as session:
        assert session.scalars(select(Rerun)).all() == []


def test_a_plan_tells_what_a_run_would_do_and_changes_nothing(
    sessions: Sessions, triage: Triage, receive: Receive, runtime: MakeRuntime, working: Working
) -> None:
    for number in range(3):
        triage_one(receive(str(number)), runtime())
    serve(sessions)

    plan = triage("replay", "plan", "--language", "de", "--output", "plan.json")
    [told] = said(triage, "replay", "plan", "--language", "de")
    triage_one(receive("later"), runtime())
    with working():
        triage("replay", "run", "--plan", "plan.json", "--by", "Ana")

    assert plan.stdout.startswith("3 tickets\n")
    assert (told["tickets"], len(told["examples"]), told["places"]) == (3, 3, 4)
    assert told["output_tokens"] == 3 * len(written())
    with transaction(sessions) as session:
        assert session.scalars(select(Rerun.ticket_id)).all() == [1, 2, 3], "as planned"


FILTERS = {
    "reason": (["--reason", "below_threshold"], ["unsure"]),
    "several reasons": (
        ["--reason", "not_parsed", "--reason", "check_failed"], ["broken", "placeholder"],
    ),
    "since": (["--since", "2026-06-01"], ["unsure", "broken", "placeholder", "french"]),
    "until": (["--until", "2026-06-01"], ["old"]),
    "since, at that moment": (["--since", "2026-01-01", "--until", "2026-01-02"], ["old"]),
    "until, at that moment": (["--until", "2026-01-01"], []),
    "source": (["--source", "zammad"], ["french"]),
    "language": (["--language", "fr"], ["french"]),
    "category": (["--category", "sales"], ["french"]),
    "confidence below": (["--confidence-below", "0.5"], ["unsure"]),
    "confidence from": (["--confidence-from", "0.5"], ["old", "placeholder", "french"]),
    "confidence, at that value": (["--confidence-from", "1"], ["old", "placeholder", "french"]),
    "confidence below, at that value": (["--confidence-below", "1"], ["unsure"]),
    "profile": (["--profile", "scripted", "--category", "sales"], ["french"]),
    "model": (["--model", "scripted", "--language", "fr"], ["french"]),
    "prompt": (["--prompt", "demo-1", "--language", "fr"], ["french"]),
    "corrected": (["--corrected"], ["old"]),
    "not corrected": (["--not-corrected", "--until", "2026-06-01"], []),
    "limit": (["--limit", "1"], ["french"]),
    "sample": (["--sample", "2", "--seed", "4"], None),
    "sample of the newest": (["--sample", "9", "--limit", "1"], ["french"]),
    "all": ([], ["old", "unsure", "broken", "placeholder", "french"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_selects_what_it_says(
    sessions: Sessions, triage: Triage, receive: Receive, runtime: MakeRuntime, name: str
) -> None:
    french = "Bonjour, nous voudrions acheter trente licences pour notre équipe, à quel prix ?"
    for external_id, engine in {
        "old": ScriptedEngine(lambda _: written()),
        "unsure": ScriptedEngine(lambda _: written(), probability=0.2),
        "broken": ScriptedEngine(lambda _: "{"),
        "placeholder": ScriptedEngine(lambda _: written(reply="Guten Tag [Name], danke sehr.")),
    }.items():
        triage_one(receive(external_id), runtime(engine))
    triage_one(
        receive("french", source="zammad", subject="Licences", body=french),
        runtime(ScriptedEngine(lambda _: written(category="sales", entities=[], reply=french))),
    )
    triage_one(receive("waits"), runtime(ScriptedEngine(lambda _: 1 / 0)))  # type: ignore[arg-type,return-value]
    triage("correct", 1, "category=returns", "--by", "Ana")
    with transaction(sessions) as session:
        session.execute(text("update tickets set received_at = '2026-01-01 00:00Z' where id = 1"))
        session.execute(
            text("update tickets set received_at = '2026-07-01'::timestamptz + id * interval '1 s'"
                 " where id > 1")
        )  # fmt: skip
    options, expected = FILTERS[name]

    done = triage("replay", "plan", "--json", *options)
    told = json.loads(done.stdout)
    found = sorted(ticket["external_id"] for ticket in told["examples"])

    if expected is None:
        assert len(found) == 2
        assert found == sorted(
            ticket["external_id"]
            for ticket in json.loads(triage("replay", "plan", "--json", *options).stdout)[
                "examples"
            ]
        )
    else:
        assert found == sorted(expected)
        assert done.exit_code == (0 if expected else 3)


def test_ids_come_from_standard_input(triage: Triage, replied: int) -> None:
    done = triage("replay", "plan", "--ids", "-", "--json", input=f"{replied}\n99\n")

    assert json.loads(done.stdout)["tickets"] == 1


def test_a_filter_that_matches_nothing_says_so_and_exits_3(
    sessions: Sessions, triage: Triage, replied: int
) -> None:
    serve(sessions)

    plan = triage("replay", "plan", "--reason", "cut_off")
    run = triage("replay", "run", "--reason", "cut_off", "--by", "Ana")

    assert (plan.exit_code, run.exit_code) == (3, 3)
    assert "No ticket matches" in plan.output
    assert "No ticket matches" in run.output
    with transaction(sessions) as session:
        assert session.scalars(select(Replay)).all() == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--profile", "nemo"], "no ticket has profile 'nemo'; there are scripted"),
        (["--prompt", "x"], "no ticket has prompt_version 'x'; there are demo-1"),
        (["--with", "colour=red"], "FIELD of profile, prompt, taxonomy"),
        (["--with", "prompt=x"], "there is no prompt 'x'; there are demo-1, triage-1"),
        (["--with", "profile=x"], "triage.long or triage.replay now; there are scripted"),
        (["--with", "taxonomy=nowhere.toml"], "--with taxonomy: "),
        (["--as-it-was", "--with", "prompt=demo-1"], "exclude each other"),
        (["--plan", "nowhere.json"], "cannot read nowhere.json"),
        (["--with", "taxonomy=my own.toml"], "my own.toml"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_naming_what_there_is(
    sessions: Sessions, triage: Triage, replied: int, *, words: list[str], told: str
) -> None:
    serve(sessions)

    refused = triage("replay", "run", *words, "--by", "Ana")

    assert isinstance(refused.exception, TriageError)
    assert told in str(refused.exception)


def test_a_field_alone_promotes_nothing(triage: Triage, replied: int, working: Working) -> None:
    with working():
        triage("replay", "run", "--by", "Ana")

    refused = triage("replay", "promote", 1, "--all", "--field", "category", "--by", "Ben")
    nothing = triage("replay", "promote", 1, "--ticket", 99, "--by", "Ben")

    assert refused.exit_code == 2
    assert nothing.exit_code == 3
    assert "Ticket 99 has nothing of this replay" in nothing.output


def test_a_comparison_is_a_page_and_json_at_once(
    triage: Triage, replied: int, working: Working, tmp_path: Path
) -> None:
    with working():
        triage("replay", "run", "--by", "Ana")

    found = said(triage, "replay", "compare", 1, "--html", tmp_path / "page.html")

    assert found[0]["tickets"] == 1
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_without_a_worker_nothing_is_begun(
    sessions: Sessions, triage: Triage, replied: int
) -> None:
    refused = triage("replay", "run", "--by", "Ana")

    assert "no worker takes triage.replay now" in str(refused.exception)
    with transaction(sessions) as session:
        assert session.scalars(select(Replay)).all() == []


def test_the_labels_of_a_comparison_are_those_of_a_reply(
    triage: Triage, replied: int, working: Working
) -> None:
    with working():
        triage("replay", "run", "--by", "Ana")

    assert tuple(said(triage, "replay", "compare", 1)[0]["confusion"]) == LABELS


def test_what_was_triaged_before_desks_were_kept_cannot_be_run_as_it_was_and_that_is_said(
    sessions: Sessions, triage: Triage, replied: int
) -> None:
    serve(sessions)
    with transaction(sessions) as session:
        session.execute(text("update attempts set desk_sha256 = null"))

    refused = triage("replay", "run", "--as-it-was", "--by", "Ana")

    assert refused.exit_code == 3
    assert "1 tickets cannot be run as they were" in " ".join(refused.output.split())
    with transaction(sessions) as session:
        assert session.scalars(select(Replay)).all() == []


@pytest.mark.parametrize(
    ("since", "why"),
    [
        ("update tickets set state = 'ignored', reason = 'discarded by Ana'",
         "it waits, is in work, or was put away"),
        ("update tickets set state = 'triaging'", "it waits, is in work, or was put away"),
        ("update tickets set erased_at = now()", "its text was erased"),
    ],
)  # fmt: skip
def test_promotion_revives_nothing_that_was_put_away(
    sessions: Sessions, triage: Triage, replied: int, working: Working, *, since: str, why: str
) -> None:
    with working():
        triage("replay", "run", "--by", "Ana")
    with transaction(sessions) as session:
        session.execute(text(since))

    done = triage("replay", "promote", 1, "--all", "--by", "Ana")

    assert f"Ticket {replied} was left as it is: {why}." in done.stdout


def test_what_was_skipped_is_written_back_when_it_is_promoted_again(
    sessions: Sessions, triage: Triage, replied: int, working: Working,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(
        "TRIAGE_HELPDESKS__GENERIC",
        '{"url": "https://x.example", "token": "t", "write_back": true}',
    )
    promotion = ("replay", "promote", 1, "--all", "--by", "Ben", "--write-back")
    with working():
        triage("replay", "run", "--by", "Ana")
    triage(*promotion)
    triage("replay", "undo", 1, "--all", "--by", "Ben")
    with transaction(sessions) as session:
        session.execute(text("update writebacks set state = 'skipped', attempts = 1"))

    triage(*promotion)

    with transaction(sessions) as session:
        again = session.scalars(select(Writeback)).one()
    assert (again.state, again.attempts) == ("waiting", 0)
    assert ordered(sessions) == [(replied, SECOND_REPLY)]


def test_messages_that_still_wait_in_their_own_queue_are_not_lost(
    sessions: Sessions, publisher: Publisher, replied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "SILENT_S", -1.0)
    monkeypatch.setattr(feed, "COUNT_S", 0.0)
    serve(sessions, "scripted", Queue.LONG)
    replay_id = begin(sessions, profile="scripted")
    publisher.send([(replied, Queue.LONG)])
    feeder = feed.Feeder(replay_id, sessions, publisher, feed.Pace(None))

    for _ in range(4):
        feeder.look()

    assert publisher.depths()[Queue.LONG] == 1
