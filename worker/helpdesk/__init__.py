"""Helpdesks by name: each proves its webhooks' sender and reads them into tickets."""

from typing import Any

from schemas.ticket import IncomingTicket
from worker.errors import UnknownSource
from worker.helpdesk.automatic import why_automatic
from worker.helpdesk.chatwoot import Chatwoot
from worker.helpdesk.contract import Helpdesk, Webhook
from worker.helpdesk.freescout import FreeScout
from worker.helpdesk.freshdesk import Freshdesk
from worker.helpdesk.front import Front
from worker.helpdesk.generic import Generic
from worker.helpdesk.gitlab import GitLab
from worker.helpdesk.glpi import Glpi
from worker.helpdesk.helpscout import HelpScout
from worker.helpdesk.intercom import Intercom
from worker.helpdesk.jira import Jira
from worker.helpdesk.zammad import Zammad
from worker.helpdesk.zendesk import Zendesk

HELPDESKS: dict[str, Helpdesk] = {
    helpdesk.name: helpdesk
    for helpdesk in (
        Zendesk(),
        Zammad(),
        Chatwoot(),
        Freshdesk(),
        Intercom(),
        Jira(),
        HelpScout(),
        Front(),
        GitLab(),
        FreeScout(),
        Glpi(),
        Generic(),
    )
}

__all__ = ["HELPDESKS", "Helpdesk", "Webhook", "by_name", "read"]


def by_name(name: str) -> Helpdesk:
    """
    Raises:
        UnknownSource: no helpdesk has that name.
    """
    if name not in HELPDESKS:
        raise UnknownSource(f"unknown source {name[:40]!r}: there are {', '.join(HELPDESKS)}")
    return HELPDESKS[name]


def read(helpdesk: Helpdesk, payload: Any, webhook: Webhook, *, desk: str = "") -> IncomingTicket:
    """The ticket in a parsed body, of one of several desks if one is named.

    Raises:
        UnusableBody: it is not what this helpdesk sends; names the field.
    """
    ticket = helpdesk.read(payload, webhook)
    reason = ticket.ignore_reason or why_automatic(ticket.subject, ticket.requester)
    source = f"{ticket.source}/{desk}" if desk else ticket.source
    return ticket.model_copy(update={"ignore_reason": reason, "source": source})
