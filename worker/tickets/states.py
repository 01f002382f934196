"""The states of a ticket and the legal moves between them. Only `store` writes a state."""

from enum import StrEnum


class State(StrEnum):
    RECEIVED = "received"
    TRIAGING = "triaging"
    REPLIED = "replied"
    NEEDS_HUMAN = "needs_human"
    IGNORED = "ignored"


class Outcome(StrEnum):
    """How an attempt ended.

    `RUNNING` has not; `REPAIR` failed a check and gets one more try that knows of it; `MOVED` is
    for a queue with a longer context; `CRASHED` took the engine with it, or the engine took it;
    `LOST` never reported back and its lease ran out; `SUPERSEDED` reported back after that.
    """

    RUNNING = "running"
    REPLIED = "replied"
    NEEDS_HUMAN = "needs_human"
    RETRY = "retry"
    REPAIR = "repair"
    MOVED = "moved"
    CRASHED = "crashed"
    RELEASED = "released"
    LOST = "lost"
    SUPERSEDED = "superseded"


class WritebackState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


MOVES: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.TRIAGING, State.IGNORED}),
    State.TRIAGING: frozenset({State.REPLIED, State.NEEDS_HUMAN, State.RECEIVED, State.IGNORED}),
    State.REPLIED: frozenset({State.RECEIVED, State.NEEDS_HUMAN}),
    State.NEEDS_HUMAN: frozenset({State.RECEIVED, State.REPLIED, State.IGNORED}),
    State.IGNORED: frozenset(),
}
"""What is ignored was no customer's message, or was discarded, or erased before it was done."""

ANSWERED = frozenset({State.REPLIED, State.NEEDS_HUMAN})
"""What a worker has been done with; not what was put away by hand."""
FINAL = ANSWERED | {State.IGNORED}
