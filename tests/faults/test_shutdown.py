"""SIGTERM: what runs is finished or given back at once; nothing waits for a lease."""

import signal
import time

from tests.faults.conftest import MakeFleet
from tests.faults.fleet import Fleet, wait_for

LONG_LEASE_S = 600
TICKETS = 16


def fill(fleet: Fleet, tickets: int = TICKETS) -> None:
    """Have this many tickets in work."""
    for number in range(tickets):
        fleet.post_until_accepted(str(number))
    wait_for(lambda: triaging(fleet) == tickets, f"{tickets} tickets to be in work")


def triaging(fleet: Fleet) -> int:
    return len(fleet.rows("select from tickets where state = 'triaging'"))


def test_a_worker_told_to_stop_finishes_what_runs(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(lease_s=LONG_LEASE_S, scripted_latency_s=3)
    [worker] = fleet.start_all()
    fill(fleet)

    worker.send(signal.SIGTERM)
    started = time.monotonic()

    assert worker.wait() == 0
    assert time.monotonic() - started < 8
    fleet.audit()
    assert {row.attempts for row in fleet.rows("select attempts from tickets")} == {1}


def test_what_takes_too_long_is_given_back_and_taken_by_another_worker_in_seconds(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(lease_s=LONG_LEASE_S)
    fleet.start("gateway"), fleet.start("sweep")
    worker = fleet.start("worker", scripted_latency_s=300, deadline_s=400, drain_s=1)
    worker.wait_ready()
    fleet.wait_for_gateway()
    fill(fleet)
    other = fleet.start("worker")
    other.wait_ready()

    worker.send(signal.SIGTERM)
    started = time.monotonic()
    assert worker.wait() == 0
    fleet.audit()

    assert time.monotonic() - started < 8
    lost = fleet.rows("select from tickets where attempts <> 2 or failures + crashes > 0")
    assert lost == []


def test_a_second_signal_gives_back_at_once(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(lease_s=LONG_LEASE_S)
    fleet.start("gateway"), fleet.start("sweep")
    worker = fleet.start("worker", scripted_latency_s=300, deadline_s=400, drain_s=300)
    worker.wait_ready()
    fleet.wait_for_gateway()
    fill(fleet)

    worker.send(signal.SIGTERM)
    time.sleep(1)
    worker.send(signal.SIGTERM)
    started = time.monotonic()
    worker.wait()
    took_s = time.monotonic() - started

    assert took_s < 5
    assert triaging(fleet) == 0
    fleet.start("worker")
    fleet.audit()


def test_tickets_that_wait_in_a_stopping_worker_go_to_another(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(lease_s=LONG_LEASE_S, scripted_latency_s=1)
    first, second = fleet.start_all(workers=2)
    for number in range(100):
        fleet.post_until_accepted(str(number))

    first.send(signal.SIGTERM)

    assert first.wait() == 0
    fleet.audit()
    assert second.is_running
