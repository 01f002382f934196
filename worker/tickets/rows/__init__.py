"""The tables, as SQLAlchemy models. What reads or writes them is in `store` and `read`."""

from worker.tickets.rows.people import Act, Correction
from worker.tickets.rows.replays import Replay, Rerun
from worker.tickets.rows.row import LARGEST_ID, Journey, Row, table_of
from worker.tickets.rows.tickets import Attempt, DailyMix, Delivery, Finding, Refusal, Reply, Ticket
from worker.tickets.rows.workers import Desk, Worker
from worker.tickets.rows.writebacks import Writeback

__all__ = [
    "LARGEST_ID",
    "Act",
    "Attempt",
    "Correction",
    "DailyMix",
    "Delivery",
    "Desk",
    "Finding",
    "Journey",
    "Refusal",
    "Replay",
    "Reply",
    "Rerun",
    "Row",
    "Ticket",
    "Worker",
    "Writeback",
    "table_of",
]
