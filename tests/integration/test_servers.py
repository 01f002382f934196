"""Several servers behind one engine: who gets what, and what becomes of a ticket when one fails."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
import structlog

from tests.stack import wait_for
from tests.vllm_twin import HANG_UP, VllmTwin, completion
from worker.cli import preflight
from worker.cli.compose import start_engine
from worker.cli.desks import make_desk
from worker.engine import vllm_server
from worker.engine.contract import Generation, Prompt, Request
from worker.engine.profiles import load_profile
from worker.engine.supervised import SupervisedEngine
from worker.engine.vllm_server import ServerEngine
from worker.errors import (
    AnswerLost,
    DeadlineExceeded,
    EngineCrashed,
    EngineUnavailable,
    PromptTooLong,
    RequestRefused,
    Retryable,
    SettingsError,
    TriageError,
)
from worker.settings import load_settings

PROFILE = load_profile("demo")
ASK = Request(
    Prompt("Answer.", "A ticket."),
    'root ::= "yes" | "no"',
    8,
    temperature=0.25,
    seed=4711,
    priority=2,
)

Starts = Callable[..., VllmTwin]
Drives = Callable[..., ServerEngine]


@pytest.fixture
def start() -> Iterator[Starts]:
    with ExitStack() as running:

        def start(**how: Any) -> VllmTwin:
            twin = VllmTwin(**how)
            running.callback(twin.stop)
            return twin

        yield start


@pytest.fixture
def drive() -> Iterator[Drives]:
    with ExitStack() as running:

        def drive(*twins: VllmTwin, key: str = "") -> ServerEngine:
            engine = ServerEngine(PROFILE, [one.url for one in twins], key=key)
            running.callback(engine.stop)
            return engine

        yield drive


def ask(engine: ServerEngine | SupervisedEngine) -> Generation:
    return engine.generate(ASK, deadline_s=10)


def answers(engine: ServerEngine) -> bool:
    try:
        return ask(engine).text == "yes"
    except Retryable:
        return False


def test_what_is_asked_goes_over_the_wire_as_it_is(start: Starts, drive: Drives) -> None:
    twin = start()
    engine = drive(twin)

    ask(engine)

    [body] = twin.asked
    assert body["model"] == "demo"
    assert (body["priority"], body["seed"]) == (2, 4711)
    assert (body["temperature"], body["max_tokens"]) == (0.25, 8)
    assert body["structured_outputs"] == {"grammar": ASK.grammar}
    assert body["logprobs"] > 0


def test_the_less_busy_server_gets_the_next(start: Starts, drive: Drives) -> None:
    goes_on = threading.Event()

    def slow() -> tuple[int, dict[str, Any]]:
        assert goes_on.wait(10)
        return 200, completion()

    busy, idle = start(answer=slow), start()
    engine = drive(busy, idle)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(ask, engine)
        wait_for(lambda: len(busy.asked) == 1, "the first request to arrive")
        for _ in range(3):
            ask(engine)
        goes_on.set()

    assert first.result().text == "yes"
    assert (len(busy.asked), len(idle.asked)) == (1, 3)


def test_a_worker_warms_every_server(start: Starts) -> None:
    def cold() -> tuple[int, dict[str, Any]]:
        time.sleep(0.2)  # it compiles the grammar
        return 200, completion()

    twins = [start(answer=cold), start(answer=cold)]
    settings = load_settings(profile="demo", servers=",".join(one.url for one in twins))

    start_engine(settings, make_desk(settings)).stop()

    assert sorted(len(one.asked) for one in twins) == [1, 2]  # one tells of the room, too


def test_a_worker_starts_when_one_server_of_several_is_warm(start: Starts) -> None:
    ill, well = start(answer=lambda: (500, {})), start()
    settings = load_settings(profile="demo", servers=f"{ill.url},{well.url}")

    with structlog.testing.capture_logs() as lines:
        start_engine(settings, make_desk(settings)).stop()

    assert [one["event"] for one in lines if "warm" in one["event"]] == ["server_not_warm"]


def test_doctor_names_the_server_that_does_not_answer(start: Starts) -> None:
    well, away = start(), start()
    away.stop()

    seen = preflight.servers(load_settings(profile="demo", servers=f"{well.url},{away.url}"))

    assert seen.is_warning
    assert seen.fix
    assert away.url in seen.fix
    assert well.url not in seen.fix


def test_a_context_without_room_for_an_answer_is_found_at_the_start(start: Starts) -> None:
    twin = start(context=4096)
    settings = load_settings(profile="demo", servers=twin.url)

    with pytest.raises(PromptTooLong, match="room for -"):
        start_engine(settings, make_desk(settings))


def test_a_worker_waits_for_its_servers_as_long_as_it_takes(start: Starts) -> None:
    twin = start()
    settings = load_settings(profile="demo", servers=twin.url, engine_restarts=0)
    engine = start_engine(settings, make_desk(settings))

    twin.stop()
    wait_for(lambda: not engine.is_alive(), "the server to be missed")
    start(port=twin.port)

    wait_for(engine.is_alive, "the worker to ask the server that came")
    engine.stop()


@pytest.mark.parametrize("status", [400, 500])
def test_a_server_that_fails_fast_does_not_get_most_of_the_tickets(
    start: Starts, drive: Drives, status: int
) -> None:
    def takes_a_while() -> tuple[int, dict[str, Any]]:
        time.sleep(0.01)
        return 200, completion()

    ill, well = start(answer=lambda: (status, {})), start(answer=takes_a_while)
    engine = drive(ill, well)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: answers(engine), range(80)))

    assert len(ill.asked) <= 8
    assert found.count(False) <= (0 if status == 400 else 8)


def test_a_server_that_hangs_until_the_deadline_is_asked_after_the_others(
    start: Starts, drive: Drives
) -> None:
    may_go = threading.Event()
    ill, well = start(answer=lambda: (200 if may_go.wait(10) else 500, {})), start()
    engine = drive(ill, well)

    with pytest.raises(DeadlineExceeded):
        engine.generate(ASK, deadline_s=0.3)
    found = [answers(engine) for _ in range(3)]
    may_go.set()

    assert found == [True] * 3
    assert (len(ill.asked), len(well.asked)) == (1, 3)


def told_as_text() -> dict[str, Any]:
    answer = completion()
    answer["choices"][0]["logprobs"]["tokens"] = ["yes"]
    return answer


def told_of_nothing() -> dict[str, Any]:
    answer = completion()
    answer["choices"][0]["logprobs"] = None
    return answer


def told_without_a_number() -> dict[str, Any]:
    answer = completion()
    answer["choices"][0]["logprobs"]["token_logprobs"][0] = None
    return answer


NO_ANSWERS = [
    {"answer": "hello"},
    [],
    {"choices": []},
    told_as_text(),
    told_of_nothing(),
    told_without_a_number(),
    "<html>",
]


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_a_server_that_answers_as_no_vllm_does_is_refused_before_any_ticket(
    start: Starts, body: Any
) -> None:
    twin = start(probed=lambda: (200, body))
    settings = load_settings(profile="demo", servers=twin.url)

    with pytest.raises(SettingsError, match=r"as no vLLM does .*; start there what"):
        start_engine(settings, make_desk(settings))

    assert twin.asked == []


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_an_answer_that_is_none_of_vllms_is_lost(start: Starts, drive: Drives, body: Any) -> None:
    engine = drive(start(answer=lambda: (200, body)))

    with pytest.raises(AnswerLost, match="as no vLLM does"):
        ask(engine)


def test_a_server_that_gives_up_what_it_is_tried_out_with_is_refused(
    start: Starts, drive: Drives
) -> None:
    twin = start(probed=lambda: (200, completion("error")))

    with pytest.raises(SettingsError, match="gave the request up"):
        drive(twin)


def test_a_server_that_minds_no_grammar_is_refused(start: Starts, drive: Drives) -> None:
    twin = start(version="0.9.0", probed=lambda: (200, completion(text="Gladly!")))

    with pytest.raises(SettingsError, match=r"does not allow \(vLLM 0\.9\.0\)"):
        drive(twin)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_server_that_takes_no_such_request_is_refused(
    start: Starts, drive: Drives, status: int
) -> None:
    twin = start(probed=lambda: (status, {"error": "extra fields are not permitted"}))

    with pytest.raises(SettingsError, match=f"said {status} .*extra fields are not permitted"):
        drive(twin)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_cannot_answer_yet_may_come_later(
    start: Starts, drive: Drives, status: int
) -> None:
    busy, well = start(probed=lambda: (status, {})), start()

    assert drive(busy, well).down() == [busy.url]
    with pytest.raises(EngineUnavailable, match=f"said {status}"):
        drive(busy)


def test_a_server_that_hangs_keeps_no_other_waiting(
    start: Starts, drive: Drives, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = threading.Event()

    def hang() -> tuple[int, dict[str, Any]]:
        ends.wait(30)
        return 503, {}

    monkeypatch.setattr(vllm_server, "PROBE_S", 0.5)
    hanging, comes = start(probed=hang), VllmTwin()
    engine = drive(hanging, comes)
    monkeypatch.setattr(vllm_server, "PROBE_S", 30.0)
    comes.stop()
    wait_for(lambda: not engine.is_alive(), "the other one to be missed")
    start(port=comes.port)

    wait_for(engine.is_alive, "it to be welcome again", patience_s=5)
    assert engine.down() == [hanging.url]
    ends.set()


def test_a_server_that_comes_later_and_minds_no_grammar_gets_nothing(
    start: Starts, drive: Drives, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = start()
    engine = drive(twin)

    twin.is_well, twin.probed = False, lambda: (200, completion(text="Gladly!"))
    wait_for(lambda: not engine.is_alive(), "it to be missed")
    twin.is_well = True

    wait_for(lambda: "does not allow" in "".join(capsys.readouterr()), "the log's line")
    assert not engine.is_alive()


def test_an_address_may_be_given_as_for_other_clients(start: Starts) -> None:
    twin = start()
    engine = ServerEngine(PROFILE, [f"{twin.url}/v1/"])

    assert answers(engine)
    engine.stop()


def test_what_only_one_server_could_take_and_refuses_is_refused(
    start: Starts, drive: Drives
) -> None:
    engine = drive(start(answer=lambda: (400, {})))

    with pytest.raises(RequestRefused):
        ask(engine)


def test_a_server_samples_as_an_engine_in_the_worker_does(start: Starts, drive: Drives) -> None:
    """It takes what the model's `generation_config.json` says where a request says nothing."""
    twin = start()

    ask(drive(twin))

    assert (twin.asked[0]["repetition_penalty"], twin.asked[0]["top_p"]) == (1.0, 1.0)


