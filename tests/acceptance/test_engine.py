"""The real vLLM engine under fire: deadlines that pass, a process that is killed."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.stack import runs, wait_for
from worker import metrics
from worker.engine import arguments
from worker.engine.arguments import refused_words, unknown_arguments
from worker.engine.contract import Prompt, Request
from worker.engine.memory import ACTIVATIONS_GB, GB, OVERHEAD_GB, Plan, Precision
from worker.engine.profiles import load_profile, profile_names
from worker.engine.shape import Shape
from worker.engine.supervised import SupervisedEngine
from worker.engine.vllm_engine import VllmEngine
from worker.errors import DeadlineExceeded, EngineCrashed
from worker.triage import pipeline
from worker.triage.desk import Desk

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # torch and vLLM warn while they are imported
]
SLOTS = 16
BLOCK = 32
"""Tokens that are cached together (the profile's block_size)."""
SHORT = Request(Prompt("Answer.", "A ticket."), 'root ::= "yes"', 8, temperature=0.0, seed=0)
ENDLESS = Request(
    Prompt("Write.", "A ticket."), "root ::= [a-z ]{1200,1300}", 1300, temperature=1.0, seed=0
)


@pytest.fixture(scope="module")
def engine() -> Iterator[SupervisedEngine]:
    engine = SupervisedEngine(lambda: VllmEngine(load_profile("demo")), restarts=3)
    engine.generate(SHORT, deadline_s=60)
    yield engine
    engine.stop()
    del engine
    gc.collect()  # here, where what vLLM leaves unclosed is not taken for ours


def error_of(engine: SupervisedEngine, request: Request, deadline_s: float) -> type[Exception]:
    try:
        engine.generate(request, deadline_s=deadline_s)
    except (DeadlineExceeded, EngineCrashed) as error:
        return type(error)
    raise AssertionError("the request was answered")


def engine_process(worker: psutil.Process | None = None) -> psutil.Process:
    """The process of the engine that a worker (this process, if none is given) has started."""
    [core] = [
        child
        for child in (worker or psutil.Process()).children(recursive=True)
        if "EngineCore" in " ".join(child.cmdline()) or "EngineCore" in child.name()
    ]
    return core


def test_what_vllm_counts_is_on_the_workers_page_under_its_own_names(
    engine: SupervisedEngine,
) -> None:
    engine.generate(SHORT, deadline_s=60)

    page = metrics.page().decode()

    for name in ("vllm:num_requests_running", "vllm:prefix_cache_hits", "vllm:generation_tokens"):
        assert f"# TYPE {name}" in page
    assert "triage_engine_up 1.0" in page


def test_after_the_warm_up_the_first_ticket_finds_the_instruction_in_the_cache(
    engine: SupervisedEngine, desk: Desk
) -> None:
    fresh = replace(desk, instruction=f"{desk.instruction} {'Read it twice. ' * 40}")
    prompt = Prompt(fresh.instruction, "A ticket that nobody has seen.")

    pipeline.warm_up(engine, fresh)
    answer = engine.generate(pipeline.request(prompt, fresh, priority=0), deadline_s=60)

    assert answer.cached_tokens >= engine.count(fresh.instruction) - 2 * BLOCK


def test_the_plan_of_memory_agrees_with_what_vllm_reports(engine: SupervisedEngine) -> None:
    config = engine._engine._llm.vllm_config.cache_config  # type: ignore[attr-defined]
    shape = Shape.of_config(REPOSITORY / "models/demo/config.json")

    told = config.num_gpu_blocks * config.block_size

    assert told == pytest.approx(2**30 / shape.kv_bytes("fp16"), rel=0.02)  # of 1 GiB


def test_the_plan_counts_the_weights_that_are_loaded() -> None:
    folder = REPOSITORY / "models/demo"
    shape = Shape.of_config(folder / "config.json")
    plan = Plan(shape, Precision.AWQ, "fp16", context=8192, sequences=16, card_gb=24, share=0.9)

    weights_gb = plan.loaded_gb - plan.kv_gb - ACTIVATIONS_GB - OVERHEAD_GB

    on_disk = (folder / "model.safetensors").stat().st_size
    assert weights_gb * GB == pytest.approx(on_disk, rel=0.05)


def test_every_profile_is_in_the_installed_vllms_own_words() -> None:
    for name in profile_names():
        assert unknown_arguments(load_profile(name)) == []
        assert refused_words(load_profile(name)) == []


@pytest.mark.parametrize(
    ("key", "value"), [("kv_cache_dtype", "fp9"), ("dtype", "bf16"), ("max_num_seqs", "many")]
)
def test_a_value_that_vllm_does_not_take_is_told(key: str, value: str) -> None:
    [said] = refused_words(load_profile("nemo-awq-32k").model_copy(update={key: value}))

    assert key.replace("_", "-") in said
    assert value in said


def test_an_argument_that_vllm_does_not_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*arguments.serve_words(load_profile("demo")), "--no-such-argument", "1"]
    monkeypatch.setattr(arguments, "serve_words", lambda _: words)

    [said] = refused_words(load_profile("demo"))

    assert "--no-such-argument" in said


