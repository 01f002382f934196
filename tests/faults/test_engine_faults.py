"""Tickets that kill or hang the engine, among good ones."""

import pytest

from tests.faults.conftest import MakeFleet
from tests.faults.fleet import GERMAN, Fleet, wait_for

GOOD = 15
FINAL = {"replied", "needs_human"}


def outcomes(fleet: Fleet) -> dict[str, set[str]]:
    """The states of the good tickets and of the bad one."""
    rows = fleet.rows("select external_id, state from tickets")
    return {
        "good": {row.state for row in rows if row.external_id != "bad"},
        "bad": {row.state for row in rows if row.external_id == "bad"},
    }


def send(fleet: Fleet, word: str) -> None:
    for number in range(GOOD):
        fleet.post_until_accepted(str(number))
    fleet.post_until_accepted("bad", f"{GERMAN} {word}")
    for number in range(GOOD, 2 * GOOD):
        fleet.post_until_accepted(str(number))


def test_a_ticket_that_kills_the_engine_is_quarantined_and_all_others_are_answered(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(scripted_latency_s=0.5, max_crashes=3)
    [worker] = fleet.start_all()

    send(fleet, "POISON")
    fleet.audit()

    assert outcomes(fleet) == {"good": {"replied"}, "bad": {"needs_human"}}
    [bad] = fleet.rows("select crashes, reason from tickets where external_id = 'bad'")
    assert (bad.crashes, bad.reason) == (3, "the engine died")
    assert worker.said("engine_up_again")


def test_a_ticket_that_hangs_the_engine_is_quarantined_and_all_others_are_answered(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(scripted_latency_s=0.2, deadline_s=2, max_crashes=2)
    fleet.start_all()

    send(fleet, "HANG")
    fleet.audit()

    assert outcomes(fleet)["bad"] == {"needs_human"}
    [bad] = fleet.rows("select crashes from tickets where external_id = 'bad'")
    assert bad.crashes == 2


def test_while_the_engine_is_down_the_worker_is_not_ready_and_takes_nothing(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(engine_restarts=5)
    [worker] = fleet.start_all()

    fleet.post_until_accepted("bad", f"{GERMAN} POISON")
    wait_for(lambda: not worker.ready_file.exists(), "the worker to say it is not ready")
    fleet.post_until_accepted("good")
    taken = fleet.rows("select from tickets where external_id = 'good' and attempts > 0")
    still_down = not worker.ready_file.exists()
    wait_for(worker.ready_file.exists, "the worker to be ready again")

    assert still_down
    assert taken == []
    fleet.audit()


@pytest.mark.parametrize("broker_url", ["rabbitmq"], indirect=True)
def test_the_process_of_the_real_engine_is_killed_under_load(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(profile="demo")
    [worker] = fleet.start_all()
    for number in range(60):
        fleet.post_until_accepted(str(number))
    wait_for(lambda: fleet.rows("select from tickets where state = 'triaging'"), "work to begin")

    worker.engine.kill()

    fleet.audit()
    assert worker.said("engine_up_again")
    assert {row.state for row in fleet.rows("select state from tickets")} <= FINAL
    [crashed] = fleet.rows("select count(*) from attempts where outcome = 'crashed'")
    assert 1 <= crashed.count <= 20


def test_a_worker_that_cannot_keep_its_engine_up_ends_and_another_takes_over(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(max_crashes=2)
    fleet.start("gateway"), fleet.start("sweep")
    broken = fleet.start("worker", engine_restarts=0)
    fleet.wait_for_gateway()
    broken.wait_ready()

    send(fleet, "POISON")

    assert broken.wait() == 1
    fleet.start("worker")
    fleet.audit()
    assert outcomes(fleet) == {"good": {"replied"}, "bad": {"needs_human"}}
