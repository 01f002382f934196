"""Measures the product, writes RESULTS.md: python -m bench [speed|resilience|replay …]"""

import argparse
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measurements", nargs="*", default=list(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.measurements:
        MEASUREMENTS[name](arguments.rounds)


if __name__ == "__main__":
    main()
