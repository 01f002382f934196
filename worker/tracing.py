"""Traces of a ticket's whole journey, by OpenTelemetry; off unless TRIAGE_OTLP_ENDPOINT is set.

The context travels in the ticket's row, not in its message: a ticket that the sweep announces
again, or that is tried again an hour later, stays in the trace of its webhook.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

TRACEPARENT = "traceparent"
"""The W3C's name for the id of a trace and of the span that goes on."""
_TRACER = trace.get_tracer("ticket-triage")


def configure(endpoint: str, *, service: str) -> None:
    """Send spans to `endpoint` (OTLP over HTTP); an empty one leaves traces off."""
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # most do not trace
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Span]:
    """One step as a span: of the trace that `parent` is in, or of the one that is open here."""
    around = propagate.extract({TRACEPARENT: parent}) if parent else context.get_current()
    with _TRACER.start_as_current_span(
        name, context=around, kind=kind, attributes=attributes,
        record_exception=False, set_status_on_exception=False,
    ) as opened:  # fmt: skip
        try:
            yield opened
        except Exception as error:  # its words may be a customer's: a trace says what kind it was
            opened.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def past(name: str, *, seconds: float, now_ns: int) -> None:
    """A span of what has just ended and was not watched: it took so many seconds until now."""
    begun = _TRACER.start_span(name, start_time=now_ns - int(seconds * 1e9))
    begun.end(now_ns)


def traceparent() -> str | None:
    """The open span as text for a row; None while traces are off."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get(TRACEPARENT)
