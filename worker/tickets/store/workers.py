"""Which workers there are: each says so while it takes tickets."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from worker.tickets.rows import Worker
from worker.tickets.states import Queue

GONE_S = 60.0
"""A worker not heard of for so long takes no tickets."""


def worker_is_here(
    session: Session, name: str, *, profile: str, queues: Sequence[str], in_flight: int
) -> None:
    """Say that this worker takes tickets of these queues."""
    session.execute(
        upsert(Worker)
        .values(name=name, profile=profile, queues=list(queues), in_flight=in_flight)
        .on_conflict_do_update(index_elements=["name"], set_={"seen_at": func.now()})
    )


def worker_is_gone(session: Session, name: str) -> None:
    """Say that this worker takes no more tickets; forget those that could not say so."""
    long_gone = Worker.seen_at < func.now() - timedelta(days=1)
    session.execute(delete(Worker).where((Worker.name == name) | long_gone))


def is_served(session: Session, queue: Queue) -> bool:
    """Whether there is a worker that takes tickets of this queue."""
    return bool(session.execute(select(served(queue))).scalar())


def served(queue: Queue) -> ColumnElement[bool]:
    """The same as a condition in SQL."""
    return exists().where(*takes(queue))


def profiles_serving(session: Session, queue: Queue) -> Sequence[str]:
    """The profiles of the workers that take tickets of this queue."""
    return session.scalars(
        select(Worker.profile).where(*takes(queue)).distinct().order_by(Worker.profile)
    ).all()


def slots(session: Session, *queues: Queue) -> int:
    """How many tickets of these queues can be in work at once, over all workers."""
    places = select(func.coalesce(func.sum(Worker.in_flight), 0)).where(*takes(*queues))
    return int(session.execute(places).scalar_one())


def takes(*queues: Queue) -> tuple[ColumnElement[bool], ...]:
    """Whether a worker takes tickets of one of these queues."""
    is_here = Worker.seen_at > func.now() - timedelta(seconds=GONE_S)
    return (Worker.queues.overlap(list(queues)), is_here)
