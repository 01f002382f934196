"""FreeScout webhooks: a whole conversation, its event in a header.

The secret is the APP_KEY of FreeScout's .env: its signing key is made from it.
"""

import hashlib
from datetime import datetime
from typing import Any

from schemas.ticket import GenericTicket, IncomingTicket
from worker.helpdesk import markup, signatures, threads
from worker.helpdesk.contract import Helpdesk, Webhook

SIGNATURE, EVENT = "x-freescout-signature", "x-freescout-event"


class FreeScout(Helpdesk):
    """HMAC-SHA1 over the body, base64; the key is md5(APP_KEY + `webhook_key`) in hex."""

    name = "freescout"

    def verify(self, webhook: Webhook, secret: str) -> None:
        expected = signature(webhook.body, secret)
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-FreeScout-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        return threads.read(payload, source=self.name, event=webhook.headers.get(EVENT, ""))

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        lines = markup.as_html(ticket.body)
        return {
            "id": ticket.id,
            "subject": ticket.subject,
            "customer": {"email": ticket.requester},
            "_embedded": {"threads": [{"id": f"{ticket.id}1", "type": "customer", "body": lines}]},
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del delivery_id, now  # FreeScout sends neither
        return {
            SIGNATURE: signature(body, secret),
            EVENT: threads.CREATED,
        }


def signature(body: bytes, secret: str) -> str:
    key = hashlib.md5(f"{secret}webhook_key".encode(), usedforsecurity=False).hexdigest()
    return signatures.base64_signature("sha1", key, body)
