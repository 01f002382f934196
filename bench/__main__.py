"""Measures the product, writes RESULTS.md: python -m bench [speed|resilience|replay …]"""

import argparse
import sys
import traceback
from collections.abc import Callable

from bench import (
    agents,
    capacity,
    clock,
    confidence,
    engine,
    fuzz,
    growth,
    ingest,
    language,
    ops,
    pipeline,
    plan,
    production,
    replay,
    resilience,
    roofline,
    speed,
    tokens,
)

MEASUREMENTS: dict[str, Callable[[int], None]] = {
    "speed": speed.measure,
    "pipeline": pipeline.measure,
    "clock": clock.measure,
    "resilience": resilience.measure,
    "language": language.measure,
    "confidence": confidence.measure,
    "engine": engine.measure,
    "ops": ops.measure,
    "ingest": ingest.measure,
    "fuzz": fuzz.measure,
    "plan": plan.measure,
    "replay": replay.measure,
    "agents": agents.measure,
    "growth": growth.measure,
    "roofline": roofline.measure,
    "production": production.measure,
    "capacity": capacity.measure,
    "tokens": tokens.measure,
}


def rounds(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is no number of rounds")
    return int(word)


def main() -> None:
    known = ", ".join(MEASUREMENTS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", help=f"all, or {known}")
    parser.add_argument("--rounds", type=rounds, default=3)
    arguments = parser.parse_args()
    names = arguments.measurements or list(MEASUREMENTS)
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        parser.error(f"there is no {', '.join(unknown)}: choose from {known}")
    failed = []
    for name in names:
        try:
            MEASUREMENTS[name](arguments.rounds)
        except Exception:  # noqa: BLE001  # its section stays as it was, the others are measured
            traceback.print_exc()
            failed.append(name)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
