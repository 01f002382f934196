"""A supervised engine: started again when it dies or hangs, given up after bounded tries."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import structlog

from tests.replies import written
from worker.engine.contract import Generation, Prompt, Request
from worker.engine.scripted import ScriptedEngine
from worker.engine.supervised import SupervisedEngine
from worker.errors import DeadlineExceeded, EngineCrashed, EngineUnavailable, SettingsError

ASK = Request(Prompt("classify", "a ticket"), "root", max_tokens=10, temperature=0.0, seed=0)


class Mortal(ScriptedEngine):
    """Can die or hang; what is asked meanwhile learns of it as from vLLM."""

    def __init__(self) -> None:
        super().__init__(lambda _: written())
        self.hangs = False
        self._died = threading.Event()

    def die(self) -> None:
        self._died.set()

    def is_alive(self) -> bool:
        return super().is_alive() and not self._died.is_set()

    def generate(self, request: Request, *, deadline_s: float) -> Generation:
        if self.hangs:
            if self._died.wait(min(deadline_s, 0.2)):
                raise EngineCrashed("the engine died")
            raise DeadlineExceeded(f"no answer within {deadline_s:g} s")
        return super().generate(request, deadline_s=deadline_s)


class Garage:
    """Makes engines and keeps them; the starts numbered in `broken` fail."""

    def __init__(self, *broken: int, error: Exception | None = None) -> None:
        self.engines: list[Mortal] = []
        self.starts, self._broken = 0, broken
        self._error = error or EngineUnavailable("no memory")

    def start(self) -> Mortal:
        self.starts += 1
        if self.starts in self._broken:
            raise self._error
        self.engines.append(Mortal())
        return self.engines[-1]


def supervised(garage: Garage, restarts: int = 3) -> SupervisedEngine:
    return SupervisedEngine(garage.start, restarts=restarts, first_pause_s=0.01)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_engine_that_dies_is_replaced_and_answers_again() -> None:
    garage = Garage()
    engine = supervised(garage)

    garage.engines[0].die()
    wait_until(lambda: garage.starts == 2 and engine.is_alive())

    assert engine.generate(ASK, deadline_s=1).text == written()
    assert not garage.engines[0].is_alive()
    engine.stop()


def test_while_there_is_no_engine_nothing_is_asked() -> None:
    garage = Garage(*range(2, 50))
    engine = supervised(garage, restarts=5)

    garage.engines[0].die()
    wait_until(lambda: not engine.is_alive())

    with pytest.raises(EngineUnavailable):
        engine.generate(ASK, deadline_s=1)
    engine.stop()


def test_a_start_that_fails_is_tried_again_but_not_for_ever() -> None:
    garage = Garage(2, 3, 4)
    engine = supervised(garage, restarts=3)

    garage.engines[0].die()
    wait_until(lambda: engine.has_failed)

    assert garage.starts == 4
    assert not engine.is_alive()
    engine.stop()


@pytest.mark.parametrize("error", [SettingsError("a proxy's page"), OSError("the card is lost")])
def test_whatever_ends_a_start_it_is_tried_again(error: Exception) -> None:
    garage = Garage(2, error=error)
    engine = supervised(garage)

    garage.engines[0].die()

    wait_until(lambda: len(garage.engines) == 2)
    wait_until(engine.is_alive)
    engine.stop()


def test_an_engine_that_cannot_even_stop_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    garage = Garage()
    engine = supervised(garage)
    monkeypatch.setattr(garage.engines[0], "stop", broken)

    garage.engines[0].die()

    wait_until(lambda: len(garage.engines) == 2)
    wait_until(engine.is_alive)
    engine.stop()


def broken() -> None:
    raise OSError("the card is lost")


def test_a_warm_up_that_takes_too_long_is_a_start_that_failed() -> None:
    garage = Garage(2, error=DeadlineExceeded("no answer within 300 s"))
    engine = supervised(garage)

    garage.engines[0].die()

    wait_until(lambda: len(garage.engines) == 2)
    wait_until(engine.is_alive)
    assert garage.starts == 3
    engine.stop()


def test_a_first_start_that_fails_is_told_to_the_caller() -> None:
    with pytest.raises(EngineUnavailable):
        supervised(Garage(1))


def test_an_engine_that_hangs_is_replaced_and_the_ticket_is_told_that_it_crashed() -> None:
    garage = Garage()
    engine = supervised(garage)
    garage.engines[0].hangs = True

    with pytest.raises(EngineCrashed, match="hung"):
        engine.generate(ASK, deadline_s=0.1)
    wait_until(lambda: garage.starts == 2 and engine.is_alive())

    assert engine.generate(ASK, deadline_s=1).text == written()
    engine.stop()


def test_a_single_slow_ticket_costs_a_living_engine_nothing() -> None:
    engine = SupervisedEngine(lambda: ScriptedEngine(slow_for_tickets), restarts=3)

    with pytest.raises(DeadlineExceeded):
        engine.generate(ASK, deadline_s=0.05)

    assert engine.is_alive()
    engine.stop()


def slow_for_tickets(prompt: Prompt) -> str:
    if prompt.ticket:
        raise DeadlineExceeded("no answer")
    return "."


def test_stopping_ends_what_is_being_written() -> None:
    engine = SupervisedEngine(lambda: ScriptedEngine(lambda _: written(), latency_s=60), restarts=3)
    threading.Timer(0.1, engine.stop).start()

    with pytest.raises(EngineUnavailable):
        engine.generate(ASK, deadline_s=30)


def test_what_nobody_expects_at_a_new_start_is_in_the_log() -> None:
    garage = Garage(2, error=KeyError("a bug"))
    engine = supervised(garage)
    with structlog.testing.capture_logs() as lines:
        garage.engines[0].die()
        wait_until(lambda: len(garage.engines) == 2)
        engine.stop()

    [failed] = [line for line in lines if line["event"] == "engine_start_failed"]
    assert failed["exc_info"]


def test_stopping_does_not_wait_for_a_start_that_takes_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.engine.supervised.STOP_S", 0.2)
    garage, is_over = Garage(), threading.Event()

    def slow_from_now_on() -> Mortal:
        if garage.starts:
            is_over.wait(10)
        return garage.start()

    engine = SupervisedEngine(slow_from_now_on, restarts=3, first_pause_s=0.01)
    garage.engines[0].die()
    wait_until(lambda: not engine.is_alive())
    time.sleep(0.3)  # the pause is over, the start has begun
    started = time.monotonic()

    engine.stop()

    assert time.monotonic() - started < 3
    is_over.set()
    wait_until(lambda: garage.starts == 2)
    wait_until(lambda: not garage.engines[1].is_alive())  # what has started meanwhile ends


def test_a_probe_that_stopping_cuts_off_is_no_crash() -> None:
    garage = Garage()
    engine = supervised(garage)
    garage.engines[0].hangs = True
    failed: list[Exception] = []

    def ask() -> None:
        try:
            engine.generate(ASK, deadline_s=0.1)
        except (EngineCrashed, EngineUnavailable) as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.12)  # in the probe
    engine.stop()
    asking.join()

    assert [type(one) for one in failed] == [EngineUnavailable]


def test_the_lineage_is_that_of_the_engine_that_answers() -> None:
    garage = Garage()
    engine = supervised(garage)

    def another() -> Mortal:
        made = garage.start()
        made.identity = replace(made.identity, engine_version="vllm 0.34.0")
        return made

    engine._start = another
    garage.engines[0].die()
    wait_until(lambda: garage.starts == 2 and engine.is_alive())

    assert engine.identity.engine_version == "vllm 0.34.0"
