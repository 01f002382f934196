"""The queues that tickets wait in."""

from enum import StrEnum


class Queue(StrEnum):
    """In the order in which a worker serves them."""

    LIVE = "triage.live"
    BULK = "triage.bulk"
    REPLAY = "triage.replay"
    LONG = "triage.long"


QUEUES = tuple(Queue)
PATIENT_QUEUES = frozenset({Queue.BULK, Queue.REPLAY})
"""These stand still while live tickets wait too long."""
