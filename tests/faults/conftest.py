"""A fleet on a database and a broker of its own, for each broker the product supports."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults import servers
from tests.faults.fleet import Fleet
from worker import migrate

BROKERS = {"rabbitmq": servers.rabbitmq, "redis": servers.redis}
MakeFleet = Callable[..., Fleet]


@pytest.fixture
def resources() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def database_url(resources: ExitStack) -> str:
    url = resources.enter_context(servers.database())
    migrate.upgrade_at(url)
    return url


@pytest.fixture(params=BROKERS)
def broker_url(request: pytest.FixtureRequest, resources: ExitStack) -> str:
    return resources.enter_context(BROKERS[request.param]())


@pytest.fixture
def make_fleet(
    tmp_path: Path, database_url: str, broker_url: str, resources: ExitStack
) -> MakeFleet:
    def make(**settings: object) -> Fleet:
        fleet = Fleet(tmp_path / "fleet", database_url, broker_url, **settings)
        resources.callback(fleet.stop)
        return fleet

    return make
