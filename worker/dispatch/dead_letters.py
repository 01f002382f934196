"""Puts messages that nobody can work on aside, with the reason, before they reach a task."""

import json
from itertools import islice
from typing import Any

from celery import Celery
from kombu import Message
from pydantic import ValidationError

from schemas.message import TicketMessage
from schemas.mistakes import first_mistake
from worker import logs
from worker.dispatch.celery_app import DEAD, TASK

log = logs.get(__name__)

SHOWN_CHARS = 10_000


def put_aside(app: Celery, message: Message, reason: str) -> None:
    """Move a message to the dead-letter queue: sent there first, acknowledged then."""
    queue = (message.delivery_info or {}).get("routing_key")
    letter = {"reason": reason, "queue": queue, "headers": shown(message.headers),
              "body": shown(message.body)}  # fmt: skip
    with app.producer_or_acquire() as producer:
        producer.publish(
            letter, exchange="", routing_key=DEAD.name, declare=[DEAD], serializer="json",
            headers={"x-reason": reason}, retry=False,
        )  # fmt: skip
    message.ack()
    log.error("message_put_aside", reason=reason, queue=queue)


def letters(app: Celery, *, limit: int) -> list[dict[str, Any]]:
    """The first messages that were put aside, as `put_aside` wrote them; they stay where they are.

    Raises:
        One of BROKER_DOWN: the broker cannot be reached.
    """
    with app.connection_for_write() as connection, connection.channel() as channel:
        dead = DEAD(channel)
        dead.declare()
        taken = list(islice(iter(dead.get, None), limit))
        found = [message.decode() for message in taken]
        for message in taken:
            message.requeue()
    return found


def discard_letters(app: Celery) -> int:
    """Throw all messages away that were put aside; how many it were."""
    with app.connection_for_write() as connection, connection.channel() as channel:
        dead = DEAD(channel)
        dead.declare()
        return int(dead.purge() or 0)


def why_unusable(message: Message) -> str | None:
    """Why a message is no nudge of ours, in one line; None if it is one."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    if headers.get("task") != TASK:
        return f"not a {TASK} message: task is {headers.get('task')!r}"
    try:
        body = message.decode()
    except Exception as error:  # noqa: BLE001  # any decoder of any content type
        return f"cannot be decoded: {error}"
    if not (isinstance(body, list | tuple) and len(body) > 1 and isinstance(body[1], dict)):
        return "has no keyword arguments"
    try:
        TicketMessage.model_validate(body[1])
    except ValidationError as error:
        return first_mistake(error, whole="message")
    return None


def shown(part: Any) -> str:
    """A message's part as text that can be read and stored as JSON."""
    if isinstance(part, bytes | memoryview):
        return bytes(part).decode(errors="backslashreplace")[:SHOWN_CHARS]
    return json.dumps(part, default=repr)[:SHOWN_CHARS]
