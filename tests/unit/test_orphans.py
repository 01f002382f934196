"""A process that vLLM starts ends with the worker that started it, however that dies."""

import ctypes
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import psutil

from tests.stack import runs, wait_for
from worker.engine.orphans import end_with_parent

PR_GET_PDEATHSIG = 2
PARENT = """
import multiprocessing, sys, time
from worker.engine.orphans import end_with_parent

def child(told):
    end_with_parent()
    told.set()
    time.sleep(60)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    told = context.Event()
    process = context.Process(target=child, args=(told,))
    process.start()
    told.wait()
    print(process.pid, flush=True)
    time.sleep(60)
"""


def test_a_child_is_gone_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))

        parent.kill()
        parent.wait()

        wait_for(lambda: not runs(child), "the child to end with its parent")


def test_a_process_that_nobody_here_started_outlives_its_parent() -> None:
    end_with_parent()

    wanted = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(wanted))
    assert wanted.value == 0


def test_vllm_finds_it() -> None:
    found = entry_points(group="vllm.general_plugins", name="end_with_worker")

    assert [one.load() for one in found] == [end_with_parent]
