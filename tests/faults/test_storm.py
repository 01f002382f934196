"""A storm: tickets come in while processes and servers are killed at random moments.

STORM_SEED, STORM_TICKETS (2000), STORM_SECONDS (200) choose another one.
"""

import json
import os
import random
import signal
import threading
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.faults.fleet import Fleet, Process
from tests.faults.private import PrivatePostgres, PrivateRedis
from worker import migrate

SEED = int(os.environ.get("STORM_SEED", str(random.SystemRandom().randrange(10**6))))
TICKETS = int(os.environ.get("STORM_TICKETS", "2000"))
SECONDS = float(os.environ.get("STORM_SECONDS", "200"))
SENDERS = 4

FOUND = """
select
    count(*) as tickets,
    count(*) filter (where state = 'replied') as replied,
    count(*) filter (where crashes > 0) as hit,
    count(*) filter (where state = 'received' or state = 'triaging') as lost,
    sum(attempts)::int as attempts,
    (
        select count(*)
        from (select from replies group by ticket_id having count(*) > 1) as twice
    ) as doubled
from tickets
"""


class Storm:
    """Kills one thing after the other, and puts it back after a moment."""

    def __init__(self, fleet: Fleet, postgres: PrivatePostgres, redis: PrivateRedis) -> None:
        self.fleet, self._postgres, self._redis = fleet, postgres, redis
        self._random = random.Random(SEED)
        self._running = {name: fleet.start(name) for name in ("gateway", "sweep")}
        self._workers = [fleet.start("worker") for _ in range(2)]
        self.kills: dict[str, int] = {}

    def blow(self) -> None:
        [victim] = self._random.choices(
            ["worker", "gateway", "sweep", "redis", "postgres", "worker told to stop"],
            weights=[6, 4, 3, 2, 2, 2],
        )
        self.kills[victim] = self.kills.get(victim, 0) + 1
        if victim == "redis":
            self._redis.kill()
            self._pause()
            self._redis.start()
        elif victim == "postgres":
            self._postgres.kill(signal.SIGKILL)
            self._pause()
            self._postgres.start()
        elif victim in self._running:
            self._running[victim].kill()
            self._pause()
            self._running[victim] = self.fleet.start(victim)
        else:
            self._end_a_worker(signal.SIGKILL if victim == "worker" else signal.SIGTERM)

    def _end_a_worker(self, how: signal.Signals) -> None:
        index = self._random.randrange(len(self._workers))
        worker: Process = self._workers[index]
        worker.send(how)
        self._workers[index] = self.fleet.start("worker")

    def _pause(self) -> None:
        time.sleep(self._random.uniform(0, 1.5))

    def calm(self) -> float:
        return self._random.uniform(0.5, 5)


@pytest.mark.timeout(1800)
def test_in_a_storm_no_ticket_is_lost_or_doubled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nSTORM_SEED={SEED}")
    with ExitStack() as stack:
        postgres = PrivatePostgres(tmp_path / "postgres")
        stack.callback(postgres.close)
        redis = PrivateRedis(tmp_path / "redis")
        stack.callback(redis.close)
        migrate.upgrade_at(postgres.url)
        fleet = Fleet(tmp_path / "fleet", postgres.url, redis.url, scripted_latency_s=0.5)
        stack.callback(fleet.stop)
        storm = Storm(fleet, postgres, redis)
        fleet.wait_for_gateway()

        started, numbers = time.monotonic(), count()

        def send() -> None:
            while (number := next(numbers)) < TICKETS:
                fleet.post_until_accepted(str(number))
                due = SECONDS * number / TICKETS - (time.monotonic() - started)
                time.sleep(max(0.0, due))

        senders = [threading.Thread(target=send) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        while time.monotonic() - started < SECONDS or any(s.is_alive() for s in senders):
            time.sleep(storm.calm())
            storm.blow()
        for sender in senders:
            sender.join()
        fleet.audit(patience_s=300)

        [found] = fleet.rows(FOUND)
        result = {"seed": SEED, "seconds": SECONDS, "ended": storm.kills, **found._asdict()}
        with capsys.disabled():
            print("RESULT", json.dumps(result))
        assert found.tickets == TICKETS
        assert not [one.log for one in fleet.processes if "Unrecoverable" in one.log.read_text()]
        assert set(fleet.accepted) == {row.id for row in fleet.rows("select id from tickets")}
