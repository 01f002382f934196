"""Writes the dashboards from `panels`: python -m docker.grafana.build [--check]."""

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docker.grafana.panels import DASHBOARDS, Panel
from schemas.generate import write_or_check

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of dashboards in the form that every Grafana reads
    from grafana_foundation_sdk.builders import stat, table, timeseries
    from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.variants import Dataquery
    from grafana_foundation_sdk.models.common import DataSourceRef, GraphDrawStyle
    from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

DIRECTORY = Path(__file__).with_name("dashboards")
SOURCES = (
    "select distinct source from ops_flow_v2 where $__timeFilter(hour) "
    "union select 'unknown' order by source"
)
"""Those whose webhooks are all refused too; never none, which would be no SQL."""
SOURCE = DataSourceRef(type_val="grafana-postgresql-datasource", uid="triage")


class Query(Dataquery):
    """A query in SQL; the SDK has none for Postgres."""

    def __init__(self, sql: str, *, is_series: bool) -> None:
        self._sql, self._is_series = sql, is_series

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "A",
            "datasource": SOURCE,
            "editorMode": "code",
            "format": "time_series" if self._is_series else "table",
            "rawQuery": True,
            "rawSql": self._sql,
        }


class QueryBuilder(Builder[Query]):
    def __init__(self, sql: str, *, is_series: bool) -> None:
        self._query = Query(sql, is_series=is_series)

    def build(self) -> Query:
        return self._query


def drawn(panel: Panel) -> Any:
    kinds = {
        "stat": stat.Panel, "lines": timeseries.Panel, "bars": timeseries.Panel, "table": table.Panel,
    }  # fmt: skip
    built = (
        kinds[panel.kind]()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .span(panel.width)
        .height(panel.height)
        .with_target(QueryBuilder(panel.sql, is_series=panel.kind in {"lines", "bars"}))
    )
    if panel.kind != "table":
        built.unit(panel.unit)
    if panel.kind == "bars":
        built.draw_style(GraphDrawStyle.BARS).fill_opacity(60)
    return built


def dashboard(name: str, title: str, panels: Sequence[Panel]) -> str:
    built = (
        Dashboard(title)
        .uid(f"triage-{name}")
        .tags(["ticket-triage"])
        .timezone("browser")
        .refresh("30s")
        .time("now-24h", "now")
    )
    if any("${source" in panel.sql for panel in panels):
        built.with_variable(sources())
    for number, panel in enumerate(panels, 1):
        built.with_panel(drawn(panel).id(number))
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def sources() -> QueryVariable:
    """The helpdesks to choose from; all, to begin with."""
    return (
        QueryVariable("source")
        .label("Source")
        .datasource(SOURCE)
        .query(SOURCES)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .current(VariableOption(text="All", value="$__all"))
    )


if __name__ == "__main__":
    files = {f"{name}.json": dashboard(name, *what) for name, what in DASHBOARDS.items()}
    sys.exit(write_or_check(DIRECTORY, files, sys.argv[1:]))
