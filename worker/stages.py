"""A stage of a ticket's journey: timed as a metric and, where traces are on, told as a span."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span

from worker import metrics, tracing


@contextmanager
def stage(name: str) -> Iterator[Span]:
    """Time what is done within as `triage_stage_duration_seconds{stage=name}`."""
    started = time.perf_counter()
    try:
        with tracing.span(name) as span:
            yield span
    finally:
        metrics.STAGE_SECONDS.labels(name).observe(time.perf_counter() - started)


def waited(seconds: float) -> None:
    """The stage before a ticket was claimed, which nobody watched."""
    metrics.STAGE_SECONDS.labels("queue").observe(seconds)
    tracing.past("queue", seconds=seconds, now_ns=time.time_ns())
