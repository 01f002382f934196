"""Feeds a replay to the queue, so slowly that live tickets do not notice.

While live tickets come in, each worker has about one rerun at a time; otherwise as many as it has
places. That is steered here, by how many reruns are announced: what is not announced takes no
place in any worker, and a replay whose feeder dies stops by itself.
"""

import math
import time
from collections.abc import Callable, Collection

from worker import logs
from worker.database import UNAVAILABLE, Sessions, reason, transaction
from worker.dispatch.publish import BROKER_DOWN, Publisher
from worker.tickets import store
from worker.tickets.store import Route

log = logs.get(__name__)

LOOK_S = 0.1
COUNT_S = 1.0
LIVE_S = 60.0
"""So long after the last live ticket a replay still holds back."""
SLOTS_PER_RERUN = 16
"""While live tickets come in a worker has one rerun for so many of its places."""
QUEUED_S = 1.0
"""So much work waits in the queue, so that a worker never waits for the next look."""
SILENT_S = 30.0
"""Nothing done for so long and nothing in the queue: the broker lost the messages."""


class Pace:
    """How many reruns may be out at once. `rate` is the most per second, None for no limit."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._last_live = -math.inf
        self._allowance, self._seen_at = 1.0, 0.0

    def most_out(self, *, slots: int, live_is_here: bool, done_s: float, now: float) -> int:
        """The most that may be out at `now` (seconds); `done_s` is how many get done a second."""
        if live_is_here:
            self._last_live = now
        if now - self._last_live < LIVE_S:
            return max(1, slots // SLOTS_PER_RERUN)
        return slots + max(slots // 4, int(done_s * QUEUED_S))

    def may_send(self, wanted: int, *, now: float) -> int:
        """How many of `wanted` the rate lets go now; they count as sent."""
        if self._rate is None:
            return wanted
        passed_s, self._seen_at = now - (self._seen_at or now), now
        self._allowance = min(max(1.0, self._rate), self._allowance + passed_s * self._rate)
        sent = min(wanted, int(self._allowance))
        self._allowance -= sent
        return sent


def feed(
    replay_id: int,
    sessions: Sessions,
    publisher: Publisher,
    *,
    rate: float | None,
    stopped: Callable[[float], bool],
    tell: Callable[[int], None],
) -> str:
    """Feed a replay until nothing of it is left; its state then.

    It is `paused` when `stopped(seconds)`, which waits, says so, and whatever somebody else has
    made of it meanwhile. `tell` is called now and then with how many reruns are left.
    """
    feeder = Feeder(replay_id, sessions, publisher, Pace(rate))
    while True:
        try:
            state = feeder.look()
            tell(feeder.left)
            if state != "running":
                return state
            if not feeder.left:
                return feeder.end("done")
        except UNAVAILABLE as error:
            log.warning("postgres_unavailable", error=reason(error))
        if stopped(LOOK_S):
            return feeder.end("paused")


class Feeder:
    """One replay on its way to the queue. `left` is how many reruns were left when last counted."""

    def __init__(
        self, replay_id: int, sessions: Sessions, publisher: Publisher, pace: Pace
    ) -> None:
        self._replay_id, self._sessions, self._publisher = replay_id, sessions, publisher
        self._pace = pace
        self._counted_at, self._moved_at = 0.0, time.monotonic()
        self._done_s, self._has_workers = 0.0, True
        self._routes: Collection[Route] = ()
        self.left = -1

    def look(self) -> str:
        """Announce as many as may be out now; the replay's state."""
        now = time.monotonic()
        if now - self._counted_at >= COUNT_S:
            self._count(now)
        with transaction(self._sessions) as session:
            state = store.replay_state(session, self._replay_id)
            if state != "running":
                return state
            out = store.out(session, self._replay_id)
            slots = store.slots(session, self._routes)
            if self._routes:  # else all is done
                self._tell_of_workers(slots)
            most = self._pace.most_out(
                slots=slots,
                live_is_here=store.live_is_here(session),
                done_s=self._done_s,
                now=now,
            )
            room = 0 if self._publisher.is_paused else max(0, most - out)
            wanted = self._pace.may_send(room, now=now)
            due = store.to_announce(session, self._replay_id, limit=wanted) if wanted else []
        if due:
            sent = set(self._publisher.send(due))
            if unsent := [ticket_id for ticket_id, _ in due if ticket_id not in sent]:
                with transaction(self._sessions) as session:
                    store.note_unsent(session, self._replay_id, unsent)
        return state

    def end(self, state: str) -> str:
        """Leave the replay in this state, unless somebody else has ended it; its state."""
        with transaction(self._sessions) as session:
            store.change_replay(session, self._replay_id, state, be=["running"])
            return store.replay_state(session, self._replay_id)

    def _tell_of_workers(self, slots: int) -> None:
        if bool(slots) != self._has_workers:
            self._has_workers = bool(slots)
            log.warning("workers_are_back" if slots else "no_worker_takes_replays", slots=slots)

    def _count(self, now: float) -> None:
        with transaction(self._sessions) as session:
            open_ = store.left(session, self._replay_id)
        self._routes, left = open_.keys(), sum(open_.values())
        if left != self.left:
            self._done_s = max(0.0, (self.left - left) / (now - self._counted_at))
            self.left, self._moved_at = left, now
        elif now - self._moved_at > SILENT_S:
            self._announce_lost(now)
        self._counted_at = now

    def _announce_lost(self, now: float) -> None:
        self._moved_at = now
        try:
            depths = self._publisher.depths()
        except BROKER_DOWN as error:
            log.warning("broker_unreachable", error=str(error))
            return
        if empty := {queue for queue, _ in self._routes if not depths[queue]}:
            with transaction(self._sessions) as session:
                store.announce_again(session, self._replay_id, empty)
