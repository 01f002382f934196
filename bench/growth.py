"""What a ticket costs in the database, from its intake to its record, as the database fills."""

import time
from statistics import median

from sqlalchemy import text

from bench.filled import filled
from bench.report import fact, row, write_section
from bench.workload import incoming
from schemas.ticket import IncomingTicket
from worker.cli import compose, desks
from worker.database import Sessions, opened, transaction
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.engine.scripted import ScriptedEngine, first_labels
from worker.queues import Queue
from worker.settings import load_settings
from worker.tickets import store

FEW, MANY = 1_000, 1_000_000
TICKETS = 300
ANSWERED = text("""
    select count(*) from attempts
    where id > :since and outcome in ('replied', 'needs_human') and output_tokens > 0
""")


def measure(rounds: int) -> None:
    """Both databases in turn, so that the machine's moods meet both."""
    ratios, few, many = [], [], []
    with filled(FEW) as small, filled(MANY) as large:
        bytes_a_ticket = (size(large) - size(small)) / (MANY - FEW)
        for _ in range(rounds + 1):
            few.append(milliseconds(small))
            many.append(milliseconds(large))
            ratios.append(many[-1] / few[-1])
    write_section(
        "Growth",
        text=f"{TICKETS} tickets, one after another, through intake, claim, checks and record, "
        "with the scripted engine, which takes no time, on databases with so many tickets already "
        "in them, both on this machine.",
        rows=[
            row("(g) a ticket's cost at 1,000,000 tickets / at 1,000", ratios[1:], 3),
            row("milliseconds a ticket at 1,000", few[1:], 2),
            row("milliseconds a ticket at 1,000,000", many[1:], 2),
            fact(
                "a ticket's rows and indexes, bytes on disk",
                f"{bytes_a_ticket:,.0f}",
                "of 500 characters, with attempt and reply",
            ),
        ],
    )


def size(url: str) -> int:
    """Bytes on disk of the whole database."""
    query = text("select pg_database_size(current_database())")
    with opened(url, pool_size=1) as sessions, transaction(sessions) as session:
        return int(session.execute(query).scalar_one())


def milliseconds(url: str) -> float:
    """The median over the tickets, in milliseconds."""
    settings = load_settings(profile=desks.SCRIPTED, database_url=url, broker_url="memory://")
    engine = ScriptedEngine(first_labels(desks.read_taxonomy(settings)))
    with opened(url, pool_size=4) as sessions:
        with transaction(sessions) as session:
            first = session.execute(text("select max(id) from attempts")).scalar_one()
        run = compose.make_runtime(
            settings,
            engine,
            sessions,
            compose.make_publisher(settings, sessions),
            desks.make_desk(settings),
        )
        taken = [seconds(one, sessions, run) for one in incoming(TICKETS)]
        with transaction(sessions) as session:
            answered = session.execute(ANSWERED, {"since": first}).scalar_one()
    if answered != TICKETS:
        raise RuntimeError(f"only {answered} of {TICKETS} tickets were answered")
    return 1000 * median(taken)


def seconds(ticket: IncomingTicket, sessions: Sessions, run: Runtime) -> float:
    started = time.perf_counter()
    with transaction(sessions) as session:
        ticket_id = store.receive(session, ticket, Queue.LIVE).ticket_id
    triage_one(ticket_id, run)
    return time.perf_counter() - started
