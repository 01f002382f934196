"""Every write to the ticket tables. Each function is one step of a ticket's journey.

None of them commits: `worker.database.transaction` does. Times are Postgres's own clock.
"""

from worker.tickets.store.by_hand import act, correct, dead, discard, run_again
from worker.tickets.store.claims import (
    Claim,
    Result,
    RetryPolicy,
    claim,
    crashed,
    extend,
    give_back,
    move,
    record,
    release,
    repair,
)
from worker.tickets.store.erasing import ended_before, erase, of_requester
from worker.tickets.store.intake import Received, announced, receive
from worker.tickets.store.sweeping import (
    announced_long_ago,
    free_expired,
    is_ours,
    oldest_live_s,
    take_back_long,
    unannounced,
)
from worker.tickets.store.workers import is_served, worker_is_gone, worker_is_here

__all__ = [
    "Claim",
    "Received",
    "Result",
    "RetryPolicy",
    "act",
    "announced",
    "announced_long_ago",
    "claim",
    "correct",
    "crashed",
    "dead",
    "discard",
    "ended_before",
    "erase",
    "extend",
    "free_expired",
    "give_back",
    "is_ours",
    "is_served",
    "move",
    "of_requester",
    "oldest_live_s",
    "receive",
    "record",
    "release",
    "repair",
    "run_again",
    "take_back_long",
    "unannounced",
    "worker_is_gone",
    "worker_is_here",
]