def test_each_server_is_asked_by_its_own_name_of_the_model(start: Starts, drive: Drives) -> None:
    twins = [start(model="/models/demo"), start(model="somebody/demo")]
    engine = drive(*twins)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: ask(engine), range(40)))

    for twin in twins:
        assert {one["model"] for one in twin.asked} == {twin.model}


def test_an_answer_tells_its_server_and_what_runs_there_now(start: Starts, drive: Drives) -> None:
    old, other = start(version="0.32.0"), start(version="0.33.0")
    engine = drive(old, other)

    def told() -> set[tuple[str, str]]:
        """By eight at once, so that each server has some."""
        with ThreadPoolExecutor(8) as threads:
            found = threads.map(lambda _: ask(engine).identity, range(40))
        return {(one.hardware, one.engine_version) for one in found}

    assert told() == {(old.url, "vllm 0.32.0 (server)"), (other.url, "vllm 0.33.0 (server)")}

    old.is_well, old.version = False, "0.34.0"
    wait_for(lambda: {url for url, _ in told()} == {other.url}, "one to be missed")
    old.is_well = True

    wait_for(lambda: (old.url, "vllm 0.34.0 (server)") in told(), "the upgraded one to answer")


def test_a_server_that_is_away_at_the_start_gets_requests_when_it_comes(
    start: Starts, drive: Drives
) -> None:
    here, later = VllmTwin(), VllmTwin()
    later.stop()
    engine = drive(here, later)
    assert answers(engine)

    came = start(port=later.port)
    here.stop()

    wait_for(lambda: answers(engine), "the one that came to answer")
    assert came.asked


