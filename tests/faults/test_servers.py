"""Postgres and the broker die, fill up, slow down or cannot be reached."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import make_url

from tests.faults import servers
from tests.faults.conftest import MakeFleet
from tests.faults.fleet import Fleet, wait_for
from tests.faults.private import PrivatePostgres, PrivateRabbitMQ, PrivateRedis
from tests.faults.proxy import Proxy
from worker import migrate

TICKETS = 40
FAILURES = {
    "the disk is full": "raise disk_full;",
    "Postgres is read-only": "raise read_only_sql_transaction;",
    "Postgres is slow": "perform pg_sleep(0.7);",
}


@pytest.fixture
def proxies(resources: ExitStack) -> Callable[[str], tuple[Proxy, str]]:
    """Puts a proxy before a server: the proxy, and the URL by which it is reached."""

    def make(url: str) -> tuple[Proxy, str]:
        proxy = Proxy(servers.address(url))
        resources.callback(proxy.close)
        there = make_url(url)
        return proxy, url.replace(f"{there.host}:{there.port}", f"127.0.0.1:{proxy.port}")

    return make


def fill(fleet: Fleet, start: int = 0, tickets: int = TICKETS) -> None:
    for number in range(start, start + tickets):
        fleet.post_until_accepted(str(number))


@contextmanager
def failing(fleet: Fleet, statement: str) -> Iterator[None]:
    """Has every write of a ticket meet with this inside Postgres."""
    fleet.execute(
        "create function fault() returns trigger language plpgsql as "
        f"$$ begin {statement} return new; end $$"
    )
    fleet.execute(
        "create trigger fault before insert or update on tickets "
        "for each row execute function fault()"
    )
    try:
        yield
    finally:
        fleet.execute("drop function fault cascade")


@pytest.mark.parametrize("failure", FAILURES)
def test_postgres_takes_no_writes_or_takes_them_slowly(make_fleet: MakeFleet, failure: str) -> None:
    fleet = make_fleet(scripted_latency_s=0.5)
    fleet.start_all(workers=2)
    fill(fleet, tickets=TICKETS)

    with failing(fleet, FAILURES[failure]):
        statuses = {fleet.post(f"during {number}") for number in range(3)}
        time.sleep(5)

    assert statuses <= {202, 503}
    fill(fleet, start=TICKETS, tickets=5)
    fleet.audit()


@pytest.mark.parametrize("how", ["cut", "stall"])
@pytest.mark.parametrize("server", ["postgres", "broker"])
def test_the_network_between_a_worker_and_a_server_fails(
    make_fleet: MakeFleet,
    proxies: Callable[[str], tuple[Proxy, str]],
    server: str,
    how: str,
) -> None:
    fleet = make_fleet(scripted_latency_s=0.3)
    fleet.start("gateway"), fleet.start("sweep")
    url = fleet.database_url if server == "postgres" else fleet.broker_url
    proxy, proxied = proxies(url)
    setting = "database_url" if server == "postgres" else "broker_url"
    worker = fleet.start("worker", **{setting: proxied})
    fleet.wait_for_gateway()
    worker.wait_ready()
    fill(fleet)

    getattr(proxy, how)()
    time.sleep(6)
    fill(fleet, start=TICKETS, tickets=5)
    proxy.mend()

    fleet.audit()
    assert worker.is_running


@pytest.mark.parametrize("how", ["cut", "stall"])
def test_the_network_between_gateway_and_broker_fails(
    make_fleet: MakeFleet, proxies: Callable[[str], tuple[Proxy, str]], how: str
) -> None:
    fleet = make_fleet()
    fleet.start("sweep"), fleet.start("worker")
    proxy, proxied = proxies(fleet.broker_url)
    fleet.start("gateway", broker_url=proxied)
    fleet.wait_for_gateway()
    fill(fleet, tickets=3)

    getattr(proxy, how)()
    started = time.monotonic()
    statuses = [fleet.post(f"during {number}") for number in range(5)]
    took_s = time.monotonic() - started
    proxy.mend()

    assert statuses == [202] * 5
    assert took_s < 5
    fleet.audit()


@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_postgres_dies_and_comes_back(
    tmp_path: Path, resources: ExitStack, broker_url: str, how: signal.Signals
) -> None:
    """SIGINT is Postgres's fast shutdown: what a restart or a planned failover does."""
    postgres = PrivatePostgres(tmp_path / "postgres")
    resources.callback(postgres.close)
    migrate.upgrade_at(postgres.url)
    fleet = Fleet(tmp_path / "fleet", postgres.url, broker_url, scripted_latency_s=1)
    resources.callback(fleet.stop)
    workers = fleet.start_all(workers=2)
    fill(fleet)

    postgres.kill(how)
    statuses = [fleet.post(f"during {number}") for number in range(3)]
    time.sleep(4)
    postgres.start()
    wait_for(lambda: fleet.post("after") == 202, "the gateway to accept again by itself")

    assert statuses == [503] * 3
    fleet.audit()
    assert all(worker.is_running for worker in workers)
    [again] = fleet.rows("select count(*) from attempts where outcome = 'superseded'")
    assert again.count == 0


