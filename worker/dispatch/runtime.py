"""What a worker process holds while it runs: made once, handed to every task."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy.orm import Session

from worker.database import Sessions, persistently
from worker.dispatch.desks import Desks
from worker.dispatch.holding import Held, Suspects
from worker.dispatch.publish import Publisher
from worker.engine.contract import Engine
from worker.tickets.rows import Ticket
from worker.tickets.store import Claim, RetryPolicy
from worker.triage.desk import Desk

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Runtime:
    """`worker` is this process's name in claims; `lease_s` how long a claim lasts unrenewed.

    `write_back` are the sources to which replies go back. `draining` is set when nothing
    is to be taken any more, `giving_up` when the process has to end now: what runs is given back.
    """

    sessions: Sessions
    publisher: Publisher
    engine: Engine
    desk: Desk
    worker: str
    lease_s: float
    retries: RetryPolicy
    suspects: Suspects
    write_back: frozenset[str] = frozenset()
    named_desks: Mapping[str, Desk] = field(default_factory=dict)
    desks: Desks = field(init=False)
    held: Held = field(default_factory=Held)
    draining: threading.Event = field(default_factory=threading.Event)
    giving_up: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "desks", Desks(self.desk, self.in_postgres, named=self.named_desks)
        )

    def writes_back(self, claim: Claim) -> bool:
        """Whether a reply goes back to its helpdesk: to sources that want it, never of a replay."""
        return claim.source in self.write_back and claim.way is Ticket

    def in_postgres(self, step: Callable[[Session], Result]) -> Result:
        """Do one step of a ticket's journey; while Postgres is away, wait for it.

        Raises:
            One of `worker.database.UNAVAILABLE`: Postgres is away and the process has to end.
        """
        return persistently(self.sessions, step, give_up=self.giving_up.wait)
