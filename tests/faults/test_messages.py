"""Doubled, reordered, late, unreadable: messages and webhooks that do not come as they should."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kombu import Connection, Exchange, Producer, Queue

from tests.faults.conftest import MakeFleet
from tests.faults.fleet import Fleet, wait_for
from worker.dispatch.celery_app import DEAD, TASK, make_app
from worker.settings import load_settings

QUEUE = "triage.live"


def nudge(fleet: Fleet, ticket_ids: list[int]) -> None:
    app = make_app(load_settings(broker_url=fleet.broker_url))
    for ticket_id in ticket_ids:
        app.send_task(TASK, kwargs={"version": 1, "ticket_id": ticket_id}, queue=QUEUE)
    app.close()


def send_raw(fleet: Fleet, body: bytes | dict[str, Any], **headers: str) -> None:
    with Connection(fleet.broker_url) as connection:
        producer = Producer(connection.default_channel, Exchange(""), routing_key=QUEUE)
        if isinstance(body, bytes):
            producer.publish(body, headers=headers, content_type="application/json",
                             content_encoding="utf-8")  # fmt: skip
        else:
            producer.publish([[], body, {}], headers=headers, serializer="json")


def dead_letters(fleet: Fleet) -> list[dict[str, str]]:
    """Take everything from the dead-letter queue."""
    letters = []
    with Connection(fleet.broker_url) as connection:
        queue: Queue = DEAD(connection.default_channel)
        queue.declare()
        while message := queue.get(no_ack=True):
            letters.append(message.decode())
    return letters


def test_one_delivery_sent_fifty_times_at_once_is_one_ticket(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.start_all()

    with ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(lambda _: fleet.post("1", delivery_id="the same"), range(50)))

    fleet.audit()
    assert sorted(set(statuses)) == [200, 202]
    assert statuses.count(202) == 1
    [row] = fleet.rows("select attempts, repeats from tickets join deliveries on true")
    assert (row.attempts, row.repeats) == (1, 49)


def test_a_message_that_comes_twenty_times_triages_once(make_fleet: MakeFleet) -> None:
    fleet = make_fleet(scripted_latency_s=0.5)
    fleet.start_all(workers=2)

    fleet.post_until_accepted("1")
    nudge(fleet, fleet.accepted * 20)

    fleet.audit()
    assert [row.attempts for row in fleet.rows("select attempts from tickets")] == [1]


def test_messages_that_come_late_and_in_another_order_lose_nothing(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.start("gateway"), fleet.start("sweep")
    fleet.wait_for_gateway()
    for number in range(20):
        fleet.post_until_accepted(str(number))
    shuffled = random.Random(1).sample(fleet.accepted, 20)

    nudge(fleet, shuffled)
    fleet.start("worker")
    fleet.audit()
    nudge(fleet, shuffled)
    fleet.post_until_accepted("last")
    fleet.audit()

    assert {row.attempts for row in fleet.rows("select attempts from tickets")} == {1}


def test_messages_nobody_can_read_are_put_aside_with_the_reason_and_block_nobody(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet()
    fleet.start_all()
    wait_for(lambda: fleet.post("before") == 202, "a ticket to be accepted")

    send_raw(fleet, b"{broken", task=TASK, id="1")
    send_raw(fleet, {"version": 99, "ticket_id": 1}, task=TASK, id="2")
    send_raw(fleet, {"version": 1, "ticket_id": "x"}, task=TASK, id="3")
    send_raw(fleet, {"version": 1, "ticket_id": 1}, task="somebody.elses", id="4")
    send_raw(fleet, b"not even a task")
    for number in range(20):
        fleet.post_until_accepted(str(number))

    fleet.audit()
    letters: list[dict[str, str]] = []
    wait_for(lambda: letters.extend(dead_letters(fleet)) or len(letters) >= 5, "5 dead letters")
    reasons = sorted(letter["reason"].split(":")[0] for letter in letters)
    assert reasons == [
        "cannot be decoded",
        "not a triage.ticket message",
        "not a triage.ticket message",
        "ticket_id",
        "version",
    ]
    assert {letter["queue"] for letter in letters} == {QUEUE}


def test_a_message_for_a_ticket_that_does_not_exist_harms_nobody(make_fleet: MakeFleet) -> None:
    fleet = make_fleet()
    fleet.start_all()

    nudge(fleet, [999_999_999])
    fleet.post_until_accepted("1")

    fleet.audit()
