"""The connection to Postgres and the one place that commits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import POLLIN, poll
from typing import Any, TypeVar

from psycopg import Connection
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from worker import logs
from worker.errors import SettingsError

log = logs.get(__name__)

Sessions = sessionmaker[Session]
Result = TypeVar("Result")

UNAVAILABLE = (OperationalError, InterfaceError, InternalError, PoolTimeout)
"""Postgres is down, restarting, full, read-only or overrun: the same statement may work later."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

CONNECT_TIMEOUT_S = 4
POOL_TIMEOUT_S = 8
"""A webhook waits no longer for a connection; helpdesks give up after 10 seconds or so."""
DEAD_PEER_MS = 10_000
"""Sent data that nobody has acknowledged for so long means that the network is cut."""
KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
"""After 5 seconds of silence the other side is asked every 2; 3 questions without an answer mean
that it is gone."""
OPTIONS = {
    "timezone": "utc",
    "statement_timeout": "30s",
    "tcp_user_timeout": DEAD_PEER_MS,
    **{f"tcp_{name}": value for name, value in KEEPALIVES.items()},
}
"""Postgres looks as we do: a machine that vanished in the middle of a transaction must not keep its
tickets locked."""


def connect(url: str, *, pool_size: int) -> Engine:
    """A pool of connections to Postgres. Connects when first used.

    Raises:
        SettingsError: no URL, or not a Postgres one.
    """
    if not url:
        raise SettingsError(
            "TRIAGE_DATABASE_URL is empty: set it to a Postgres "
            "(postgresql+psycopg://user:password@host/name), or run `triage up`, which brings one"
        )
    if not url.startswith("postgresql"):
        raise SettingsError("TRIAGE_DATABASE_URL must begin with postgresql+psycopg://")
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,  # they are customers' text; errors are logged
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in OPTIONS.items()),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": DEAD_PEER_MS,
            **KEEPALIVES,
        },
    )
    event.listen(engine, "checkout", refuse_if_ended)
    return engine


def refuse_if_ended(connection: Connection[Any], _record: object, _proxy: object) -> None:
    """A restarted Postgres costs a new connection, not a failed ticket.

    It says goodbye or hangs up, and says nothing else to a connection that nobody uses: looking
    whether there is something to read tells as much as a ping and costs no round trip.

    Raises:
        DisconnectionError: the pool takes another connection, or opens one.
    """
    if has_something_to_read(connection.fileno()):
        raise DisconnectionError("Postgres has ended this connection")


def has_something_to_read(socket: int) -> bool:
    waiting = poll()
    waiting.register(socket, POLLIN)
    return bool(waiting.poll(0))


@contextmanager
def opened(url: str, *, pool_size: int) -> Iterator[Sessions]:
    """Sessions on a pool that is closed at the end of the block."""
    engine = connect(url, pool_size=pool_size)
    try:
        yield sessions(engine)
    finally:
        engine.dispose()


def sessions(engine: Engine) -> Sessions:
    # What a statement changes is read from what it returns, never from objects read before.
    return sessionmaker(
        engine, expire_on_commit=False, execution_options={"synchronize_session": False}
    )


@contextmanager
def transaction(factory: Sessions) -> Iterator[Session]:
    """One transaction: commits at the end of the block, rolls back on any error."""
    with factory() as session, session.begin():
        yield session


def persistently(
    factory: Sessions, step: Callable[[Session], Result], *, give_up: Callable[[float], bool]
) -> Result:
    """Do one step in a transaction, again and again while Postgres is unavailable.

    The step must be safe to repeat: a commit whose answer is lost is done again. `give_up(s)`
    waits so many seconds and says whether to stop trying.

    Raises:
        One of UNAVAILABLE: and `give_up` said so. Whatever else the step raises is its own.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            with transaction(factory) as session:
                return step(session)
        except UNAVAILABLE as error:
            log.warning("postgres_unavailable", error=reason(error), again_in_s=pause_s)
            if give_up(pause_s):
                raise
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def reason(error: Exception) -> str:
    """What Postgres or the way to it said, in one line; no statement and no parameters."""
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
