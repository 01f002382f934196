"""The commands on each helpdesk's page, run as they stand there against a gateway that listens."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY
from worker.cli.demo_twins import listening
from worker.database import Sessions
from worker.dispatch.publish import Publisher
from worker.gateway.app import create_app
from worker.gateway.webhooks import Intake
from worker.helpdesk import HELPDESKS
from worker.helpdesk.outlets import OUTLETS
from worker.settings import load_settings

PAGES = REPOSITORY / "docs" / "helpdesks"


@pytest.fixture
def gateway(sessions: Sessions, publisher: Publisher) -> Iterator[str]:
    """The address of a gateway on a port of its own."""
    settings = load_settings(webhook_secrets=dict.fromkeys(HELPDESKS, "a secret"))
    app = create_app(
        Intake(settings, sessions, publisher), sessions, max_body_bytes=10_000, threads=2
    )
    with listening(app) as url:
        yield url


@pytest.mark.parametrize("name", sorted(HELPDESKS))
def test_the_command_on_a_helpdesks_page_makes_a_ticket(gateway: str, name: str) -> None:
    [command] = re.findall(r"```bash\n(.*?)```", (PAGES / f"{name}.md").read_text(), re.DOTALL)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**os.environ, "GATEWAY": gateway, "SECRET": "a secret"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert '"status":"accepted"' in done.stdout


@pytest.mark.parametrize("name", sorted(HELPDESKS))
def test_a_page_names_every_setting_that_the_way_back_needs(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()

    for setting in ("url", "token", "write_back", *OUTLETS[name].needs):
        assert f"TRIAGE_HELPDESKS__{name.upper()}__{setting.upper()}=" in page
    assert f"TRIAGE_WEBHOOK_SECRETS__{name.upper()}" in page
