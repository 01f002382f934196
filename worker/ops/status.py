"""How the service is, from the same views as the dashboards; what needs attention, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from worker.tickets.store.workers import GONE_S

OLD_S = 300.0
"""A ticket that waits longer than this means that the workers do not keep up, or are not there."""
SILENT_S = 86_400.0
UNSWEPT_S = 600.0
"""A lease that ran out is taken back within a minute or two, unless nothing sweeps."""
UNWRITTEN_S = 7_200.0
"""A reply that waits longer to be written back is held up by more than a busy helpdesk."""

PARTS = {
    "queues": "select queue, waiting, in_work, oldest_s from ops_backlog_v2 order by queue",
    "workers": "select name, profile, queues, places, seen_s from ops_workers_v1 order by name",
    "leases": "select queue, expired, oldest_s from ops_leases_v1 order by queue",
    "sources": "select source, last_event_at, silent_s from ops_sources_v1 order by source",
    "write_back": "select source, sum(done)::bigint as done, sum(skipped)::bigint as skipped,"
    " sum(failed)::bigint as failed, sum(waiting)::bigint as waiting from ops_writebacks_v1"
    " where hour > now() - interval '24 hours' group by source order by source",
    "unwritten": "select source, replies, oldest_s from ops_unwritten_v1 order by source",
    "dead": "select source, tickets, last_at from ops_dead_v1 order by source",
    "last_24h": "select source, sum(received)::bigint as received, sum(replied)::bigint as replied,"
    " sum(needs_human)::bigint as needs_human, sum(in_flight)::bigint as in_flight,"
    " sum(dead)::bigint as dead from ops_flow_v2 where hour > now() - interval '24 hours'"
    " group by source order by source",
}


def status(session: Session) -> dict[str, Any]:
    """Queues, workers, sources, the last day as lists of objects; `problems` as sentences."""
    found = {
        name: [dict(row._mapping) for row in session.execute(text(query))]
        for name, query in PARTS.items()
    }
    return {"problems": list(problems(found)), **found}


def problems(found: Mapping[str, Any]) -> Iterator[str]:
    """What needs attention, each with what to do about it."""
    yield from problems_of_queues(found)
    for source in found["sources"]:
        if source["silent_s"] > SILENT_S:
            hours = source["silent_s"] / 3600
            yield f"{source['source']} has sent nothing for {hours:,.0f} h: is its webhook on?"
    if dead := sum(source["tickets"] for source in found["dead"]):
        yield f"{dead:,} tickets are dead, the tries on them failed: see `triage dead list`"
    yield from problems_of_write_back(found)


def problems_of_queues(found: Mapping[str, Any]) -> Iterator[str]:
    present = [worker for worker in found["workers"] if worker["seen_s"] < GONE_S]
    if not present:
        yield "no worker takes tickets: start one with `triage worker`, or look at its log"
    for queue in found["queues"]:
        served = any(queue["queue"] in worker["queues"] for worker in present)
        if present and queue["waiting"] and not served:
            yield f"nobody serves {queue['queue']}: name it in a worker's TRIAGE_QUEUES"
        if queue["oldest_s"] > OLD_S:
            yield (
                f"the oldest ticket of {queue['queue']} has waited {queue['oldest_s']:,.0f} s: "
                "start more workers, or see what holds these up"
            )
    for queue in found["leases"]:
        if queue["oldest_s"] > UNSWEPT_S:
            yield (
                f"{queue['expired']:,} tickets of {queue['queue']} are held by workers that are "
                "gone: does `triage sweep` run?"
            )


def problems_of_write_back(found: Mapping[str, Any]) -> Iterator[str]:
    if failed := sum(source["failed"] for source in found["write_back"]):
        yield (
            f"{failed:,} replies of the last 24 h could not be written back: see "
            "`triage writeback list --state failed`"
        )
    for source in found["unwritten"]:
        if source["oldest_s"] > UNWRITTEN_S:
            yield (
                f"{source['replies']:,} replies wait to be written back to {source['source']}: see "
                "`triage writeback list --state waiting`"
            )
