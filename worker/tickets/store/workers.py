"""Which workers there are: each says so while it takes tickets."""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, exists, false, func, or_, select, true
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from worker.queues import Queue
from worker.tickets.rows import Worker

Route = tuple[Queue, str | None]
"""A queue, and the profile that its worker has to have; None for any."""
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


def slots(session: Session, routes: Collection[Route]) -> int:
    """How many tickets that go these ways can be in work at once, over all workers."""
    takes_one = or_(
        false(),
        *(
            and_(*takes(queue), true() if profile is None else Worker.profile == profile)
            for queue, profile in routes
        ),
    )
    places = select(func.coalesce(func.sum(Worker.in_flight), 0)).where(takes_one)
    return int(session.execute(places).scalar_one())


def takes(queue: Queue) -> tuple[ColumnElement[bool], ...]:
    """Whether a worker takes tickets of this queue."""
    is_here = Worker.seen_at > func.now() - timedelta(seconds=GONE_S)
    return (Worker.queues.contains([queue]), is_here)
