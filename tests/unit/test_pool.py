"""The pool runs live tickets first, forgets what has not begun, and survives a broken task."""

import threading
from typing import Any

from worker.dispatch.pool import LiveFirstPool


class Work:
    """Tasks for a pool of one thread, and the order in which they ran."""

    def __init__(self) -> None:
        self.pool, self.ran = LiveFirstPool(limit=1), list[str]()
        self.gate, self.began = threading.Event(), threading.Event()
        self.pool.start()
        self.put("first", wait=True)
        assert self.began.wait(10)

    def put(self, name: str, queue: str = "triage.live", *, wait: bool = False) -> None:
        request = {"delivery_info": {"routing_key": queue}}

        def target(*_: Any) -> None:
            if wait:
                self.began.set()
                self.gate.wait(10)
            self.ran.append(name)
            if name == "broken":
                raise ZeroDivisionError

        self.pool.apply_async(target, ("triage.ticket", name, request), callback=lambda _: None)

    def finish(self) -> list[str]:
        self.gate.set()
        last = threading.Event()
        request = {"delivery_info": {"routing_key": "other"}}
        self.pool.apply_async(
            lambda *_: last.set(), ("triage.ticket", "last", request), callback=lambda _: None
        )
        assert last.wait(10)
        self.pool.stop()
        return self.ran


def test_live_tickets_overtake_those_that_wait_and_keep_their_own_order() -> None:
    work = Work()
    work.put("replay", "triage.replay")
    work.put("bulk", "triage.bulk")
    work.put("live 1")
    work.put("live 2")

    assert work.finish() == ["first", "live 1", "live 2", "bulk", "replay"]


def test_what_has_not_begun_is_forgotten_when_the_pool_stops() -> None:
    work = Work()
    work.put("never")
    threading.Timer(0.1, work.gate.set).start()

    work.pool.flush()
    work.pool.stop()

    assert work.ran == ["first"]


def test_a_task_that_fails_does_not_cost_the_pool_its_thread() -> None:
    work = Work()
    work.put("broken")
    work.put("next")

    assert work.finish() == ["first", "broken", "next"]
