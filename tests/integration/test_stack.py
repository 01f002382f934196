"""The embedded stack as processes: started, watched and stopped, with the scripted engine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.stack import post, runs, wait_for
from worker.database import opened, transaction
from worker.errors import SetupError
from worker.local import Stack, with_running_stack
from worker.ports import free_port
from worker.settings import Settings, load_settings
from worker.tickets import read


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TRIAGE_PROFILE", "scripted")
    return load_settings(data_dir=tmp_path / "data")


@pytest.fixture
def stack(settings: Settings) -> Iterator[Stack]:
    stack = Stack(settings, port=free_port("127.0.0.1"))
    try:
        stack.start()
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


def is_done(stack: Stack, ticket_id: int) -> Callable[[], bool]:
    def look() -> bool:
        with opened(stack.database_url, pool_size=1) as sessions, transaction(sessions) as session:
            return read.finished(session, [ticket_id]) == 1

    return look


def test_a_webhook_becomes_a_reply_and_nothing_is_left_running(stack: Stack) -> None:
    ticket_id = post(stack, {"id": "1", "body": "Wo ist meine Bestellung geblieben?"})

    wait_for(is_done(stack, ticket_id), "the ticket to be done")
    family = [psutil.Process(pid) for pid in stack.pids().values()]
    stack.stop()

    wait_for(lambda: not any(map(runs, family)), "every process to be gone")
    assert not (stack.data / "run" / "worker.ready").exists()


def test_worker_and_postgres_leave_a_processor_to_the_engine(
    stack: Stack, settings: Settings
) -> None:
    worker, postgres = (psutil.Process(stack.pids()[part]) for part in ("worker", "postgres"))

    policies = {one.id: os.sched_getscheduler(one.id) for one in worker.threads()}

    assert policies[worker.pid] == os.SCHED_BATCH  # Celery's thread, and those of the tickets
    assert sum(one == os.SCHED_BATCH for one in policies.values()) > settings.in_flight
    everywhere = os.sched_getaffinity(0)
    for process in (worker, postgres, *postgres.children()):
        allowed = os.sched_getaffinity(process.pid)
        assert allowed == (everywhere - {max(everywhere)} or everywhere)


@pytest.mark.parametrize("part", ["worker", "gateway", "sweep", "redis", "postgres"])
def test_a_part_that_is_killed_is_started_again_and_tickets_go_on(stack: Stack, part: str) -> None:
    killed = stack.pids()[part]
    os.kill(killed, signal.SIGKILL)

    def is_ready_again() -> bool:
        stack.watch()
        return httpx.get(f"{stack.gateway_url}/readyz").is_success

    wait_for(lambda: stack.watch() or stack.pids()[part] != killed, f"{part} to be started again")
    wait_for(is_ready_again, "the gateway", retry=True)
    ticket_id = post(stack, {"id": "1", "body": "Wo ist meine Bestellung geblieben?"})

    wait_for(is_done(stack, ticket_id), "the ticket to be done")


def test_a_part_that_keeps_dying_takes_the_stack_down_with_its_last_words(stack: Stack) -> None:
    def keep_killing() -> bool:
        pid = stack.pids()["sweep"]
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        stack.watch()
        return False

    with pytest.raises(SetupError, match=r"sweep died 4 times.*sweep\.log"):
        wait_for(keep_killing, "the supervisor to give up")


def test_a_connection_that_was_idle_for_a_while_is_still_there(stack: Stack) -> None:
    with httpx.Client(limits=httpx.Limits(keepalive_expiry=60)) as proxy:
        first = proxy.get(f"{stack.gateway_url}/healthz").extensions["network_stream"]
        time.sleep(7)
        again = proxy.get(f"{stack.gateway_url}/healthz").extensions["network_stream"]

        assert again is first


def test_two_stacks_on_the_same_data_are_refused(stack: Stack, settings: Settings) -> None:
    other = Stack(settings, port=free_port("127.0.0.1"))

    with pytest.raises(SetupError, match="another stack is running"):
        other.start()
    other.stop()

    assert with_running_stack(settings).database_url == stack.database_url, "it was only refused"


def test_a_taken_port_is_named(stack: Stack, tmp_path: Path) -> None:
    other = Stack(
        load_settings(data_dir=tmp_path / "other"), port=int(stack.gateway_url.rsplit(":", 1)[1])
    )

    with pytest.raises(SetupError, match="TRIAGE_GATEWAY_PORT"):
        other.start()
    other.stop()


def test_the_command_line_finds_the_running_stack(stack: Stack, tmp_path: Path) -> None:
    lines = tmp_path / "tickets.jsonl"
    lines.write_text('{"id": "1", "subject": "Bestellung", "body": "Wo ist mein Paket?"}\n')

    def triage(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "worker.cli.main", *arguments],
            env={**os.environ, "TRIAGE_DATA_DIR": str(stack.data)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert json.loads(triage("enqueue", str(lines), "--json")) == {
        "new": 1,
        "known": 0,
        "unusable": 0,
    }
    assert json.loads(triage("enqueue", str(lines), "--json")) == {
        "new": 0,
        "known": 1,
        "unusable": 0,
    }
    wait_for(is_done(stack, 1), "the ticket to be done")
    assert json.loads(triage("ticket", "show", "1", "--json"))["external_id"] == "1"
    assert "1" in triage("ticket", "list")
    [line] = triage("ticket", "list", "--json").splitlines()
    assert json.loads(line)["state"] in {"replied", "needs_human"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_up_ends_with_all_its_parts_however_it_is_stopped(
    settings: Settings, how: signal.Signals
) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "worker.cli.main", "up"],
        env={
            **os.environ,
            "TRIAGE_DATA_DIR": str(settings.data_dir),
            "TRIAGE_GATEWAY_PORT": str(free_port("127.0.0.1")),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert up.stderr is not None
    said = ""
    while "Ctrl-C" not in said:
        line = up.stderr.readline()
        assert line, said
        said += line
    ours = [
        process
        for process in psutil.Process(up.pid).children(recursive=True)
        if "redis" not in process.name()
    ]

    up.send_signal(how)
    code = up.wait(60)
    up.stderr.close()

    assert code == (-signal.SIGKILL if how is signal.SIGKILL else 0)
    assert len(ours) >= 3
    _, alive = psutil.wait_procs(ours, timeout=30)
    assert not alive
