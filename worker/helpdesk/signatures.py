"""Signatures of webhooks: checked over the raw bytes, in constant time, before anything is read."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

from worker.errors import BadSignature

FRESHNESS_S = 300
"""A timestamp further off than this is refused, whether early or late."""


def digest(algorithm: str, secret: str, *parts: bytes) -> bytes:
    return hmac.new(secret.encode(), b"".join(parts), getattr(hashlib, algorithm)).digest()


def base64_signature(algorithm: str, secret: str, *parts: bytes) -> str:
    return base64.b64encode(digest(algorithm, secret, *parts)).decode()


def hex_signature(algorithm: str, secret: str, *parts: bytes) -> str:
    """`sha256=` and the like, followed by the digest in hex."""
    return f"{algorithm}={digest(algorithm, secret, *parts).hex()}"


def require(expected: str, given: str | None, *, header: str) -> None:
    """
    Raises:
        BadSignature: the header is missing or is not the expected signature.
    """
    if not given:
        raise BadSignature(f"header {header} is missing")
    if not hmac.compare_digest(expected.encode(), given.strip().encode()):
        raise BadSignature(
            f"{header} does not match: is the secret the same here and in the helpdesk?"
        )


def require_fresh(timestamp: str | None, *, header: str, now: datetime) -> None:
    """`timestamp` is ISO 8601 or Unix seconds.

    Raises:
        BadSignature: it is missing, unreadable, or more than five minutes off.
    """
    if not timestamp:
        raise BadSignature(f"header {header} is missing")
    try:
        sent = (
            datetime.fromtimestamp(int(timestamp), UTC)
            if timestamp.isdecimal()
            else datetime.fromisoformat(timestamp)
        )
    except (ValueError, OverflowError, OSError) as error:
        raise BadSignature(f"{header} is no time: {timestamp[:40]!r}") from error
    sent = sent if sent.tzinfo else sent.replace(tzinfo=UTC)
    off_s = abs((now - sent).total_seconds())
    if off_s > FRESHNESS_S:
        raise BadSignature(
            f"{header} is {off_s:.0f} s off, {FRESHNESS_S} are allowed: check both clocks"
        )
