"""What a worker does when its engine starts, but cannot be warmed."""

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


def test_an_engine_that_cannot_be_warmed_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process would live on, and keep the worker's from ending."""
    engine, settings = Broken(lambda _: written()), load_settings(profile="demo")
    monkeypatch.setattr(compose, "engine_maker", lambda _: lambda: engine)

    with pytest.raises(ModuleNotFoundError):
        compose.start_engine(settings, make_desk(settings))

    assert not engine.is_alive()