@pytest.mark.parametrize("keeps_its_data", [True, False])
def test_redis_dies_and_comes_back(
    tmp_path: Path, resources: ExitStack, database_url: str, keeps_its_data: bool
) -> None:
    redis = PrivateRedis(tmp_path / "redis")
    resources.callback(redis.close)
    fleet = Fleet(tmp_path / "fleet", database_url, redis.url, scripted_latency_s=0.5)
    resources.callback(fleet.stop)
    workers = fleet.start_all(workers=2)
    fill(fleet, tickets=100)

    redis.kill()
    statuses = [fleet.post(f"during {number}") for number in range(3)]
    if not keeps_its_data:
        redis.forget()
    redis.start()

    assert statuses == [202] * 3
    fleet.audit()
    assert all(worker.is_running for worker in workers)


def test_rabbitmq_dies_and_comes_back(
    tmp_path: Path, resources: ExitStack, database_url: str
) -> None:
    rabbitmq = PrivateRabbitMQ(tmp_path / "rabbitmq")
    resources.callback(rabbitmq.close)
    fleet = Fleet(tmp_path / "fleet", database_url, rabbitmq.url, scripted_latency_s=0.5)
    resources.callback(fleet.stop)
    workers = fleet.start_all(workers=2)
    fill(fleet, tickets=100)

    rabbitmq.kill()
    statuses = [fleet.post(f"during {number}") for number in range(3)]
    rabbitmq.start()

    assert statuses == [202] * 3
    fleet.audit()
    assert all(worker.is_running for worker in workers)


def test_a_channel_that_rabbitmq_closes_ends_no_worker(
    tmp_path: Path, resources: ExitStack, database_url: str
) -> None:
    """As it does when a message is held for half an hour; here for two seconds."""
    rabbitmq = PrivateRabbitMQ(
        tmp_path / "rabbitmq", consumer_timeout=2000, channel_tick_interval=500
    )
    resources.callback(rabbitmq.close)
    fleet = Fleet(tmp_path / "fleet", database_url, rabbitmq.url, scripted_latency_s=5)
    resources.callback(fleet.stop)
    [worker] = fleet.start_all()

    fill(fleet, tickets=30)
    fleet.audit()

    assert worker.is_running
    assert "PRECONDITION_FAILED" in worker.log.read_text()


def test_rabbitmq_gets_no_queues_for_messages_with_a_delay(
    tmp_path: Path, resources: ExitStack, database_url: str
) -> None:
    """Celery declares 28 of them where queues are quorum queues; no message here has a delay."""
    rabbitmq = PrivateRabbitMQ(tmp_path / "rabbitmq")
    resources.callback(rabbitmq.close)
    fleet = Fleet(tmp_path / "fleet", database_url, rabbitmq.url)
    resources.callback(fleet.stop)
    fleet.start_all()
    fill(fleet, tickets=5)
    fleet.audit()

    with Connection(rabbitmq.url) as connection:
        connection.default_channel.queue_declare("triage.live", passive=True)
        with pytest.raises(connection.channel_errors, match="NOT_FOUND"):
            connection.default_channel.queue_declare("celery_delayed_0", passive=True)


def test_clocks_that_jump_by_an_hour_change_nothing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(scripted_latency_s=1)
    fleet.start("gateway")
    fleet.start("sweep", clock_jump_s=3600)
    fleet.start("worker", clock_jump_s=3600)
    fleet.start("worker", clock_jump_s=-3600)
    fleet.wait_for_gateway()

    for number in range(0, 3 * TICKETS, TICKETS):
        fill(fleet, start=number)
        time.sleep(4)

    fleet.audit()
    assert fleet.rows("select from tickets where attempts <> 1") == []
