"""The composition root: settings in, wired parts out."""

import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from worker import database, logs
from worker.cli.desks import SCRIPTED, named_desks, read_taxonomy
from worker.database import UNAVAILABLE, Sessions, opened, transaction
from worker.dispatch.celery_app import make_app
from worker.dispatch.holding import Suspects
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.serve import Plan
from worker.dispatch.sweep import Sweep
from worker.dispatch.writeback import Destination
from worker.engine.contract import Engine
from worker.engine.profiles import load_profile
from worker.engine.scripted import ScriptedEngine, first_labels
from worker.engine.supervised import SupervisedEngine
from worker.errors import Hopeless, SettingsError, SetupError
from worker.helpdesk.outlets import Outlet, open_outlet
from worker.local import with_running_stack
from worker.queues import QUEUES
from worker.settings import Settings, load_settings
from worker.tickets.store import RetryPolicy
from worker.triage.desk import Desk
from worker.triage.pipeline import warm_up

if TYPE_CHECKING:
    from worker.engine.vllm_server import ServerEngine

log = logs.get(__name__)


def open_database(settings: Settings, *, pool_size: int) -> Sessions:
    return database.sessions(database.connect(settings.database_url, pool_size=pool_size))


def require_schema(sessions: Sessions) -> None:
    """Nothing while Postgres does not answer: that is waited for elsewhere.

    Raises:
        SetupError: the database lacks migrations of this version.
    """
    from worker.migrate import current_revision, is_outdated  # noqa: PLC0415  # Alembic is slow to import

    with contextlib.suppress(*UNAVAILABLE):
        if is_outdated(found := current_revision(sessions)):
            raise SetupError(f"the database's schema is {found or 'missing'}: run `triage migrate`")


@contextmanager
def one_transaction() -> Iterator[Session]:
    """One transaction on the configured database, or on that of the stack that runs here."""
    url = with_running_stack(load_settings()).database_url
    with opened(url, pool_size=1) as sessions:
        try:
            with transaction(sessions) as session:
                yield session
        except ProgrammingError:  # it may lack what was asked for
            require_schema(sessions)
            raise


def make_publisher(settings: Settings, sessions: Sessions) -> Publisher:
    return Publisher(make_app(settings), sessions)


def start_engine(settings: Settings, desk: Desk) -> SupervisedEngine:
    """Start the engine of the configured profile; returns when it is warm for every desk."""
    make, named = engine_maker(settings), named_desks(settings, desk)
    if settings.profile == SCRIPTED:  # it has nothing to compile or keep
        return SupervisedEngine(make, restarts=settings.engine_restarts)

    def make_warm() -> Engine:
        engine = make()
        with contextlib.ExitStack() as undo:
            undo.callback(engine.stop)  # else its process would keep this one from ending
            for error in warm_up(engine, desk, engines=engine_count(settings)):
                log.warning("server_not_warm", reason=str(error))
            for name, one in named.items():
                try:
                    warm_up(engine, one, engines=engine_count(settings))
                except Hopeless as error:  # its own tickets go to people, others do not wait for it
                    log.error("desk_not_warm", desk=name, reason=str(error))  # noqa: TRY400
            undo.pop_all()
        return engine

    restarts = None if settings.servers else settings.engine_restarts  # asking costs nothing
    return SupervisedEngine(make_warm, restarts=restarts)


def engine_maker(settings: Settings) -> Callable[[], Engine]:
    if settings.profile == SCRIPTED:
        script = first_labels(read_taxonomy(settings))
        return lambda: ScriptedEngine(script, latency_s=settings.scripted_latency_s)
    if settings.servers:
        return partial(server_engine, settings)
    from worker.engine.vllm_engine import VllmEngine  # noqa: PLC0415  # only workers have vLLM

    return lambda: VllmEngine(load_profile(settings.profile))


def server_engine(settings: Settings) -> "ServerEngine":
    from worker.engine.vllm_server import ServerEngine  # noqa: PLC0415  # it reads tokenizers

    key = settings.servers_key.get_secret_value() if settings.servers_key else ""
    return ServerEngine(load_profile(settings.profile), settings.servers.split(","), key=key)


def make_runtime(settings: Settings, engine: Engine, sessions: Sessions, publisher: Publisher,
                 desk: Desk) -> Runtime:  # fmt: skip
    return Runtime(
        sessions=sessions,
        publisher=publisher,
        engine=engine,
        desk=desk,
        worker=worker_name(),
        lease_s=settings.lease_s,
        retries=RetryPolicy(
            max_repairs=settings.max_repairs,
            max_attempts=settings.max_attempts,
            max_crashes=settings.max_crashes,
            base_s=settings.backoff_base_s,
            cap_s=settings.backoff_cap_s,
        ),
        suspects=Suspects(settings.max_crashes),
        named_desks=named_desks(settings, desk),
        write_back=written_back(settings),
    )


def source_of(key: str) -> str:
    """`zendesk_acme`, as settings have it, is the source `zendesk/acme`."""
    return key.replace("_", "/", 1)


def key_of(source: str) -> str:
    """The reverse of `source_of`."""
    return source.replace("/", "_", 1)


def written_back(settings: Settings) -> frozenset[str]:
    """The sources to which replies go back."""
    return frozenset(source_of(key) for key, how in settings.helpdesks.items() if how.write_back)


def outlet_of(settings: Settings, source: str) -> Outlet:
    """The API of a source.

    Raises:
        SettingsError: it is not in the settings, or something that it needs is missing.
    """
    key = key_of(source)
    if key not in settings.helpdesks:
        raise SettingsError(
            f"{source} has no API here: set TRIAGE_HELPDESKS__{key.upper()}__URL and __TOKEN"
        )
    return open_outlet(key.partition("_")[0], settings.helpdesks[key])


def make_destinations(settings: Settings) -> dict[str, Destination]:
    """Where the replies of each source go that has a way back.

    Raises:
        SettingsError: something that a helpdesk needs is missing.
    """
    destinations = {}
    for source in sorted(written_back(settings)):
        how = settings.helpdesks[key_of(source)]
        destinations[source] = Destination(
            outlet_of(settings, source), fields=how.fields, public=how.public
        )
    return destinations


def make_plan(settings: Settings) -> Plan:
    return Plan(
        in_flight=at_once(settings),
        queues=sorted(settings.queues.split(","), key=QUEUES.index),
        ready_file=settings.ready_file,
        drain_s=settings.drain_s,
        pause_bulk_after_s=settings.pause_bulk_after_s,
    )


def at_once(settings: Settings) -> int:
    """No more tickets than the engine runs: others would spend their deadline waiting for it."""
    is_told = bool(settings.servers) and "in_flight" in settings.model_fields_set
    if settings.profile == SCRIPTED or is_told:  # several servers may have one address
        return settings.in_flight
    most = load_profile(settings.profile).max_num_seqs * engine_count(settings)
    return min(settings.in_flight, most)


def engine_count(settings: Settings) -> int:
    """The servers, or the one engine that runs in the worker."""
    return len(settings.servers.split(","))


def make_sweep(settings: Settings, sessions: Sessions) -> Sweep:
    return Sweep(
        sessions,
        make_publisher(settings, sessions),
        max_crashes=settings.max_crashes,
        lease_s=settings.lease_s,
    )


def worker_name() -> str:
    """Unlike any other worker's, and it says where to look: `worker-4711-9f3a@host`."""
    return f"worker-{os.getpid()}-{secrets.token_hex(2)}@{socket.gethostname()}"
