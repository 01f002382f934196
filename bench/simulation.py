"""A service on paper: tickets arrive, workers batch them, each engine shares itself out.

A discrete-event simulation. An engine that runs n sequences writes `rate(n)` tokens a second, an
equal part for each (that is what continuous batching does); a worker takes as many tickets as it
has slots, the rest waits in one queue, first come first served. No clock of this machine is used.
"""

import heapq
import itertools
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Engine:
    """Tokens a second by sequences at once, as measured; in between they are interpolated.

    `prompt_s` is what a ticket's own part of the prompt takes of the engine's time.
    """

    rates: Mapping[int, float]
    prompt_s: float = 0.0

    @property
    def slots(self) -> int:
        return max(self.rates)

    def rate(self, running: int) -> float:
        """Tokens a second of all sequences together."""
        known = sorted(self.rates)
        if running <= known[0]:
            return self.rates[known[0]] * running / known[0]
        place = bisect_left(known, running)
        low, high = known[place - 1], known[place]
        share = (running - low) / (high - low)
        return self.rates[low] + share * (self.rates[high] - self.rates[low])

    def tickets_s(self, tokens: float) -> float:
        """Tickets a second with every slot full, answers of so many tokens on average."""
        return 1 / (tokens / self.rates[self.slots] + self.prompt_s)


@dataclass(slots=True)
class Worker:
    """One engine at work. `written` counts the tokens of a sequence that has always run."""

    engine: Engine
    written: float = 0.0
    since: float = 0.0
    running: list[tuple[float, int, float, int]] = field(default_factory=list)

    def advance(self, now: float) -> None:
        if self.running:
            number = len(self.running)
            self.written += (now - self.since) * self.engine.rate(number) / number
        self.since = now

    def begin(self, now: float, number: int, arrived: float, tokens: float, agent: int) -> None:
        self.advance(now)
        whole = tokens + self.engine.prompt_s * self.engine.rate(len(self.running) + 1)
        heapq.heappush(self.running, (self.written + whole, number, arrived, agent))

    def next_end(self) -> float:
        """When the next answer is complete, if nothing else happens before."""
        if not self.running:
            return math.inf
        number = len(self.running)
        left = max(0.0, self.running[0][0] - self.written)
        return self.since + left * number / self.engine.rate(number)


@dataclass(frozen=True, slots=True)
class Simulated:
    """Seconds from arrival to answer, and the share of all slots that was in use on average."""

    seconds: Sequence[float]
    used: float
    span_s: float

    def percentile(self, share: float) -> float:
        found = sorted(self.seconds)
        return found[min(len(found) - 1, int(share * len(found)))]


def simulate(
    engine: Engine,
    workers: int,
    arrivals: Iterator[tuple[float, int]],
    tokens: Callable[[], float],
    *,
    after: Callable[[float, int], float | None] = lambda _now, _agent: None,
    counted_from: float = 0.0,
) -> Simulated:
    """Run until every ticket is answered.

    `arrivals` gives (second, agent) in order; `tokens` draws an answer's length; `after` says when
    an agent who has just been answered sends the next ticket, None for never. What arrived before
    second `counted_from` is answered but not told of.
    """
    fleet = [Worker(engine) for _ in range(workers)]
    waiting: deque[tuple[float, int]] = deque()
    coming = list(itertools.islice(arrivals, 1))
    heapq.heapify(coming)
    seconds: list[float] = []
    numbers, now, used = itertools.count(), 0.0, 0.0
    while True:
        ending = min(fleet, key=Worker.next_end)
        arrival = coming[0][0] if coming else math.inf
        then = min(ending.next_end(), arrival)
        if math.isinf(then):
            span_s = now - counted_from
            return Simulated(seconds, used / (span_s * workers * engine.slots), span_s)
        counted_s = max(0.0, then - max(now, counted_from))
        used += counted_s * sum(len(one.running) for one in fleet)
        now = then
        if arrival <= ending.next_end():
            waiting.append(heapq.heappop(coming))
            for more in itertools.islice(arrivals, 1):
                heapq.heappush(coming, more)
        else:
            ending.advance(now)
            _, _, arrived, agent = heapq.heappop(ending.running)
            if arrived >= counted_from:
                seconds.append(now - arrived)
            again = after(now, agent)
            if again is not None:
                heapq.heappush(coming, (again, agent))
        while waiting:
            free = min(fleet, key=lambda one: len(one.running))
            if len(free.running) >= engine.slots:
                break
            arrived, agent = waiting.popleft()
            free.begin(now, next(numbers), arrived, tokens(), agent)
