"""What tests do with a running stack: post signed tickets, wait for something to come true."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psutil

from worker.helpdesk import by_name
from worker.local import Stack

PATIENCE_S = 60.0


def post(stack: Stack, ticket: dict[str, Any]) -> int:
    """Send a ticket to the generic webhook; our id of it."""
    body = json.dumps(ticket).encode()
    headers = by_name("generic").sign(
        body, stack.secrets["generic"], delivery_id=uuid4().hex, now=datetime.now(UTC)
    )
    answer = httpx.post(f"{stack.gateway_url}/webhooks/generic", content=body, headers=headers)
    answer.raise_for_status()
    return int(answer.json()["ticket_id"])


def wait_for(
    condition: Callable[[], bool], what: str, *, retry: bool = False, patience_s: float = PATIENCE_S
) -> None:
    """Return when `condition` holds; with `retry`, connection errors count as not yet."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            if not retry:
                raise
        time.sleep(0.1)
    raise AssertionError(f"waited {PATIENCE_S:g} s for {what}")


def runs(process: psutil.Process) -> bool:
    """Whether it does anything; one that nobody has buried yet does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
