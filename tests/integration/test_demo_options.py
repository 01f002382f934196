"""What `triage demo` can do beside triaging: write back, and invent a past; scripted engine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from worker.ports import free_port


@pytest.fixture
def demo(tmp_path: Path) -> "Demo":
    return Demo(tmp_path)


class Demo:
    """`triage` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "COLUMNS": "160",
            "TRIAGE_PROFILE": "scripted",
            "TRIAGE_DATA_DIR": str(folder / "data"),
            "TRIAGE_GATEWAY_PORT": str(free_port("127.0.0.1")),
            "TRIAGE_METRICS_PORT": "0",
        }

    def set(self, **variables: str) -> None:
        self._environment |= variables

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "worker.cli.main", "demo", *words],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )


def test_replies_are_written_back_to_helpdesks_in_memory(demo: Demo) -> None:
    done = demo.run("--write-back")

    assert done.returncode == 0, done.stderr
    assert "zendesk 1001" in done.stdout
    assert "internal note" in done.stdout
    assert "and 24 more" in done.stdout
    assert "PUBLIC" not in done.stdout


def test_a_past_is_invented_once(demo: Demo) -> None:
    first, again = demo.run("--history"), demo.run("--history")

    assert first.returncode == 0, first.stderr
    assert "38 tickets" in first.stdout
    assert "/ops" in first.stdout
    assert again.returncode == 1
    assert "has tickets already" in again.stderr


def test_a_demonstration_keeps_to_itself(demo: Demo, tmp_path: Path) -> None:
    """It writes to no helpdesk and no database that the settings name."""
    nobody = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    (tmp_path / ".env").write_text(
        "TRIAGE_DATABASE_URL=postgresql+psycopg://nobody@127.0.0.1:9/production\n"
        f"TRIAGE_HELPDESKS__ZAMMAD__URL={nobody}\nTRIAGE_HELPDESKS__ZAMMAD__TOKEN=real\n"
        "TRIAGE_HELPDESKS__ZAMMAD__WRITE_BACK=true\n"
    )
    demo.set(
        TRIAGE_HELPDESKS__ZENDESK__URL=nobody, TRIAGE_HELPDESKS__ZENDESK__TOKEN="real",
        TRIAGE_HELPDESKS__ZENDESK__USER="a@b.de", TRIAGE_HELPDESKS__ZENDESK__WRITE_BACK="true",
    )  # fmt: skip

    done, kept = demo.run("--write-back"), demo.run("--keep")

    assert done.returncode == 0, done.stderr
    assert "zendesk 1001" in done.stdout
    assert "and 24 more" in done.stdout
    assert kept.returncode == 1
    assert "unset TRIAGE_DATABASE_URL" in kept.stderr
