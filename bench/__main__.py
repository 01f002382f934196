"""Runs every measurement in processes of their own, a few times in turn, and writes RESULTS.md.

python -m bench [--rounds 3]
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psutil

RESULTS = Path(__file__).with_name("RESULTS.md")
FIRST_REPLY = re.compile(r"First reply\s+([\d.]+)\s+s")


def main() -> None:
    rounds = arguments().rounds
    bare, stack, first_reply = [], [], []
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}: bare engine", flush=True)
        bare.append(run("bench.bare"))
        print(f"round {number} of {rounds}: the whole stack", flush=True)
        stack.append(run("bench.stack"))
        print(f"round {number} of {rounds}: triage demo, cold", flush=True)
        first_reply.append(cold_start_s())
    RESULTS.write_text(report(bare, stack, first_reply))
    print(RESULTS.read_text())


def run(module: str) -> dict[str, float]:
    output = subprocess.run(
        [sys.executable, "-m", module], check=True, capture_output=True, text=True
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


def report(
    bare: list[dict[str, float]], stack: list[dict[str, float]], first_reply: list[float]
) -> str:
    ratios = [s["tickets_s"] / b["tickets_s"] for s, b in zip(stack, bare, strict=True)]

    def row(name: str, values: list[float], digits: int) -> str:
        each = ", ".join(f"{value:.{digits}f}" for value in values)
        return f"| {name} | **{statistics.median(values):.{digits}f}** | {each} |"

    def of(results: list[dict[str, float]], key: str) -> list[float]:
        return [one[key] for one in results]

    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {machine()}, no GPU; the "
        "demonstration model",
        f"(profile `demo`). Medians of {len(bare)} rounds; in each round the same 400 tickets go "
        "through the bare engine and",
        "then through the whole stack (webhook, Postgres, broker, worker, checks, record).",
        "Ratios travel to other machines, absolute figures do not.",
        "",
        "| what | median | each round |",
        "|---|---|---|",
        row("(a) worker / bare engine, tickets per second", ratios, 3),
        row("worker, tickets/s", of(stack, "tickets_s"), 2),
        row("bare engine, tickets/s", of(bare, "tickets_s"), 2),
        row("worker, tokens/s written", of(stack, "tokens_s"), 0),
        row("bare engine, tokens/s written", of(bare, "tokens_s"), 0),
        row("(b) mean sequences in the engine while the queue is full, of 16",
            of(stack, "running"), 2),
        row("(c) cold `triage demo`, seconds to the first reply", first_reply, 1),
        row("(d) webhooks accepted per second", of(stack, "webhooks_s"), 0),
        row("worker, peak memory in MB", of(stack, "worker_mb"), 0),
        row("gateway, peak memory in MB", of(stack, "gateway_mb"), 0),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def machine() -> str:
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    gib = psutil.virtual_memory().total / 2**30
    name = models[0] if models else platform.processor()
    return f"{os.cpu_count()} cores ({name}), {gib:.0f} GiB"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
