"""What is counted and timed, under Prometheus's naming conventions. Decides nothing.

Labels have few values: a source, a language, an outcome. Never a ticket's id, never its text.
"""

import math

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

from worker import logs

log = logs.get(__name__)

SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600)

WEBHOOKS = Counter(
    "triage_webhooks",
    "Webhook deliveries by source and verdict: accepted, duplicate, ignored, refused, unavailable.",
    ["source", "verdict"],
)
WEBHOOK_SECONDS = Histogram(
    "triage_webhook_duration_seconds",
    "From a webhook's whole body to its answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
TICKETS = Counter(
    "triage_tickets", "Attempts on tickets that ended, by outcome.", ["language", "outcome"]
)
STAGE_SECONDS = Histogram(
    "triage_stage_duration_seconds",
    "Stages of a ticket's journey: queue, language, engine, checks, record.",
    ["stage"],
    buckets=SECONDS,
)
TOKENS = Counter("triage_tokens", "Tokens, by kind: prompt, cached (of those), output.", ["kind"])
CHECKS_FAILED = Counter("triage_checks_failed", "Checks that an output failed.", ["check"])
WRITEBACKS = Counter(
    "triage_writeback",
    "Tries to write a reply back, by outcome: done, skipped, put off, failed.",
    ["source", "outcome"],
)
ENGINE_UP = Gauge("triage_engine_up", "1 while the engine can answer, NaN where there is none yet.")
ENGINE_UP.set(math.nan)
ENGINE_RUNNING = Gauge(
    "triage_engine_running_sequences", "Tickets that are with the engine now, waiting included."
)
ENGINE_RESTARTS = Counter(
    "triage_engine_restarts", "Times a dead or hanging engine was started again."
)


def serve(host: str, port: int) -> None:
    """Answer `/metrics` over HTTP in a thread, everything included that vLLM counts.

    On port 0, or where the port is taken, nothing is served: tickets matter more.
    """
    if port == 0:
        return
    try:
        prometheus_client.start_http_server(port, addr=host)
    except OSError as error:
        log.warning(
            "metrics_not_served",
            address=f"{host}:{port}",
            error=error.strerror,
            fix="set TRIAGE_METRICS_PORT, 0 for none",
        )


def page() -> bytes:
    """What this process has counted, as text for Prometheus."""
    return prometheus_client.generate_latest()


CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
