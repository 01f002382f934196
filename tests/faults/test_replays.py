"""kill -9 while tickets are run again: of a worker, of the command that feeds them."""

import signal

from tests.faults.conftest import MakeFleet
from tests.faults.fleet import Fleet, wait_for

TICKETS = 30

AUDIT = """
-- Reruns that are not at an end, hold a lease, or did not come to one answer.
select reruns.id, reruns.state, count(attempts.id) as answers
from reruns
left join attempts
    on attempts.ticket_id = reruns.ticket_id
    and attempts.replay_id = reruns.replay_id
    and attempts.outcome in ('replied', 'needs_human')
left join replies on replies.attempt_id = attempts.id
group by reruns.id
having reruns.state not in ('replied', 'needs_human')
    or reruns.claimed_by is not null
    or count(attempts.id) <> 1
    or count(replies.id) <> 1
"""


def triaged(fleet: Fleet) -> None:
    """A fleet without a worker that has triaged some tickets."""
    [worker] = fleet.start_all()
    for number in range(TICKETS):
        fleet.post_until_accepted(str(number))
    fleet.audit()
    worker.send(signal.SIGTERM)
    worker.wait()


def done(fleet: Fleet) -> int:
    [[count]] = fleet.rows("select count(*) from reruns where state in ('replied', 'needs_human')")
    return int(count)


def audit(fleet: Fleet) -> None:
    wait_for(lambda: done(fleet) == TICKETS, "every rerun to be done")
    assert fleet.rows(AUDIT) == []
    assert len(fleet.rows("select from reruns")) == TICKETS
    fleet.audit()


def test_a_worker_is_killed_over_reruns(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    triaged(fleet)
    worker = fleet.start("worker", stop_at="generating")
    worker.wait_ready()
    wait_for(lambda: fleet.rows("select from workers"), "the worker to be known")

    feeder = fleet.triage("replay", "run", "--by", "Ana")
    worker.wait_stopped()
    worker.kill()
    fleet.start("worker")

    assert feeder.wait(90) == 0
    audit(fleet)
    assert len(fleet.rows("select from attempts where outcome = 'lost'")) > 0


def test_the_feeder_is_killed_and_resuming_does_what_is_left(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    triaged(fleet)
    fleet.start("worker").wait_ready()
    wait_for(lambda: fleet.rows("select from workers"), "the worker to be known")

    feeder = fleet.triage("replay", "run", "--by", "Ana", "--rate", 5)
    wait_for(lambda: done(fleet) >= 3, "some reruns to be done")
    feeder.kill()
    feeder.wait()
    before = done(fleet)
    resumed = fleet.triage("replay", "resume", 1, "--by", "Ana")

    assert before < TICKETS
    assert resumed.wait(90) == 0
    audit(fleet)
    assert fleet.rows("select state from replays") == [("done",)]
