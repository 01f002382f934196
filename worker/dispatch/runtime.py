"""What a worker process holds while it runs: made once, handed to every task."""

from dataclasses import dataclass

from worker.database import Sessions
from worker.dispatch.publish import Publisher
from worker.engine.contract import Engine
from worker.tickets.store import RetryPolicy
from worker.triage.pipeline import Desk


@dataclass(frozen=True, slots=True)
class Runtime:
    """`worker` is this process's name in claims; `lease_s` how long it may hold a ticket."""

    sessions: Sessions
    publisher: Publisher
    engine: Engine
    desk: Desk
    worker: str
    lease_s: float
    retries: RetryPolicy
