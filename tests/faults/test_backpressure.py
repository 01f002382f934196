"""When live tickets wait too long the gateway goes on accepting, and bulk work stands still."""

import json
from datetime import datetime, timedelta

from tests.faults.conftest import MakeFleet
from tests.faults.fleet import Process

THREADS = 5  # one ticket in flight and four prepared ahead
BULK = """
insert into tickets (source, external_id, content_key, subject, body, queue, state, attempts)
select
    'import', 'bulk-' || number, 'x', '',
    'Meine Bestellung ist nicht angekommen, bitte helfen Sie mir.', 'triage.bulk', 'received', 0
from generate_series(1, 40) as number
"""
STARTED = """
select count(*) as bulk
from attempts
join tickets on tickets.id = attempts.ticket_id
where tickets.queue = 'triage.bulk' and started_at between '{since}' and '{until}'
"""


def when(worker: Process, event: str) -> datetime:
    lines = (json.loads(line) for line in worker.log.read_text().splitlines() if line[:1] == "{")
    return next(datetime.fromisoformat(one["timestamp"]) for one in lines if one["event"] == event)


def test_bulk_tickets_wait_while_live_tickets_are_late_and_go_on_afterwards(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(in_flight=1, scripted_latency_s=0.5, pause_bulk_after_s=2)
    [worker] = fleet.start_all()
    fleet.execute(BULK)

    statuses = {fleet.post(str(number)) for number in range(150)}
    fleet.audit()

    assert statuses == {202}
    since = when(worker, "bulk_paused") + timedelta(seconds=1)
    until = when(worker, "bulk_resumed")
    assert until - since > timedelta(seconds=3)
    [started] = fleet.rows(STARTED.format(since=since, until=until))
    assert started.bulk <= THREADS
