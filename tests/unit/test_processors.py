"""What a worker leaves to its engine: it interrupts nobody, and stays off one processor."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from worker.engine import processors

Result = TypeVar("Result")


def scheduled() -> tuple[int, set[int]]:
    """How this thread is scheduled, and on which processors."""
    return os.sched_getscheduler(0), os.sched_getaffinity(0)


def in_a_thread(step: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(step).result()


def standing_back() -> tuple[int, set[int]]:
    processors.let_the_engine_go_first()
    return scheduled()


def test_a_thread_waits_for_a_free_processor_and_leaves_one_alone() -> None:
    before = scheduled()

    policy, its_processors = in_a_thread(standing_back)

    assert policy == os.SCHED_BATCH
    assert its_processors < before[1] or len(before[1]) == 1
    assert len(its_processors) == max(1, len(before[1]) - 1)
    assert scheduled() == before  # others go on as they did


def test_so_do_the_threads_that_it_starts() -> None:
    def start_another() -> tuple[tuple[int, set[int]], tuple[int, set[int]]]:
        return standing_back(), in_a_thread(scheduled)

    mine, of_the_other = in_a_thread(start_another)

    assert of_the_other == mine


def test_where_it_is_not_allowed_everything_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(processors.os, "sched_setscheduler", refuse)
    before = scheduled()

    assert in_a_thread(standing_back) == before
