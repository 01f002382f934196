"""kill -9 at every step of a ticket's journey."""

from threading import Thread

import pytest

from tests.faults.conftest import MakeFleet

GATEWAY_STEPS = ["before the commit", "between commit and publish", "between publish and note"]
WORKER_STEPS = [
    "before the claim",
    "after the claim",
    "generating",
    "between generation and record",
    "between record and ack",
]
TICKETS = 5


@pytest.mark.parametrize("step", GATEWAY_STEPS)
def test_the_gateway_is_killed(make_fleet: MakeFleet, step: str) -> None:
    fleet = make_fleet()
    worker, sweep = fleet.start("worker"), fleet.start("sweep")
    gateway = fleet.start("gateway", stop_at=step)
    fleet.wait_for_gateway()

    sender = Thread(target=fleet.post_until_accepted, args=("1",))
    sender.start()
    gateway.wait_stopped()
    gateway.kill()
    fleet.start("gateway")
    sender.join()

    assert worker.is_running
    assert sweep.is_running
    fleet.audit()
    assert len(fleet.rows("select from tickets")) == 1


@pytest.mark.parametrize("step", WORKER_STEPS)
def test_a_worker_is_killed(make_fleet: MakeFleet, step: str) -> None:
    fleet = make_fleet()
    fleet.start("gateway")
    fleet.start("sweep")
    worker = fleet.start("worker", stop_at=step)
    fleet.wait_for_gateway()
    worker.wait_ready()
    for number in range(TICKETS):
        fleet.post_until_accepted(str(number))

    worker.wait_stopped()
    worker.kill()
    fleet.start("worker")

    fleet.audit()


def test_the_sweep_is_killed_between_freeing_and_announcing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.start("gateway")
    worker = fleet.start("worker", stop_at="generating")
    fleet.wait_for_gateway()
    worker.wait_ready()
    for number in range(TICKETS):
        fleet.post_until_accepted(str(number))
    worker.wait_stopped()
    worker.kill()

    sweep = fleet.start("sweep", stop_at="between commit and publish")
    sweep.wait_stopped()
    sweep.kill()
    fleet.start("sweep")
    fleet.start("worker")

    fleet.audit()
