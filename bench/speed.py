"""How much of the bare engine's speed the whole product keeps: a few rounds of both, in turn."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.bare import PLAIN
from bench.report import row, write_section
from bench.workload import TICKETS
from worker import charts

Result = dict[str, float]
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "TORCH_CPP_LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}
"""What a measurement's process has set, unless it is set already: only errors are of interest."""
FIRST_REPLY = re.compile(r"First reply\s+([\d.]+)\s+s")


@dataclass(frozen=True, slots=True)
class Round:
    """What each way measured; the bare engine just before and just after the whole stack."""

    plain: Result
    before: Result
    stack: Result
    after: Result
    first_reply_s: float

    @property
    def of_bare(self) -> float:
        """The stack's tickets per second by the bare engine's: so a drift of the machine is out."""
        return self.stack["tickets_s"] / self.bare("tickets_s")

    @property
    def of_plain(self) -> float:
        return self.stack["tickets_s"] / self.plain["tickets_s"]

    def bare(self, key: str) -> float:
        return (self.before[key] + self.after[key]) / 2


def measure(rounds: int) -> None:
    write([measure_round(f"round {number} of {rounds}") for number in range(1, rounds + 1)])


def measure_round(name: str) -> Round:
    print(f"{name}: triage demo, cold", flush=True)
    first_reply_s = cold_start_s()
    print(f"{name}: vLLM as it comes", flush=True)
    plain = run("bench.bare", PLAIN)
    print(f"{name}: bare engine, the whole stack, bare engine", flush=True)
    before, stack, after = run("bench.bare"), run("bench.stack"), run("bench.bare")
    measured = Round(plain, before, stack, after, first_reply_s)
    print(f"{name}: {measured.of_bare:.3f} of the bare engine", flush=True)
    return measured


def run(module: str, *words: str) -> Any:
    """The result that a measurement prints, run as a process of its own; its progress and what
    goes wrong are shown as they come.
    """
    output = subprocess.run(
        [sys.executable, "-m", module, *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=QUIET | os.environ,
    ).stdout
    [line] = [line for line in output.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))


def cold_start_s() -> float:
    """Seconds from the start of `triage demo` to its first reply, as it reports them."""
    output = subprocess.run(
        [sys.executable, "-m", "worker.cli.main", "demo"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
    ).stdout
    found = FIRST_REPLY.search(output)
    assert found, output
    return float(found[1])


def write(rounds: Sequence[Round]) -> None:
    def stack(key: str) -> list[float]:
        return [one.stack[key] for one in rounds]

    def bare(key: str) -> list[float]:
        return [one.bare(key) for one in rounds]

    plain = [one.plain["tickets_s"] for one in rounds]
    write_section(
        "Speed",
        text=f"The demonstration model (profile `demo`), {len(rounds)} rounds: in each the same "
        f"{TICKETS:,} tickets go through vLLM as it comes, through the engine that the worker runs "
        "(vLLM with the product's plugins, which make grammars cheaper on CPUs), through the whole "
        "stack (webhook, Postgres, broker, worker, checks, record), and through the engine again: "
        "the stack is held against the mean of the two runs beside it. The sender of the webhooks "
        "shares the machine.",
        rows=[
            row("(a) worker / bare engine, tickets per second", [r.of_bare for r in rounds], 3),
            row("worker / vLLM as it comes, without plugins", [r.of_plain for r in rounds], 3),
            row("worker, tickets/s", stack("tickets_s"), 2),
            row("bare engine, tickets/s", bare("tickets_s"), 2),
            row("vLLM as it comes, tickets/s", plain, 2),
            row("worker, tokens/s written", stack("tokens_s"), 0),
            row("bare engine, tokens/s written", bare("tokens_s"), 0),
            row(
                "cold `triage demo`, seconds to the first reply",
                [one.first_reply_s for one in rounds],
                1,
            ),
            row("webhooks accepted per second", stack("webhooks_s"), 0),
            row("worker, peak memory in MB", stack("worker_mb"), 0),
            row("gateway, peak memory in MB", stack("gateway_mb"), 0),
        ],
        picture=charts.bars(
            [f"round {number}" for number in range(1, len(rounds) + 1)],
            {
                "vLLM as it comes, tickets/s": plain,
                "bare engine": bare("tickets_s"),
                "worker": stack("tickets_s"),
            },
        ),
    )
