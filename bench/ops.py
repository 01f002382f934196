"""What operators wait for: each view and each page, at ten thousand and at a million tickets."""

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from bench.filled import filled
from bench.report import write_table
from bench.resilience import fleet, webhooks_s
from bench.watch import watching
from docker.grafana import macros
from schemas.desks import Taxonomies
from schemas.taxonomy import load_taxonomy
from worker.database import Sessions, opened, transaction
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.ops import pages
from worker.ops.access import Access
from worker.settings import load_settings

SIZES = {
    "10,000 tickets": (10_000, 20.0),
    "1,000,000": (1_000_000, 20.0),
    "1,000,000 in a day": (1_000_000, 0.0864),
}
"""How many, and the seconds between two: the first are two days, the second 231."""
TOKEN = "a-token-for-the-pages"  # noqa: S105  # of this bench alone
DASHBOARDS = Path(__file__).parent.parent / "docker/grafana/dashboards"
PAGES = ("/ops?period=24h", "/ops?period=24h&language=ja", "/ops/tickets/5000", "/ops/replays")


def measure(rounds: int) -> None:
    small, large, dense = (milliseconds(*size, rounds) for size in SIZES.values())
    ratios = beside_the_page(rounds)
    write_table(
        "Operations",
        text="Milliseconds for each panel of the dashboards over the last 24 hours (of a mix: "
        f"seven days), and for each page, medians of {rounds}; Postgres on the same machine. "
        f"Webhooks accepted per second while /ops is loaded each second / without: "
        f"{statistics.median(ratios):.3f} ({', '.join(f'{one:.3f}' for one in ratios)}).",
        head=f"| what | {' | '.join(SIZES)} | second / first |",
        rows=[
            f"| {name} | {small[name]:.1f} | {large[name]:.1f} | {dense[name]:.1f} "
            f"| {large[name] / small[name]:.1f} |"
            for name in small
        ],
    )


def beside_the_page(rounds: int) -> list[float]:
    """Webhooks accepted per second while somebody has the page open, against nobody."""
    ratios = []
    with fleet() as running:
        running.start("gateway")
        running.wait_for_gateway()
        webhooks_s(running, "warm")
        for number in range(rounds):
            alone = webhooks_s(running, f"alone-{number}")
            with watching(loading(f"{running.url}/ops?period=24h"), every_s=1.0):
                watched = webhooks_s(running, f"watched-{number}")
            ratios.append(watched / alone)
    return ratios


def loading(url: str) -> Callable[[], object]:
    """Load a page, as somebody's browser does; its most eager refresh is five times as rare."""
    return lambda: httpx.get(url, timeout=10).raise_for_status()


def milliseconds(tickets: int, apart_s: float, rounds: int) -> dict[str, float]:
    """The median of each view and page over a database with so many tickets."""
    with filled(tickets, apart_s=apart_s) as url, opened(url, pool_size=2) as sessions:
        browser = browser_on(sessions)
        steps: dict[str, Callable[[], object]] = {
            **{name: asking(sessions, query) for name, query in panels().items()},
            **{path: opening(browser, path) for path in PAGES},
        }
        return {name: median_ms(step, rounds) for name, step in steps.items()}


def browser_on(sessions: Sessions) -> TestClient:
    access = Access.for_host("127.0.0.1", password=None, token=SecretStr(TOKEN))
    routes = pages.router(sessions, Taxonomies(load_taxonomy()), access)
    intake = Intake(load_settings(), sessions, None)  # type: ignore[arg-type]  # no webhook comes
    app = create_app(intake, sessions, routes, max_body_bytes=1000, threads=2)
    return TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"})


def panels() -> dict[str, str]:
    """Every panel's query by its dashboard and title, its macros filled in."""
    now = datetime.now(UTC)
    found = {}
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            [target] = panel["targets"]
            days = 7 if "ops_mix" in target["rawSql"] else 1
            found[f"{path.stem}: {panel['title']}"] = macros.expanded(
                target["rawSql"],
                start=now - timedelta(days=days),
                end=now,
                sources=["zendesk", "zammad", "generic"],
            )
    return found


def asking(sessions: Sessions, query: str) -> Callable[[], object]:
    def ask() -> object:
        with transaction(sessions) as session:
            return session.execute(text(query.replace(":", r"\:"))).all()

    return ask


def opening(browser: TestClient, path: str) -> Callable[[], object]:
    return lambda: browser.get(path).raise_for_status()


def median_ms(step: Callable[[], object], rounds: int) -> float:
    step()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        step()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)
