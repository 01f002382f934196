"""The tickets every measurement uses: held-out phrasings, the five languages in turn."""

from dataclasses import replace
from itertools import islice
from uuid import uuid4

from models.demo.tickets import Example, examples
from schemas.ticket import IncomingTicket
from worker.helpdesk import text

TICKETS = 1200


def workload(count: int = TICKETS) -> list[Example]:
    """Tickets as a worker sees them: cleaned by the same code."""
    return [
        replace(example, subject=text.one_line(example.subject), body=text.clean(example.body))
        for example in islice(examples("heldout", seed=2026), count)
    ]


def incoming(count: int = TICKETS) -> list[IncomingTicket]:
    """The same as deliveries, each time new ones."""
    return [
        IncomingTicket(
            source="generic", external_id=uuid4().hex, delivery_key=uuid4().hex, event="ticket",
            subject=one.subject, body=one.body,
        )
        for one in workload(count)
    ]  # fmt: skip
