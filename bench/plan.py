"""How long `triage replay plan` takes over a million attempts, from its start to its end."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.filled import filled
from bench.report import row, write_section

MILLION = 1_000_000
PLANS = {
    "no filter": [],
    "a profile": ["--profile", "nemo-awq-32k"],
    "two reasons": ["--reason", "check_failed", "--reason", "below_threshold"],
    "language, category and confidence": [
        "--language", "ja", "--category", "outage", "--confidence-below", "0.9",
    ],
    "a sample of 5,000": ["--sample", "5000"],
}  # fmt: skip


def measure(rounds: int) -> None:
    taken = plan_seconds(rounds)
    write_section(
        "Plans of replays",
        text="`triage replay plan` over a million attempts as wide as real ones, Postgres on the "
        "same machine; seconds from the command's start to its end, about one of them for imports.",
        rows=[row(name, seconds, 2) for name, seconds in taken.items()],
    )


def plan_seconds(rounds: int) -> dict[str, list[float]]:
    """Seconds that `triage replay plan` takes, from start to end, for each selection."""
    with filled(MILLION) as url:
        environment = {**os.environ, "TRIAGE_DATABASE_URL": url, "TRIAGE_BROKER_URL": "memory://"}
        return {
            name: [timed(["replay", "plan", *words], environment) for _ in range(rounds + 1)][1:]
            for name, words in PLANS.items()
        }


def timed(words: Sequence[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "worker.cli.main", *words],
        check=True, capture_output=True, env=environment,
    )  # fmt: skip
    return time.perf_counter() - started
