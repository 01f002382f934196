"""How much of the bare engine's speed the whole product keeps: a few rounds of both, in turn."""

import json
import os
import re
import subprocess
import sys

from bench.bare import PLAIN
from bench.report import row, write_section
from bench.workload import TICKETS
from worker import charts

FIRST_REPLY = re.compile(r"First reply\s+([\d.]+)\s+s")


def measure(rounds: int) -> None:
    plain, bare, stack, first_reply = [], [], [], []
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}: vLLM as it comes", flush=True)
        plain.append(run("bench.bare", PLAIN))
        print(f"round {number} of {rounds}: bare engine", flush=True)
        bare.append(run("bench.bare"))
        print(f"round {number} of {rounds}: the whole stack", flush=True)
        stack.append(run("bench.stack"))
        print(f"round {number} of {rounds}: triage demo, cold", flush=True)
        first_reply.append(cold_start_s())
    write(plain, bare, stack, first_reply)


def run(module: str, *words: str) -> dict[str, float]:
    """The result that a measurement prints, run as a process of its own."""
    output = subprocess.run(
        [sys.executable, "-m", module, *words], check=True, capture_output=True, text=True
    ).stdout
    [line] = [line for line in output.splitlines() if line.startswith("RESULT ")]
    found: dict[str, float] = json.loads(line.removeprefix("RESULT "))
    return found


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


def write(
    plain: list[dict[str, float]],
    bare: list[dict[str, float]],
    stack: list[dict[str, float]],
    first_reply: list[float],
) -> None:
    def of(results: list[dict[str, float]], key: str) -> list[float]:
        return [one[key] for one in results]

    def against(engine: list[dict[str, float]]) -> list[float]:
        return [s["tickets_s"] / e["tickets_s"] for s, e in zip(stack, engine, strict=True)]

    write_section(
        "Speed",
        text=f"The demonstration model (profile `demo`), {len(bare)} rounds: in each the same "
        f"{TICKETS:,} tickets go through vLLM as it comes, through the engine that the worker runs "
        "(vLLM with the product's plugins, which make grammars cheaper on CPUs), and then through "
        "the whole stack (webhook, Postgres, broker, worker, checks, record). The sender of the "
        "webhooks shares the machine.",
        rows=[
            row("(a) worker / vLLM as it comes, tickets per second", against(plain), 3),
            row("(a) worker / bare engine, which has its plugins, too", against(bare), 3),
            row("worker, tickets/s", of(stack, "tickets_s"), 2),
            row("vLLM as it comes, tickets/s", of(plain, "tickets_s"), 2),
            row("bare engine, tickets/s", of(bare, "tickets_s"), 2),
            row("worker, tokens/s written", of(stack, "tokens_s"), 0),
            row("bare engine, tokens/s written", of(bare, "tokens_s"), 0),
            row(
                "(b) mean sequences in the engine while the queue is full, of 16",
                of(stack, "running"),
                2,
            ),
            row("(c) cold `triage demo`, seconds to the first reply", first_reply, 1),
            row("(d) webhooks accepted per second", of(stack, "webhooks_s"), 0),
            row("worker, peak memory in MB", of(stack, "worker_mb"), 0),
            row("gateway, peak memory in MB", of(stack, "gateway_mb"), 0),
        ],
        picture=charts.bars(
            [f"round {number}" for number in range(1, len(bare) + 1)],
            {
                "vLLM as it comes, tickets/s": of(plain, "tickets_s"),
                "bare engine": of(bare, "tickets_s"),
                "worker": of(stack, "tickets_s"),
            },
        ),
    )
