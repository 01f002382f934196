"""Every write to the ticket tables. Each function is one step of a ticket's journey.

None of them commits: `worker.database.transaction` does. Times are Postgres's own clock.
"""

from worker.tickets.store.attempts import Result
from worker.tickets.store.by_hand import (
    act,
    correct,
    dead,
    discard,
    run_again,
)
from worker.tickets.store.claims import (
    Claim,
    claim,
    extend,
)
from worker.tickets.store.endings import (
    RetryPolicy,
    crashed,
    give_back,
    move,
    record,
    release,
    repair,
)
from worker.tickets.store.erasing import (
    ended_before,
    erase,
    nameless,
    of_conversation,
    of_requester,
)
from worker.tickets.store.feeding import (
    announce_again,
    left,
    note_unsent,
    out,
    to_announce,
)
from worker.tickets.store.history import Past, write_past, write_past_replay, write_refusals
from worker.tickets.store.intake import (
    IMPORT,
    Arrival,
    Received,
    add_refusals,
    known,
    note_announced,
    receive,
    receive_all,
)
from worker.tickets.store.promoting import Promoted, promote, undo_promotion
from worker.tickets.store.replays import (
    Order,
    begin_replay,
    change_replay,
    claim_rerun,
    held_by_others,
    replay_state,
)
from worker.tickets.store.settings import (
    AsItWas,
    Setting,
    keep_desk,
)
from worker.tickets.store.sweeping import (
    announced_counts,
    announced_long_ago,
    count_days,
    free_expired,
    live_is_here,
    oldest_live_s,
    take_back_long,
    take_sweep_lock,
    unannounced,
)
from worker.tickets.store.workers import (
    Route,
    is_served,
    profiles_serving,
    slots,
    worker_is_gone,
    worker_is_here,
)
from worker.tickets.store.writebacks import (
    Job,
    end_write_back,
    order_write_back,
    order_write_backs,
    put_off_write_back,
    retry_write_backs,
    take_write_back,
)

__all__ = [
    "IMPORT",
    "Arrival",
    "AsItWas",
    "Claim",
    "Job",
    "Order",
    "Past",
    "Promoted",
    "Received",
    "Result",
    "RetryPolicy",
    "Route",
    "Setting",
    "act",
    "add_refusals",
    "announce_again",
    "announced_counts",
    "announced_long_ago",
    "begin_replay",
    "change_replay",
    "claim",
    "claim_rerun",
    "correct",
    "count_days",
    "crashed",
    "dead",
    "discard",
    "end_write_back",
    "ended_before",
    "erase",
    "extend",
    "free_expired",
    "give_back",
    "held_by_others",
    "is_served",
    "keep_desk",
    "known",
    "left",
    "live_is_here",
    "move",
    "nameless",
    "note_announced",
    "note_unsent",
    "of_conversation",
    "of_requester",
    "oldest_live_s",
    "order_write_back",
    "order_write_backs",
    "out",
    "profiles_serving",
    "promote",
    "put_off_write_back",
    "receive",
    "receive_all",
    "record",
    "release",
    "repair",
    "replay_state",
    "retry_write_backs",
    "run_again",
    "slots",
    "take_back_long",
    "take_sweep_lock",
    "take_write_back",
    "to_announce",
    "unannounced",
    "undo_promotion",
    "worker_is_gone",
    "worker_is_here",
    "write_past",
    "write_past_replay",
    "write_refusals",
]
