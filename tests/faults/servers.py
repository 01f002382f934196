"""The servers that the fault suite needs, and a clean corner of each for itself."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
from kombu import Connection
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

POSTGRES = os.environ.get(
    "FAULTS_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)
RABBITMQ = os.environ.get("FAULTS_RABBITMQ_URL", "")
LOCAL_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672"
REDIS = os.environ.get("FAULTS_REDIS_URL", "redis://127.0.0.1:6379/13")


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


@contextmanager
def database() -> Iterator[str]:
    """The URL of a new, empty database on the Postgres server."""
    name = f"triage_faults_{uuid4().hex[:8]}"
    admin = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"create database {name}"))
    except OperationalError as error:
        missing("PostgreSQL", POSTGRES, "FAULTS_POSTGRES_URL", error)
    try:
        yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"drop database {name} with (force)"))
        admin.dispose()


@contextmanager
def rabbitmq() -> Iterator[str]:
    """The URL of an empty virtual host; FAULTS_RABBITMQ_URL names one, else one is made."""
    if RABBITMQ:
        require_broker("RabbitMQ", RABBITMQ, "FAULTS_RABBITMQ_URL")
        yield RABBITMQ
        return
    require_broker("RabbitMQ", f"{LOCAL_RABBITMQ}//", "FAULTS_RABBITMQ_URL")
    if not shutil.which("rabbitmqctl"):
        pytest.fail("rabbitmqctl is missing: set FAULTS_RABBITMQ_URL to an empty virtual host")
    name = f"triage-faults-{uuid4().hex[:8]}"
    control("add_vhost", name)
    control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    try:
        yield f"{LOCAL_RABBITMQ}/{name}"
    finally:
        control("delete_vhost", name)


@contextmanager
def redis() -> Iterator[str]:
    """The URL of an empty Redis database (number 13, unless FAULTS_REDIS_URL says otherwise)."""
    require_broker("Redis", REDIS, "FAULTS_REDIS_URL")
    with Connection(REDIS) as connection:
        connection.default_channel.client.flushdb()
    yield REDIS


def control(*arguments: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *arguments], check=True, capture_output=True)


def require_broker(name: str, url: str, variable: str) -> None:
    try:
        with Connection(url, connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:  # noqa: BLE001  # whatever kind of server does not answer
        missing(name, url, variable, error)


def missing(name: str, url: str, variable: str, error: Exception) -> None:
    reason = str(error).strip().splitlines()[0]
    pytest.fail(f"{name} does not answer at {url} ({reason}): start it or set {variable}")


def address(url: str) -> Address:
    parsed = make_url(url)
    assert parsed.host
    assert parsed.port
    return Address(parsed.host, parsed.port)
