"""Every helpdesk in memory, by name."""

from worker.helpdesk.twins.chatwoot import ChatwootTwin
from worker.helpdesk.twins.freescout import FreeScoutTwin
from worker.helpdesk.twins.freshdesk import FreshdeskTwin
from worker.helpdesk.twins.front import FrontTwin
from worker.helpdesk.twins.generic import GenericTwin
from worker.helpdesk.twins.gitlab import GitLabTwin
from worker.helpdesk.twins.glpi import GlpiTwin
from worker.helpdesk.twins.helpscout import HelpScoutTwin
from worker.helpdesk.twins.intercom import IntercomTwin
from worker.helpdesk.twins.jira import JiraTwin
from worker.helpdesk.twins.server import TOKEN, Twin, TwinTicket
from worker.helpdesk.twins.zammad import ZammadTwin
from worker.helpdesk.twins.zendesk import ZendeskTwin

TWINS: dict[str, type[Twin]] = {
    twin.name: twin
    for twin in (
        ZendeskTwin, ZammadTwin, ChatwootTwin, FreshdeskTwin, IntercomTwin, JiraTwin,
        HelpScoutTwin, FrontTwin, GitLabTwin, FreeScoutTwin, GlpiTwin, GenericTwin,
    )
}  # fmt: skip
SETTINGS = {
    "zendesk": {"user": "agent@example.org"},
    "chatwoot": {"account": "1"},
    "intercom": {"user": "7"},
    "jira": {"user": "agent@example.org"},
    "helpscout": {"user": "7"},
    "front": {"user": "tea_1", "channel": "cha_1"},
    "gitlab": {"account": "5"},
    "freescout": {"user": "7"},
}
"""What a twin wants to be told beside its URL and token."""

__all__ = ["SETTINGS", "TOKEN", "TWINS", "Twin", "TwinTicket"]
