"""What an engine on a CPU has to itself: its worker interrupts nobody and leaves one alone."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

from worker import processors

Result = TypeVar("Result")
ALL = os.sched_getaffinity(0)
ALL_BUT_THE_LAST = ALL - {max(ALL)} or ALL
ALL_BUT_THE_FIRST = ALL - {min(ALL)} or ALL
ENGINE = """
import os, sys, threading
if "bound" in sys.argv:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
threading.Thread(target=sys.stdin.read, daemon=True).start()
print(threading.enumerate()[1].native_id, flush=True)
sys.stdin.read()
"""


def scheduled() -> tuple[int, set[int]]:
    """How this thread is scheduled, and on which processors."""
    return os.sched_getscheduler(0), os.sched_getaffinity(0)


def in_a_thread(step: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(step).result()


def standing_back() -> tuple[int, set[int]]:
    processors.let_the_engine_go_first()
    return scheduled()


def test_a_thread_waits_for_a_free_processor_and_leaves_the_last_one() -> None:
    before = scheduled()

    policy, its_processors = in_a_thread(standing_back)

    assert policy == os.SCHED_BATCH
    assert its_processors == ALL_BUT_THE_LAST
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


@contextmanager
def engine(*words: str) -> Iterator[tuple[int, int]]:
    """A process with two threads, and their ids; the first is its main one."""
    with subprocess.Popen(
        [sys.executable, "-c", ENGINE, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        yield process.pid, int(process.stdout.readline())
        process.kill()


def test_an_engine_computes_where_nothing_else_of_it_runs() -> None:
    with engine() as (main, other):
        processors.give_one_to(main)

        assert os.sched_getaffinity(main) == ALL_BUT_THE_FIRST
        assert os.sched_getaffinity(other) == ALL_BUT_THE_LAST


def test_a_thread_that_the_engine_starts_meanwhile_is_moved_too() -> None:
    with engine() as (main, other):
        os.sched_setaffinity(other, ALL_BUT_THE_FIRST)  # as it would inherit it

        processors.give_one_to(main)

        assert os.sched_getaffinity(other) == ALL_BUT_THE_LAST


def test_a_thread_that_somebody_has_bound_stays_where_it_is() -> None:
    with engine("bound") as (main, other):
        processors.give_one_to(main)

        assert os.sched_getaffinity(main) == os.sched_getaffinity(other) == {min(ALL)}


def test_a_process_is_kept_off_the_last_with_all_its_threads() -> None:
    with engine() as ids:
        processors.keep_off_the_last(ids[0])

        assert [os.sched_getaffinity(one) for one in ids] == [ALL_BUT_THE_LAST] * 2


def test_a_process_that_has_ended_is_nobodys_trouble() -> None:
    with engine() as (main, _):
        pass

    processors.give_one_to(main)
    processors.keep_off_the_last(main)
