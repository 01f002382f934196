"""What the documentation says to type works, in the order in which it says so."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import REPOSITORY
from worker.ports import free_port

README = (REPOSITORY / "README.md").read_text()
GENERIC = (REPOSITORY / "docs" / "helpdesks" / "generic.md").read_text()
LABELS = ("language", "category", "type", "priority", "sentiment", "entities")


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)


COMMANDS = [line for block in blocks(README, "sh") for line in block.strip().splitlines()]


class Shell:
    """Runs commands in the repository, with data of their own."""

    def __init__(self, data: Path) -> None:
        self.environment = {
            **os.environ,
            "COLUMNS": "160",
            "TRIAGE_DATA_DIR": str(data),
            "TRIAGE_GATEWAY_PORT": str(free_port("127.0.0.1")),
        }

    def run(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("readme"))


@pytest.fixture(scope="module")
def up(shell: Shell) -> Iterator[None]:
    """`make up`, until it says that it is ready; stopped at the end."""
    process = subprocess.Popen(
        ["make", "up"],
        cwd=REPOSITORY,
        env=shell.environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    said = ""
    while "Ctrl-C" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    yield
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(60)
    process.stderr.close()
    assert not psutil.wait_procs(family, timeout=30)[1]


def test_the_first_command_triages_the_built_in_tickets(shell: Shell) -> None:
    assert COMMANDS[0] == "make demo"

    shown = shell.run(COMMANDS[0])

    for expected in ("category", "disposition", "tickets/s", "tokens/s", "prefix cache", "Next:"):
        assert expected in shown


def test_every_other_command_works_while_everything_is_up(shell: Shell, up: None) -> None:
    assert COMMANDS[1] == "make up"

    shell.run(COMMANDS[2])
    for _ in range(300):
        reports = shell.run(".venv/bin/triage ticket list --json").splitlines()
        if all(json.loads(line)["state"] in {"replied", "needs_human"} for line in reports):
            break
        time.sleep(0.2)
    shown = [shell.run(command) for command in COMMANDS[3:]]

    assert all("4711" in one for one in shown[:1])
    assert json.loads(shown[1])["external_id"] == "4711"


def test_the_signing_example_is_accepted(shell: Shell, up: None) -> None:
    data, port = shell.environment["TRIAGE_DATA_DIR"], shell.environment["TRIAGE_GATEWAY_PORT"]
    secret = json.loads((Path(data) / "webhook_secrets.json").read_text())["generic"]
    [example] = blocks(GENERIC, "bash")

    answer = shell.run(f"GATEWAY=http://127.0.0.1:{port} SECRET={secret}\n{example}")

    assert json.loads(answer)["status"] == "accepted"


def test_the_ticket_on_the_first_screen_really_gives_that_row(shell: Shell, tmp_path: Path) -> None:
    ticket, row = (json.loads(block) for block in blocks(README, "json")[:2])
    file = tmp_path / "ticket.jsonl"
    file.write_text(json.dumps(ticket))

    result: dict[str, Any] = json.loads(
        shell.run(f".venv/bin/triage demo --json --tickets {file}").strip()
    )

    assert {name: result[name] for name in LABELS} == {name: row[name] for name in LABELS}
    assert result["state"] == row["state"]
