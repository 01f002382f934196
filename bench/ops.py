"""What operators wait for: each view and each page, at ten thousand and at a million tickets."""

import statistics
import time
from collections.abc import Callable

from fastapi.testclient import TestClient
from sqlalchemy import text

from bench.filled import filled
from bench.report import write_table
from schemas.taxonomy import load_taxonomy
from worker.database import Sessions, opened, transaction
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.ops import pages
from worker.ops.access import Access
from worker.settings import load_settings

SIZES = (10_000, 1_000_000)
"""At three tickets a minute the first are two days, the second are 231."""
DAY = "hour > now() - interval '24 hours'"
VIEWS = {
    "ops_flow_v2": DAY,
    "ops_deliveries_v1": DAY,
    "ops_sources_v1": "true",
    "ops_backlog_v1": "true",
    "ops_time_to_triage_v1": DAY,
    "ops_dispositions_v1": DAY,
    "ops_corrections_v1": DAY,
    "ops_confusion_v1": "true",
    "ops_calibration_v1": "true",
    "ops_checks_v1": DAY,
    "ops_versions_v1": DAY,
    "ops_mix_v1": "day > now() - interval '7 days'",
    "ops_tokens_v1": DAY,
    "ops_worst_v1": "received_at > now() - interval '24 hours'",
    "ops_replays_v1": "true",
    "ops_workers_v1": "true",
}
PAGES = ("/ops?period=24h", "/ops?period=24h&language=ja", "/ops/tickets/5000", "/ops/replays")


def measure(rounds: int) -> None:
    taken = {size: milliseconds(size, rounds) for size in SIZES}
    small, large = (taken[size] for size in SIZES)
    write_table(
        "Operations",
        text="Milliseconds for each view, held to the last day where it has an hour, and for each "
        f"page, medians of {rounds}; Postgres on the same machine.",
        head="| what | at 10,000 tickets | at 1,000,000 | ratio |",
        rows=[
            f"| {name} | {small[name]:.0f} | {large[name]:.0f} | {large[name] / small[name]:.1f} |"
            for name in small
        ],
    )


def milliseconds(tickets: int, rounds: int) -> dict[str, float]:
    """The median of each view and page over a database with so many tickets."""
    with filled(tickets) as url, opened(url, pool_size=2) as sessions:
        browser = browser_on(sessions)
        steps: dict[str, Callable[[], object]] = {
            **{name: reading(sessions, name, held_to) for name, held_to in VIEWS.items()},
            **{path: opening(browser, path) for path in PAGES},
        }
        return {name: median_ms(step, rounds) for name, step in steps.items()}


def browser_on(sessions: Sessions) -> TestClient:
    access = Access.for_host("127.0.0.1", password=None, token=None)
    routes = pages.router(sessions, load_taxonomy(), access)
    intake = Intake(load_settings(), sessions, None)  # type: ignore[arg-type]  # no webhook comes
    return TestClient(create_app(intake, sessions, routes, max_body_bytes=1000, threads=2))


def reading(sessions: Sessions, view: str, held_to: str) -> Callable[[], object]:
    def read() -> object:
        with transaction(sessions) as session:
            return session.execute(text(f"select * from {view} where {held_to}")).all()  # noqa: S608

    return read


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
