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


@dataclass(frozen=True, slots=True)
class Access:
    """Lets in who knows the password (any user name: it goes into the audit) or bears the token;
    without either nobody. That a request seems to come from this machine says nothing: behind a
    proxy every request does.
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
        """The name of who asks.

        Raises:
            HTTPException: 401, and the browser asks for name and password; 403, there is neither
                password nor token.
        """
        if self.password is None and self.token is None:
            raise HTTPException(403, "this page needs a password: set TRIAGE_OPS_PASSWORD")
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
