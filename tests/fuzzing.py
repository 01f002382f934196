"""Webhooks as nobody should send them: mutated payloads, broken signatures, bytes from nowhere."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from schemas.ticket import GenericTicket
from worker.helpdesk import HELPDESKS

SECRET = "a secret"
SECRETS = dict.fromkeys(HELPDESKS, SECRET)
SENDS_THE_SECRET_ITSELF = {"freshdesk", "gitlab"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. `is_signed` says whether its sender is proven; only then may it be accepted."""

    path: str
    headers: dict[str, str]
    body: bytes
    is_signed: bool


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
TICKETS = st.builds(
    GenericTicket,
    id=st.text(min_size=1, max_size=40),
    subject=st.text(max_size=60),
    body=st.text(max_size=400),
    requester=st.none() | st.text(max_size=40),
)
HEADER_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


@st.composite
def mutated(draw: st.DrawFn, payload: Any) -> Any:
    """A payload in which one value, somewhere, is another."""
    whole = json.loads(json.dumps(payload))
    place = whole
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return whole
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or draw(st.booleans()):
            if draw(st.booleans()) or isinstance(place, list):
                place[key] = draw(JSON)
            else:
                del place[key]
            return whole
        place = place[key]


@st.composite
def bodies(draw: st.DrawFn, source: str) -> bytes:
    kind = draw(st.sampled_from(("payload", "mutated", "escapes", "json", "bytes")))
    if kind == "bytes":
        return draw(st.binary(max_size=300))
    if kind == "json":
        return json.dumps(draw(JSON)).encode()
    payload = HELPDESKS[source].compose(draw(TICKETS))
    if kind == "mutated":
        payload = draw(mutated(payload))
    written = json.dumps(payload)
    if kind == "escapes":  # half a pair, a zero: JSON has them, Postgres and UTF-8 have not
        escape = draw(st.sampled_from(("\\ud800", "\\u0000", "\\udfff\\ud800", "\\u202e")))
        written = written.replace('": "', f'": "{escape}')
    return written.encode()


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """Any request to the webhook endpoint, rightly signed or not."""
    source = draw(st.sampled_from(sorted(HELPDESKS)))
    body = draw(bodies(source))
    helpdesk = HELPDESKS[source]
    how = draw(st.sampled_from(("right", "right", "body", "secret", "missing", "garbage", "old")))
    at = datetime.now(UTC) - timedelta(hours=2 if how == "old" else 0)
    secret = "another" if how == "secret" else SECRET
    headers = helpdesk.sign(body, secret, delivery_id=draw(HEADER_TEXT) or "d", now=at)
    is_signed = how == "right"
    if how == "old":
        is_signed = source not in {"zendesk", "chatwoot", "front", "generic"}
    if how == "body":
        body += b" "
        is_signed = source in SENDS_THE_SECRET_ITSELF
    if how == "missing":
        headers = {}
    if how == "garbage":
        headers = {name: draw(HEADER_TEXT) for name in headers}
    path = f"/webhooks/{source}"
    if draw(st.integers(0, 9)) == 0:
        path, is_signed = f"/webhooks/{source}/nobody", False
    return Sent(path, headers, body, is_signed)
