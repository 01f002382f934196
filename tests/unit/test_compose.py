"""What a worker is made of, and what it does when its engine cannot be warmed."""

from typing import Any

import pytest

from tests.replies import written
from worker.cli import compose
from worker.cli.desks import make_desk
from worker.engine.contract import Generation, Request
from worker.engine.scripted import ScriptedEngine
from worker.settings import load_settings


class Broken(ScriptedEngine):
    """Raises what no engine is known to raise."""

    def generate(self, request: Request, *, deadline_s: float) -> Generation:  # noqa: ARG002
        raise ModuleNotFoundError("No module named 'guidance'")


@pytest.mark.parametrize(
    ("settings", "at_once"),
    [
        ({"profile": "nemo-awq-32k"}, 16),
        ({"profile": "nemo-awq-32k", "in_flight": 8}, 8),
        ({"profile": "nemo-awq-128k"}, 4),
        ({"profile": "nemo-awq-128k", "servers": "http://a,http://b"}, 8),
        ({"profile": "nemo-awq-32k", "servers": "http://three", "in_flight": 48}, 48),
        ({"profile": "scripted", "in_flight": 64}, 64),
    ],
)
def test_a_worker_holds_no_more_tickets_than_its_engine_runs(
    settings: dict[str, Any], at_once: int
) -> None:
    assert compose.make_plan(load_settings(**settings)).in_flight == at_once


def test_an_engine_that_cannot_be_warmed_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process would live on, and keep the worker's from ending."""
    engine, settings = Broken(lambda _: written()), load_settings(profile="demo")
    monkeypatch.setattr(compose, "engine_maker", lambda _: lambda: engine)

    with pytest.raises(ModuleNotFoundError):
        compose.start_engine(settings, make_desk(settings))

    assert not engine.is_alive()
