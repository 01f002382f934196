"""The ways back by helpdesk: each with how it says who we are."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from worker.errors import SettingsError
from worker.helpdesk.outlets.api import TIMEOUT_S, Api
from worker.helpdesk.outlets.chatwoot import ChatwootOutlet
from worker.helpdesk.outlets.contract import MARKER, Draft, Outlet, Remote, signed
from worker.helpdesk.outlets.freescout import FreeScoutOutlet
from worker.helpdesk.outlets.freshdesk import FreshdeskOutlet
from worker.helpdesk.outlets.front import FrontOutlet
from worker.helpdesk.outlets.generic import GenericOutlet
from worker.helpdesk.outlets.gitlab import GitLabOutlet
from worker.helpdesk.outlets.glpi import GlpiOutlet
from worker.helpdesk.outlets.helpscout import HelpScoutOutlet
from worker.helpdesk.outlets.intercom import IntercomOutlet
from worker.helpdesk.outlets.jira import JiraOutlet
from worker.helpdesk.outlets.zammad import ZammadOutlet
from worker.helpdesk.outlets.zendesk import ZendeskOutlet
from worker.settings import HelpdeskApi

__all__ = ["MARKER", "OUTLETS", "Draft", "Outlet", "Remote", "open_outlet", "signed"]


@dataclass(frozen=True, slots=True)
class Connection:
    """How one helpdesk is reached: `needs` are the settings beside URL and token."""

    make: Callable[[Api, HelpdeskApi], Outlet]
    headers: Callable[[HelpdeskApi], dict[str, str]]
    needs: tuple[str, ...] = ()


def token(how: HelpdeskApi) -> str:
    return how.token.get_secret_value()


def bearer(how: HelpdeskApi) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(how)}"}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def nothing(_: HelpdeskApi) -> dict[str, str]:
    return {}


OUTLETS: dict[str, Connection] = {
    "zendesk": Connection(
        lambda api, _: ZendeskOutlet(api),
        lambda how: basic(f"{how.user}/token", token(how)),
        ("user",),
    ),
    "zammad": Connection(
        lambda api, _: ZammadOutlet(api), lambda how: {"Authorization": f"Token token={token(how)}"}
    ),
    "chatwoot": Connection(
        lambda api, how: ChatwootOutlet(api, account=how.account),
        lambda how: {"api_access_token": token(how)},
        needs=("account",),
    ),
    "freshdesk": Connection(
        lambda api, _: FreshdeskOutlet(api), lambda how: basic(token(how), "X")
    ),
    "intercom": Connection(
        lambda api, how: IntercomOutlet(api, admin=how.user), bearer, needs=("user",)
    ),
    "jira": Connection(
        lambda api, _: JiraOutlet(api), lambda how: basic(how.user, token(how)), ("user",)
    ),
    "helpscout": Connection(
        lambda api, how: HelpScoutOutlet(api, user=how.user), bearer, needs=("user",)
    ),
    "front": Connection(
        lambda api, how: FrontOutlet(api, author=how.user, channel=how.channel),
        bearer,
        needs=("user", "channel"),
    ),
    "gitlab": Connection(
        lambda api, how: GitLabOutlet(api, project=how.account),
        lambda how: {"PRIVATE-TOKEN": token(how)},
        needs=("account",),
    ),
    "freescout": Connection(
        lambda api, how: FreeScoutOutlet(api, user=how.user),
        lambda how: {"X-FreeScout-API-Key": token(how)},
        needs=("user",),
    ),
    "glpi": Connection(
        lambda api, _: GlpiOutlet(api), lambda how: {"Authorization": f"user_token {token(how)}"}
    ),
    "generic": Connection(lambda api, how: GenericOutlet(api, secret=token(how)), nothing),
}


def open_outlet(name: str, how: HelpdeskApi, http: httpx.Client | None = None) -> Outlet:
    """The way back to a helpdesk; `http` is given by tests.

    Raises:
        SettingsError: the helpdesk is not known, or a setting that it needs is missing.
    """
    if name not in OUTLETS:
        raise SettingsError(
            f"TRIAGE_HELPDESKS__{name.upper()}: there is no such helpdesk; "
            f"there are {', '.join(OUTLETS)}"
        )
    connection = OUTLETS[name]
    missing = [need for need in connection.needs if not getattr(how, need)]
    if missing:
        raise SettingsError(f"TRIAGE_HELPDESKS__{name.upper()}__{missing[0].upper()} is missing")
    http = http or httpx.Client(base_url=how.url.rstrip("/"), timeout=TIMEOUT_S)
    http.headers.update(connection.headers(how))
    return connection.make(Api(http), how)
