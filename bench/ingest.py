"""What the gateway costs: webhooks accepted per second beside the bare INSERT, and how long one
waits at a steady 200 a second. The sender is lean, and shares the machine with all the rest."""

import asyncio
import itertools
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from bench.report import row, write_table
from bench.resilience import fleet
from tests.faults.fleet import SECRET, Fleet
from worker.cli.services import GATEWAY_THREADS
from worker.helpdesk import by_name

TICKETS = 4000
CONNECTIONS = 64
STEADY_RATE, STEADY_S = 200, 20
BODY = "Guten Tag,\n\nmeine Bestellung A-48213 ist noch nicht da. Wo ist sie?\n\nAnna"
INSERTS = (
    "insert into tickets (source, external_id, content_key, subject, body, queue, state)"
    " values ('generic', %s, %s, 'Bestellung', %s, 'triage.live', 'received')"
    " on conflict do nothing returning id",
    "insert into deliveries (source, delivery_key, event, ticket_id)"
    " values ('generic', %s, 'ticket', %s)",
)
"""What a webhook's transaction has to write, whatever else a gateway does."""


def measure(rounds: int) -> None:
    ratios, webhooks, bare, waits = [], [], [], []
    with fleet() as running:
        running.start("gateway")
        running.wait_for_gateway()
        in_process(sent_per_s, running.port, TICKETS // 4)
        for _ in range(rounds):
            bare.append(in_process(inserted_per_s, plain(running), TICKETS))
            webhooks.append(in_process(sent_per_s, running.port, TICKETS))
            ratios.append(webhooks[-1] / bare[-1])
            waits.append(1000 * in_process(p99_s, running.port, STEADY_RATE * STEADY_S))
    write_table(
        "Ingest",
        text=f"{TICKETS:,} signed webhooks over {CONNECTIONS} connections to one gateway, beside "
        "the same two INSERTs in a transaction by a bare script with "
        f"{GATEWAY_THREADS} connections to Postgres; then {STEADY_RATE} webhooks a second for "
        f"{STEADY_S} s. Postgres, Redis, gateway and sender share the machine.",
        head="| what | median | each |",
        rows=[
            row("webhooks/s / bare inserts/s", ratios, 2),
            row("webhooks accepted per second", webhooks, 0),
            row("bare inserts per second", bare, 0),
            row(f"p99 at {STEADY_RATE}/s, milliseconds", waits, 0),
        ],
    )


def in_process(step: Callable[..., float], *arguments: object) -> float:
    """What `step` comes to in a process of its own: nobody's GIL is in the way."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(step, arguments)


def plain(running: Fleet) -> str:
    return running.database_url.replace("+psycopg", "")


def inserted_per_s(url: str, count: int) -> float:
    numbers = itertools.count()

    def insert(_: int) -> None:
        with psycopg.connect(url) as connection:
            while next(numbers) < count:
                key = uuid4().hex
                with connection.transaction():
                    found = connection.execute(INSERTS[0], (key, key, BODY)).fetchone()
                    assert found is not None
                    connection.execute(INSERTS[1], (key, found[0]))

    started = time.perf_counter()
    with ThreadPoolExecutor(GATEWAY_THREADS) as threads:
        list(threads.map(insert, range(GATEWAY_THREADS)))
    return count / (time.perf_counter() - started)


def signed_request(port: int) -> bytes:
    """One HTTP request with a ticket that nobody has seen."""
    body = json.dumps({"id": uuid4().hex, "subject": "Bestellung", "body": BODY}).encode()
    signed = by_name("generic").sign(body, SECRET, delivery_id=uuid4().hex, now=datetime.now(UTC))
    lines = [
        "POST /webhooks/generic HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in signed.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    """Send a request and read its answer, which has to be 202."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 202"), head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


def sent_per_s(port: int, count: int) -> float:
    requests = [signed_request(port) for _ in range(count)]

    async def send() -> float:
        waiting = iter(requests)

        async def one_connection() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for request in waiting:
                await ask(reader, writer, request)
            writer.close()

        started = time.perf_counter()
        await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))
        return count / (time.perf_counter() - started)

    return asyncio.run(send())


def p99_s(port: int, count: int) -> float:
    """Seconds within which 99 of 100 are answered when they come at a steady rate."""
    requests = [signed_request(port) for _ in range(count)]

    async def send() -> list[float]:
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

        async def one(request: bytes, due: float) -> float:
            connection = (
                await asyncio.open_connection("127.0.0.1", port)
                if idle.empty()
                else idle.get_nowait()
            )
            await ask(*connection, request)
            idle.put_nowait(connection)
            return asyncio.get_running_loop().time() - due

        loop = asyncio.get_running_loop()
        start = loop.time()
        tasks = []
        for number, request in enumerate(requests):
            due = start + number / STEADY_RATE
            await asyncio.sleep(max(0.0, due - loop.time()))
            tasks.append(asyncio.create_task(one(request, due)))
        return list(await asyncio.gather(*tasks))

    return statistics.quantiles(asyncio.run(send()), n=100)[98]
