"""A migrated Postgres, emptied between tests, and a queue that remembers what was announced."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from schemas.ticket import IncomingTicket
from tests.replies import GERMAN_BODY, GERMAN_SUBJECT, written
from worker import database, migrate
from worker.cli.main import app
from worker.database import Sessions, transaction
from worker.dispatch.celery_app import make_app
from worker.dispatch.holding import Suspects
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.dispatch.tasks import triage_one
from worker.engine.contract import Engine as TextEngine
from worker.engine.scripted import ScriptedEngine
from worker.queues import QUEUES, Queue
from worker.settings import load_settings
from worker.tickets import store
from worker.tickets.rows import Row
from worker.tickets.store import RetryPolicy
from worker.triage.desk import Desk


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = database.connect(postgres_url, pool_size=20)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def empty(sessions: Sessions) -> None:
    """Leave no row in any table, and let ids begin at 1."""
    with transaction(sessions) as session:
        session.execute(text(f"truncate {', '.join(Row.metadata.tables)} restart identity"))


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    sessions = database.sessions(engine)
    empty(sessions)
    return sessions


class Broker:
    """A broker in this process's memory, and what was sent to it."""

    def __init__(self) -> None:
        self.app = make_app(load_settings(broker_url="memory://"))
        self._taken: list[tuple[int, str]] = []
        with self.app.connection_for_read() as connection:
            for name in QUEUES:
                queue = self.app.amqp.queues[name](connection.default_channel)
                queue.declare()
                queue.purge()

    @property
    def sent(self) -> list[tuple[int, str]]:
        """Every message sent so far, as (ticket id, queue), queue by queue."""
        with self.app.connection_for_read() as connection:
            for name in QUEUES:
                queue = self.app.amqp.queues[name](connection.default_channel)
                while message := queue.get(no_ack=True):
                    [_, kwargs, _] = message.decode()
                    self._taken.append((kwargs["ticket_id"], name))
        return self._taken

    def lose_one(self, name: str) -> None:
        with self.app.connection_for_read() as connection:
            assert self.app.amqp.queues[name](connection.default_channel).get(no_ack=True)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def publisher(broker: Broker, sessions: Sessions) -> Publisher:
    return Publisher(broker.app, sessions)


@pytest.fixture
def dead_publisher(sessions: Sessions, tmp_path: Path) -> Publisher:
    """A publisher whose broker is not there."""
    settings = load_settings(broker_url=f"redis+socket://{tmp_path}/nobody.sock")
    return Publisher(make_app(settings), sessions)


@pytest.fixture
def runtime(sessions: Sessions, publisher: Publisher, desk: Desk) -> Callable[..., Runtime]:
    def make(engine: TextEngine | None = None, worker: str = "worker-1") -> Runtime:
        return Runtime(
            sessions=sessions,
            publisher=publisher,
            engine=engine or ScriptedEngine(lambda _: written()),
            desk=desk,
            worker=worker,
            lease_s=60,
            retries=RetryPolicy(
                max_repairs=1, max_attempts=3, max_crashes=3, base_s=0.001, cap_s=0.01
            ),
            suspects=Suspects(max_crashes=3),
        )

    return make


@pytest.fixture
def receive(sessions: Sessions) -> Callable[..., int]:
    """Put a ticket into the database, as a helpdesk's delivery; its id."""

    def make(external_id: str = "1", *, body: str = GERMAN_BODY, **more: object) -> int:
        incoming = IncomingTicket.model_validate(
            {
                "source": "generic",
                "external_id": external_id,
                "delivery_key": f"d-{external_id}",
                "event": "ticket",
                "subject": GERMAN_SUBJECT,
                "body": body,
                **more,
            }
        )
        with transaction(sessions) as session:
            return store.receive(session, incoming, Queue.LIVE).ticket_id

    return make


@pytest.fixture
def triage(
    sessions: Sessions, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """The command line on the tests' own database and a broker in memory."""
    url = engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("TRIAGE_DATABASE_URL", url)
    monkeypatch.setenv("TRIAGE_BROKER_URL", "memory://")
    return lambda *words, **more: CliRunner().invoke(app, [str(word) for word in words], **more)


@pytest.fixture
def replied(runtime: Callable[..., Runtime], receive: Callable[..., int]) -> int:
    ticket_id = receive()
    triage_one(ticket_id, runtime())
    return ticket_id
