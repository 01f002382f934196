"""A migrated Postgres, emptied between tests, and a queue that remembers what was announced."""

from collections.abc import Callable, Iterator

import pytest
from kombu.exceptions import OperationalError as BrokerDown
from sqlalchemy import Engine, text

from schemas.ticket import IncomingTicket
from tests.replies import GERMAN_BODY, GERMAN_SUBJECT, written
from worker import database, migrate
from worker.database import Sessions, transaction
from worker.dispatch.publish import Publisher
from worker.dispatch.runtime import Runtime
from worker.engine.scripted import ScriptedEngine
from worker.tickets import store
from worker.tickets.states import Queue
from worker.tickets.store import RetryPolicy
from worker.triage.pipeline import Desk


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = database.connect(postgres_url, pool_size=20)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    with engine.begin() as connection:
        connection.execute(
            text("truncate tickets, deliveries, attempts, replies, findings, corrections")
        )
    return database.sessions(engine)


class Broker:
    """Stands in for Celery's `send_task`: keeps messages, or is down."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str]] = []
        self.is_down = False

    def send_task(self, name: str, *, kwargs: dict[str, int], queue: str) -> None:
        assert name == "triage.ticket"
        if self.is_down:
            raise BrokerDown("connection refused")
        self.sent.append((kwargs["ticket_id"], queue))


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def publisher(broker: Broker, sessions: Sessions) -> Publisher:
    return Publisher(broker, sessions)


@pytest.fixture
def runtime(sessions: Sessions, publisher: Publisher, desk: Desk) -> Callable[..., Runtime]:
    def make(engine: ScriptedEngine | None = None, worker: str = "worker-1") -> Runtime:
        return Runtime(
            sessions=sessions,
            publisher=publisher,
            engine=engine or ScriptedEngine(lambda _: written()),
            desk=desk,
            worker=worker,
            lease_s=60,
            retries=RetryPolicy(max_attempts=3, base_s=0.001, cap_s=0.01),
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