def test_requests_past_their_deadline_leave_their_slots_to_others(
    engine: SupervisedEngine,
) -> None:
    with ThreadPoolExecutor(2 * SLOTS) as threads:
        errors = set(threads.map(lambda _: error_of(engine, ENDLESS, 1.0), range(2 * SLOTS)))
        started = time.monotonic()
        answers = list(
            threads.map(lambda _: engine.generate(SHORT, deadline_s=30).text, range(SLOTS))
        )
        took_s = time.monotonic() - started

    assert errors == {DeadlineExceeded}
    assert answers == ["yes"] * SLOTS
    assert took_s < 5
    assert engine.is_alive()


def test_a_killed_engine_fails_what_runs_and_is_started_again(engine: SupervisedEngine) -> None:
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(error_of, engine, ENDLESS, 60.0) for _ in range(4)]
        time.sleep(1)
        os.kill(engine_process().pid, signal.SIGKILL)
        errors = {one.result() for one in running}

    assert errors == {EngineCrashed}
    deadline = time.monotonic() + 120
    while not engine.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert engine.generate(SHORT, deadline_s=60).text == "yes"


def test_an_engine_started_again_has_a_processor_that_its_worker_leaves_alone(
    engine: SupervisedEngine,
) -> None:
    [loop] = [one.native_id for one in threading.enumerate() if one.name == "engine-loop"]
    everywhere = os.sched_getaffinity(0)

    assert engine.generate(SHORT, deadline_s=60).text == "yes"

    assert loop is not None
    assert os.sched_getscheduler(loop) == os.SCHED_BATCH
    assert os.sched_getaffinity(loop) == (everywhere - {max(everywhere)} or everywhere)
    core = engine_process()
    assert os.sched_getscheduler(core.pid) == os.SCHED_OTHER
    assert os.sched_getaffinity(core.pid) == (everywhere - {min(everywhere)} or everywhere)
    others = [os.sched_getaffinity(one.id) for one in core.threads() if one.id != core.pid]
    assert all(one == (everywhere - {max(everywhere)} or everywhere) for one in others)


WORKER = """
import time
from worker.engine.shape import Shape
from worker.engine.profiles import load_profile, profile_names
from worker.engine.vllm_engine import VllmEngine
if __name__ == "__main__":
    engine = VllmEngine(load_profile("demo"))
    print("READY", flush=True)
    time.sleep(600)
"""


def test_an_engine_ends_with_the_worker_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "started.py"  # no name of ours: it would be imported instead
    script.write_text(WORKER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        while b"READY" not in worker.stdout.readline():
            assert worker.poll() is None
        core = engine_process(psutil.Process(worker.pid))

        worker.kill()
        worker.wait()

        wait_for(lambda: not runs(core), "the engine to end with its worker")


def test_an_engine_that_stands_still_is_replaced(engine: SupervisedEngine) -> None:
    frozen = engine_process()
    frozen.suspend()

    error = error_of(engine, SHORT, 2.0)
    deadline = time.monotonic() + 180
    while not engine.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert error is EngineCrashed
    assert not frozen.is_running()
    assert engine.generate(SHORT, deadline_s=60).text == "yes"
