"""Tickets run again on the real engine: as they were, and what they show stays what it was."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack import post, wait_for
from worker.database import opened, transaction
from worker.local import Stack
from worker.ports import free_port
from worker.replay.compare import LINEAGE
from worker.settings import load_settings
from worker.tickets import read

TICKETS = {
    "de": "Meine Bestellung A-48213 ist seit zwei Wochen nicht angekommen, bitte helfen Sie mir.",
    "fr": "Bonjour, je n'ai pas reçu ma facture du mois dernier, pouvez-vous me l'envoyer ?",
    "ja": "先週注文した商品がまだ届いておりません。至急ご確認をお願いいたします。",
    "zh": "我上周下的订单还没有收到，请尽快帮我查询一下，谢谢。",
}


@pytest.mark.timeout(600)
def test_as_it_was_gives_the_same_output_byte_for_byte(tmp_path: Path) -> None:
    stack = Stack(load_settings(data_dir=tmp_path / "data"), port=free_port("127.0.0.1"))
    try:
        stack.start()
        stack.wait_ready()
        with opened(stack.database_url, pool_size=1) as sessions:
            ids = []
            for name, body in TICKETS.items():
                ids.append(post(stack, {"id": name, "body": body}))
                wait_for(lambda: finished(sessions, ids), f"{name} to be done")

        ran = triage(stack, "run", "--as-it-was", "--by", "Ana")
        summary, *pairs = map(
            json.loads, triage(stack, "compare", "1", "--json").stdout.splitlines()
        )
    finally:
        stack.stop()

    assert ran.returncode == 0, ran.stderr
    assert summary["tickets"] == len(TICKETS)
    assert set(summary["differed_in"]) <= {"batch"}
    assert all(pair["same_output"] or pair["differed_in"] == ["batch"] for pair in pairs)
    assert summary["same_output"] >= len(TICKETS) - 1, "one ticket at a time then, and mostly now"
    assert "batch" not in LINEAGE.values()


def finished(sessions: Any, ids: list[int]) -> bool:
    with transaction(sessions) as session:
        return read.finished(session, ids) == len(ids)


def triage(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.cli.main", "replay", *words],
        env={**os.environ, "TRIAGE_DATA_DIR": str(stack.data)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
