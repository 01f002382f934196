"""The simulation of a service: held against what queueing theory knows exactly."""

import random
from collections.abc import Iterator

import pytest

from bench.simulation import Engine, simulate


def poisson(per_second: float, count: int) -> Iterator[tuple[float, int]]:
    rng, now = random.Random(5), 0.0
    for _ in range(count):
        now += rng.expovariate(per_second)
        yield now, 0


def mean(values: object) -> float:
    found = list(values)  # type: ignore[call-overload]
    return sum(found) / len(found)


def test_a_ticket_alone_takes_its_tokens_at_the_speed_of_one() -> None:
    engine = Engine({1: 100.0, 4: 200.0}, prompt_s=0.25)

    found = simulate(engine, 1, iter([(0.0, 0)]), lambda: 50.0)

    assert found.seconds == [0.75]
    assert found.used == 0.25


def test_two_at_once_share_the_speed_of_two() -> None:
    engine = Engine({1: 100.0, 3: 200.0})

    found = simulate(engine, 1, iter([(0.0, 0), (0.0, 1)]), lambda: 150.0)

    assert found.seconds == pytest.approx([2.0, 2.0])  # 150 a second for both


def test_what_came_before_is_answered_but_not_told_of() -> None:
    engine = Engine({1: 100.0})
    arrivals = iter([(0.0, 0), (0.5, 0), (2.0, 0)])

    found = simulate(engine, 1, arrivals, lambda: 100.0, counted_from=2.0)

    assert found.seconds == [1.0]
    assert (found.used, found.span_s) == (1.0, 1.0)


def test_one_slot_waits_as_pollaczek_and_khinchine_say() -> None:
    load, service_s = 0.7, 1.0
    engine = Engine({1: 100.0})

    found = simulate(engine, 1, poisson(load / service_s, 50_000), lambda: 100.0)

    wait_s = load * service_s / (2 * (1 - load))
    assert mean(found.seconds) == pytest.approx(service_s + wait_s, rel=0.05)


def test_shared_slots_take_as_long_as_processor_sharing_says() -> None:
    load, service_s = 0.5, 1.0
    engine = Engine({1: 100.0, 1000: 100.0})  # no slot is ever missing
    rng = random.Random(6)

    found = simulate(
        engine, 1, poisson(load / service_s, 50_000), lambda: 100 * rng.expovariate(1.0)
    )

    assert mean(found.seconds) == pytest.approx(service_s / (1 - load), rel=0.05)


def test_agents_who_never_pause_wait_as_little_says() -> None:
    engine = Engine({1: 175, 4: 490, 8: 740, 16: 1020}, prompt_s=0.022)

    found = simulate(
        engine, 1, iter([(0.0, agent) for agent in range(50)]), lambda: 140.0,
        after=lambda now, _agent: now if now < 3600 else None,
    )  # fmt: skip

    assert mean(found.seconds) == pytest.approx(50 / engine.tickets_s(140), rel=0.02)


def test_a_second_worker_takes_what_the_first_has_no_slot_for() -> None:
    engine = Engine({1: 100.0})

    found = simulate(engine, 2, iter([(0.0, 0), (0.0, 1), (0.0, 2)]), lambda: 100.0)

    assert sorted(found.seconds) == pytest.approx([1.0, 1.0, 2.0])
