"""Grafana: every panel runs as the dashboards' role, on an empty and on a filled database."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import Engine, text

from docker.grafana import macros
from tests.conftest import REPOSITORY
from tests.worked_examples import fill
from worker.database import Sessions

DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in (REPOSITORY / "docker/grafana/dashboards").glob("*.json")
}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
]


def expanded(query: str) -> str:
    """A query as Grafana sends it, for this year and all sources."""
    return macros.expanded(
        query,
        start=datetime(2026, 1, 1, tzinfo=UTC),
        end=datetime(2027, 1, 1, tzinfo=UTC),
        sources=["zendesk", "zammad", "generic"],
    )


@pytest.fixture
def asked(sessions: Sessions, engine: Engine) -> Callable[[str], list[dict[str, Any]]]:
    """Runs a query as the dashboards' role."""

    def ask(query: str) -> list[dict[str, Any]]:
        with engine.connect() as connection:
            connection.execute(text("set local role triage_ops"))
            return [
                dict(row._mapping) for row in connection.execute(text(query.replace(":", r"\:")))
            ]

    return ask


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_runs_on_an_empty_and_on_a_filled_database(
    sessions: Sessions, asked: Callable[[str], list[dict[str, Any]]], panel: dict[str, Any]
) -> None:
    [target] = panel["targets"]
    query = expanded(target["rawSql"])

    asked(query)
    fill(sessions)
    rows = asked(query)

    if target["format"] == "time_series" and rows:
        assert "time" in rows[0]
    if panel["type"] == "stat":
        assert len(rows) == 1


def test_what_there_is_shows(
    sessions: Sessions, asked: Callable[[str], list[dict[str, Any]]]
) -> None:
    fill(sessions)
    panels = {panel["title"]: panel for panel in DASHBOARDS["operations"]["panels"]}

    def shown(title: str) -> list[dict[str, Any]]:
        return asked(expanded(panels[title]["targets"][0]["rawSql"]))

    assert shown("Received") == [{"Received": 6}]
    assert shown("Dead") == [{"Dead": 1}]
    assert [row["source"] for row in shown("Sources")][-1] == "generic"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_ids_of_their_own_and_do_not_cover_each_other(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]

    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_every_dashboard_has_a_uid_of_its_own() -> None:
    uids = {dashboard["uid"] for dashboard in DASHBOARDS.values()}

    assert uids == {"triage-operations", "triage-quality", "triage-engine", "triage-replay"}
