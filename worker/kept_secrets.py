"""What the embedded stack makes up where nothing is configured, and keeps for its next start."""

import json
import secrets
from pathlib import Path

from worker.helpdesk import HELPDESKS
from worker.settings import Settings


def ops_password(settings: Settings, data: Path) -> str:
    """The configured password of the operators' page, else a random one, kept there too."""
    if settings.ops_password:
        return settings.ops_password.get_secret_value()
    path = data / "ops_password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(12) + "\n")
    return path.read_text().strip()


def webhook_secrets(settings: Settings, data: Path) -> dict[str, str]:
    """The configured secrets; sources without one get a random one, kept in the data directory."""
    path = data / "webhook_secrets.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    for name in HELPDESKS:
        kept.setdefault(name, secrets.token_urlsafe(24))
    path.touch(mode=0o600)
    path.write_text(json.dumps(kept, indent=2) + "\n")
    return kept | {
        name: secret.get_secret_value() for name, secret in settings.webhook_secrets.items()
    }
