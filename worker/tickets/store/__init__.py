"""Every write to the ticket tables. Each function is one step of a ticket's journey.

None of them commits: `worker.database.transaction` does. Times are Postgres's own clock.
"""

from worker.tickets.store.claims import (
    Claim,
    Result,
    RetryPolicy,
    claim,
    give_back,
    record,
    release,
)
from worker.tickets.store.intake import Received, announced, receive
from worker.tickets.store.sweeping import free_expired, is_ours, waiting

__all__ = [
    "Claim",
    "Received",
    "Result",
    "RetryPolicy",
    "announced",
    "claim",
    "free_expired",
    "give_back",
    "is_ours",
    "receive",
    "record",
    "release",
    "waiting",
]
