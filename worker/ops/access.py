"""Who may see the page, and whether a form was really sent from it."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass

from fastapi import HTTPException, Request
from pydantic import SecretStr

from worker.errors import SettingsError

FORWARDED = {"forwarded", "via", "x-forwarded-for", "x-real-ip"}
"""What proxies add to what they pass on."""


@dataclass(frozen=True, slots=True)
class Access:
    """Lets in who knows the password (any user name: it goes into the audit) or bears the token.

    Without either everybody on this machine is let in, which `for_host` allows on loopback only.
    """

    password: SecretStr | None
    token: SecretStr | None
    key: bytes

    @classmethod
    def for_host(
        cls, host: str, *, password: SecretStr | None, token: SecretStr | None
    ) -> "Access":
        """
        Raises:
            SettingsError: the host can be reached from elsewhere and there is no secret.
        """
        known = password or token
        if known is None and not is_loopback(host):
            raise SettingsError(
                f"the gateway listens on {host}, where others can reach its /ops page: set "
                "TRIAGE_OPS_PASSWORD (or TRIAGE_API_TOKEN), or TRIAGE_GATEWAY_HOST=127.0.0.1"
            )
        secret = known.get_secret_value().encode() if known else secrets.token_bytes(32)
        return cls(password, token, hashlib.sha256(b"forms of /ops" + secret).digest())

    def user(self, request: Request) -> str:
        """The name of who asks, empty where everybody is let in.

        Raises:
            HTTPException: 401, and the browser asks for name and password; 403, it came from
                elsewhere, through a proxy or another site's name for this machine.
        """
        if self.password is None and self.token is None:
            if not is_local(request):
                raise HTTPException(
                    403, "from other machines this page needs a password: set TRIAGE_OPS_PASSWORD"
                )
            return ""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.token and same(given, self.token):
            return "API token"
        name, _, password = (
            decoded(given).partition(":") if scheme.lower() == "basic" else ("",) * 3
        )
        if self.password and name and same(password, self.password):
            return name
        raise HTTPException(
            401,
            "name and password (TRIAGE_OPS_PASSWORD) are missing or wrong",
            headers={"WWW-Authenticate": 'Basic realm="ticket-triage", charset="UTF-8"'},
        )

    def form_token(self, user: str, path: str) -> str:
        """What a form that posts to `path` has to carry: another site cannot know it."""
        return hmac.new(self.key, f"{user}\n{path}".encode(), hashlib.sha256).hexdigest()

    def refuse_forged(self, given: str, user: str, path: str) -> None:
        """
        Raises:
            HTTPException: 403, the form is not one of ours.
        """
        if not hmac.compare_digest(given.encode(), self.form_token(user, path).encode()):
            raise HTTPException(403, "this form was not made here: load the page again")


def is_local(request: Request) -> bool:
    """Whether somebody on this machine asked, by a name that is this machine's own."""
    return is_loopback(request.url.hostname or "") and FORWARDED.isdisjoint(request.headers)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def decoded(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def same(given: str, secret: SecretStr) -> bool:
    return hmac.compare_digest(given.encode(), secret.get_secret_value().encode())
