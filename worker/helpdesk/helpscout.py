"""Help Scout webhooks: a whole conversation, its event in a header.

Help Scout sends no id of the delivery: event, conversation, thread and time make one.
"""

from datetime import datetime
from typing import Any

from schemas.ticket import GenericTicket, IncomingTicket
from worker.helpdesk import markup, signatures, threads
from worker.helpdesk.contract import Helpdesk, Webhook

SIGNATURE, EVENT = "x-helpscout-signature", "x-helpscout-event"


class HelpScout(Helpdesk):
    """HMAC-SHA1 over the body, base64."""

    name = "helpscout"

    def verify(self, webhook: Webhook, secret: str) -> None:
        expected = signatures.base64_signature("sha1", secret, webhook.body)
        signatures.require(expected, webhook.headers.get(SIGNATURE), header="X-HelpScout-Signature")

    def read(self, payload: Any, webhook: Webhook) -> IncomingTicket:
        return threads.read(payload, source=self.name, event=webhook.headers.get(EVENT, ""))

    def compose(self, ticket: GenericTicket) -> dict[str, Any]:
        lines = markup.as_html(ticket.body)
        return {
            "id": ticket.id,
            "subject": ticket.subject,
            "primaryCustomer": {"email": ticket.requester},
            "_embedded": {"threads": [{"id": f"{ticket.id}1", "type": "customer", "body": lines}]},
        }

    def sign(self, body: bytes, secret: str, *, delivery_id: str, now: datetime) -> dict[str, str]:
        del delivery_id, now  # Help Scout sends neither
        return {
            SIGNATURE: signatures.base64_signature("sha1", secret, body),
            EVENT: threads.CREATED,
        }
