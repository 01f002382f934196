"""A worker's start and its end where something is not as it should be."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery.worker import state as celery_state
from sqlalchemy import Engine, text

from tests.integration.conftest import Broker
from worker import database
from worker.cli import compose
from worker.database import Sessions, transaction
from worker.dispatch.runtime import Runtime
from worker.dispatch.serve import Plan, Service
from worker.errors import SetupError
from worker.migrate import latest_revision
from worker.queues import QUEUES


@pytest.fixture
def service(broker: Broker, runtime: Callable[..., Runtime], tmp_path: Path) -> Iterator[Service]:
    run = runtime()
    plan = Plan(
        in_flight=1, queues=QUEUES, ready_file=tmp_path / "ready", drain_s=1, pause_bulk_after_s=60
    )
    service = Service(broker.app, run, run.engine, plan)  # type: ignore[arg-type]  # a scripted one
    yield service
    service._ended.set()
    celery_state.should_stop = None


def test_a_worker_whose_leases_cannot_be_renewed_ends(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ValueError("a bug of ours")

    monkeypatch.setattr(service, "_renew_leases", fail)

    service._tend()
    service._ended.set()

    assert celery_state.should_stop == 1
    assert service._run.draining.is_set()
    assert service._run.giving_up.is_set(), "what it holds would be lost within a lease"


@pytest.fixture
def set_revision(sessions: Sessions) -> Iterator[Callable[[str], None]]:
    def set_it(revision: str) -> None:
        with transaction(sessions) as session:
            session.execute(
                text("update alembic_version set version_num = :new"), {"new": revision}
            )

    yield set_it
    set_it(latest_revision())


def test_a_worker_does_not_start_on_a_schema_that_is_too_old(
    sessions: Sessions, set_revision: Callable[[str], None]
) -> None:
    compose.require_schema(sessions)
    set_revision("2026_11_24_watching")

    with pytest.raises(SetupError, match="run `triage migrate`"):
        compose.require_schema(sessions)


def test_a_worker_starts_while_postgres_is_away(engine: Engine, tmp_path: Path) -> None:
    nobody = database.connect(f"postgresql+psycopg://nobody@/none?host={tmp_path}", pool_size=1)

    compose.require_schema(database.sessions(nobody))

    nobody.dispose()
