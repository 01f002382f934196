"""`/metrics` of the gateway: what it counted itself, and how the service is by the views."""

import time
from collections.abc import Iterator

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.orm import Session

from worker import logs, metrics
from worker.database import UNAVAILABLE, Sessions, reason, transaction
from worker.ops.access import Access
from worker.tickets.store.workers import GONE_S

log = logs.get(__name__)

GAUGES = {
    "triage_backlog_tickets": (
        "Tickets that wait.",
        "queue",
        "select queue, waiting from ops_backlog_v2",
    ),
    "triage_backlog_age_seconds": (
        "How long the oldest ticket that is due has waited.",
        "queue",
        "select queue, oldest_s from ops_backlog_v2",
    ),
    "triage_in_work_tickets": (
        "Tickets that workers hold.",
        "queue",
        "select queue, in_work from ops_backlog_v2",
    ),
    "triage_workers": (
        "Workers that take tickets.",
        "profile",
        f"select profile, count(*) from ops_workers_v1 where seen_s < {GONE_S} "  # noqa: S608
        "group by profile",
    ),
    "triage_source_silent_seconds": (
        "Since the last accepted delivery.",
        "source",
        "select source, silent_s from ops_sources_v1",
    ),
    "triage_dead_tickets": (
        "Tickets whose tries failed or were refused and that nobody has run again or discarded.",
        "source",
        "select source, tickets from ops_dead_v1",
    ),
    "triage_lease_expired_seconds": (
        "Since the oldest lease ran out that no sweep has taken back.",
        "queue",
        "select queue, oldest_s from ops_leases_v1",
    ),
    "triage_writeback_waiting_seconds": (
        "Since the oldest reply was ordered that waits to be written back.",
        "source",
        "select source, oldest_s from ops_unwritten_v1",
    ),
}
"""Each with its meaning, its label, and the query that gives label and value."""
OF_A_DAY = {
    "triage_corrected_tickets": (
        "Tickets of the last 24 hours in which people corrected a field.",
        "field",
        "select field, sum(corrected) from ops_corrections_v1"
        " where hour > now() - interval '24 hours' group by field",
    ),
    "triage_answered_tickets": (
        "Tickets of the last 24 hours with a result, by language.",
        "language",
        "select coalesce(language, 'unknown'), sum(tickets) from ops_dispositions_v1"
        " where hour > now() - interval '24 hours' group by language",
    ),
}
"""These read all of a day's tickets."""
DAY_S = 60.0
"""So often a day is read: it may have a million tickets, and Prometheus comes each 15 seconds."""


class OfViews(Collector):
    """Reads the views whenever Prometheus asks; without Postgres only `triage_database_up`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._of_a_day: list[GaugeMetricFamily] = []
        self._day_from = 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            read = self._read()
        except UNAVAILABLE as error:
            log.warning("postgres_unavailable", error=reason(error))
            read = []
        yield GaugeMetricFamily(
            "triage_database_up", "1 while Postgres answers.", value=float(bool(read))
        )
        yield from read

    def _read(self) -> list[GaugeMetricFamily]:
        with transaction(self._sessions) as session:
            now = [family(session, name, *one) for name, one in GAUGES.items()]
            if time.monotonic() >= self._day_from:
                self._day_from = time.monotonic() + DAY_S
                self._of_a_day = [family(session, name, *one) for name, one in OF_A_DAY.items()]
        return [*now, *self._of_a_day]


def family(session: Session, name: str, meaning: str, label: str, query: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, meaning, labels=[label])
    for value, number in session.execute(text(query)):
        gauge.add_metric([value], float(number))
    return gauge


def router(sessions: Sessions, access: Access) -> APIRouter:
    """The endpoint, for whom `access` lets in: Prometheus bears the API token."""
    registry = CollectorRegistry()
    registry.register(OfViews(sessions))
    api = APIRouter(dependencies=[Depends(access.user)], include_in_schema=False)

    @api.get("/metrics")
    def read() -> Response:
        page = metrics.page() + generate_latest(registry)
        return Response(page, headers={"Content-Type": metrics.CONTENT_TYPE})

    return api