def test_when_a_server_dies_the_other_one_answers(start: Starts, drive: Drives) -> None:
    stays, goes = start(), VllmTwin()
    engine = drive(goes, stays)
    assert answers(engine)

    goes.stop()

    wait_for(lambda: all(answers(engine) for _ in range(4)), "the other one to answer")
    assert engine.is_alive()


def test_another_model_at_a_known_address_gets_nothing(
    start: Starts, drive: Drives, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = start()
    engine = drive(twin)

    twin.root, twin.answer = "/srv/models/other", lambda: (404, {"error": "no such model"})
    with pytest.raises(EngineUnavailable, match="404"):
        ask(engine)

    wait_for(lambda: "serves /srv/models/other" in "".join(capsys.readouterr()), "the log's line")
    assert not engine.is_alive()


@pytest.mark.parametrize(
    ("status", "is_well", "error", "lives"),
    [
        (400, True, RequestRefused, True),
        (429, True, AnswerLost, True),
        (500, True, AnswerLost, True),
        (500, False, EngineCrashed, False),
        (502, False, EngineCrashed, False),  # a proxy's word for a server that hung up
        (503, True, AnswerLost, True),
        (503, False, EngineUnavailable, False),
        (504, True, AnswerLost, True),
        (HANG_UP, True, AnswerLost, True),
        (HANG_UP, False, EngineCrashed, False),
    ],
)
def test_what_an_answer_that_is_none_means(
    start: Starts,
    drive: Drives,
    *,
    status: int,
    is_well: bool,
    error: type[TriageError],
    lives: bool,
) -> None:
    twin = start()
    engine = drive(twin)

    twin.is_well, twin.answer = is_well, lambda: (status, {})

    with pytest.raises(error):
        ask(engine)
    assert engine.is_alive() is lives


def test_a_server_that_took_anothers_place_is_asked_once_it_was_looked_at(
    start: Starts, drive: Drives
) -> None:
    """A request is still with the old one when the new one says that it knows no such model."""
    ends, statuses = [threading.Event(), threading.Event()], [404, HANG_UP]

    def answer() -> tuple[int, dict[str, Any]]:
        number = len(twin.asked) - 1
        if number >= len(ends):
            return 200, completion()
        assert ends[number].wait(10)
        return statuses[number], {}

    twin = start()
    engine = drive(twin)
    twin.answer = answer

    with ThreadPoolExecutor(2) as threads:
        asked = []
        for number in range(2):
            asked.append(threads.submit(ask, engine))
            wait_for(lambda: len(twin.asked) == number + 1, "it to arrive")  # noqa: B023  # at once
        errors = []
        for end, one in zip(ends, asked, strict=True):
            end.set()
            errors.append(type(one.exception()))

    assert errors == [EngineUnavailable, AnswerLost]
    wait_for(lambda: answers(engine), "it to be asked again")


def test_single_looks_without_an_answer_are_not_yet_a_dead_server(
    start: Starts,
    drive: Drives,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    twin = start()
    engine, get, looks = drive(twin), twin.get, list[str]()

    def busy_each_second_time(path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        looks.append(path)
        return (503, {}) if len(looks) % 2 else get(path, authorization)

    monkeypatch.setattr(twin, "get", busy_each_second_time)
    wait_for(lambda: len(looks) == 4, "four looks")

    assert looks == ["/health"] * 4
    assert engine.is_alive()
    assert "server_down" not in capsys.readouterr().out


def test_stopping_ends_what_is_asked_at_once(start: Starts, drive: Drives) -> None:
    end = threading.Event()
    twin = start(answer=lambda: (200 if end.wait(20) else 500, completion()))
    engine = drive(twin)
    time.sleep(1.5)  # it was looked at: the connection that this opened is kept

    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, engine)
        wait_for(lambda: bool(twin.asked), "it to arrive")
        started = time.monotonic()
        engine.stop()
        error = asked.exception()
        took_s = time.monotonic() - started
        end.set()

    assert isinstance(error, EngineUnavailable)
    assert took_s < 1


@pytest.mark.parametrize(
    ("finish_reason", "error"), [("abort", EngineUnavailable), ("error", RequestRefused)]
)
def test_an_answer_that_the_server_broke_off_is_none(
    start: Starts, drive: Drives, finish_reason: str, error: type[TriageError]
) -> None:
    engine = drive(start(answer=lambda: (200, completion(finish_reason))))

    with pytest.raises(error):
        ask(engine)


def test_one_failed_answer_leaves_the_others_alone(start: Starts, drive: Drives) -> None:
    goes_on, failed = threading.Event(), threading.Event()

    def first_fails() -> tuple[int, dict[str, Any]]:
        if len(twin.asked) == 1:
            return 500, {}
        assert goes_on.wait(10)
        return 200, completion()

    twin = start()
    engine = SupervisedEngine(lambda: drive(twin), restarts=0)
    twin.answer = first_fails

    with ThreadPoolExecutor(5) as threads:
        with pytest.raises(AnswerLost):
            ask(engine)
        others = [threads.submit(ask, engine) for _ in range(4)]
        wait_for(lambda: len(twin.asked) == 5, "the others to arrive")
        failed.wait(1.5)  # as long as supervisor and watch need to look
        goes_on.set()

    assert [one.result().text for one in others] == ["yes"] * 4
    assert not engine.has_failed
    engine.stop()


def test_a_server_with_a_key_wants_it(start: Starts, drive: Drives) -> None:
    twin = start(key="from-the-vault")

    with pytest.raises(SettingsError, match="TRIAGE_SERVERS_KEY"):
        drive(twin)
    assert ask(drive(twin, key="from-the-vault")).text == "yes"


def test_a_proxys_page_is_a_server_that_does_not_answer(
    start: Starts, monkeypatch: pytest.MonkeyPatch, drive: Drives
) -> None:
    twin = start()
    monkeypatch.setattr(twin, "get", lambda *_: (502, {}))

    with pytest.raises(EngineUnavailable, match="said 502"):
        drive(twin)


@pytest.mark.parametrize("contexts", [[4096], [8192, 4096]])
def test_a_prompt_may_be_as_long_as_the_context_of_every_server(
    start: Starts, drive: Drives, contexts: list[int]
) -> None:
    engine = drive(*(start(context=context) for context in contexts))

    with pytest.raises(PromptTooLong) as refused:
        engine.generate(replace(ASK, prompt=Prompt("Answer.", "word " * 5000)), deadline_s=10)

    assert refused.value.room <= 4096 - ASK.max_tokens
