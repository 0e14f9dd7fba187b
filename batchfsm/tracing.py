"""OpenTelemetry traces of batches, built from their timestamps once they have ended."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from batchfsm.errors import needs_extra
from batchfsm.monitor import AsyncMonitor, Monitor
from batchfsm.route import Transition
from batchfsm.snapshot import Snapshot

NS: Final = 1_000_000_000
"""Nanoseconds in a second, the unit of OpenTelemetry."""


def follow(monitor: Monitor | AsyncMonitor, tracer_provider: Any = None) -> None:
    """
    Record a trace of each batch that ends from now on.

    The trace has no parent, whatever span is current: a span for the batch, and in it one
    for each status with a timestamp, at its true times. Polls have no spans.

    Args:
        monitor: The monitor of the batches; a hook on every final status is registered.
        tracer_provider: The provider of the tracer; by default the global one.

    Raises:
        TypeError: If `monitor` is no monitor.
        MissingExtraError: If `opentelemetry-api` is not installed.
    """
    if not isinstance(monitor, Monitor | AsyncMonitor):
        raise TypeError(f"monitor is a Monitor or AsyncMonitor, not {monitor!r}")
    trace, context = _opentelemetry()
    tracer = trace.get_tracer("batchfsm", tracer_provider=tracer_provider)

    def record(transition: Transition) -> None:
        life = [each for each in monitor[transition.batch_id].transitions if each.at is not None]
        if not life:
            return
        times = [(each.at or 0) * NS for each in life]
        # Where timestamps are out of order, the last one is not the latest.
        born, ended = min(times), max(times)
        snapshot: Any = transition.snapshot
        root = tracer.start_span(
            f"batch_job {snapshot.endpoint or ''}".rstrip(), context.Context(), start_time=born,
            attributes=_attributes(snapshot), kind=trace.SpanKind.CLIENT,
        )  # fmt: skip
        inside = trace.set_span_in_context(root, context.Context())
        for (each, later), (start, end) in zip(pairwise(life), pairwise(times), strict=True):
            span = tracer.start_span(each.target, inside, start_time=start)
            span.end(max(start, end))
            root.add_event(later.target, {"batchfsm.evidence": later.evidence}, end)
        if transition.target in ("failed", "expired"):
            root.set_status(trace.StatusCode.ERROR, transition.target)
        root.end(ended)

    monitor.on(*monitor.dialect.lifecycle.terminal, name="batchfsm.tracing")(record)


def _attributes(snapshot: Snapshot) -> dict[str, str | int]:
    """Return the attributes of a batch's span, named by the semantic conventions where they have a name."""
    counts, usage = snapshot.request_counts, snapshot.usage or {}
    found: dict[str, Any] = {
        "batchfsm.batch.id": snapshot.id,
        "batchfsm.batch.status": snapshot.status,
        "gen_ai.request.model": snapshot.model,
        "gen_ai.usage.input_tokens": usage.get("input_tokens"),
        "gen_ai.usage.output_tokens": usage.get("output_tokens"),
    }
    if counts is not None:
        parts = {"total": counts.total, "completed": counts.completed, "failed": counts.failed}
        found |= {f"batchfsm.request_count.{name}": number for name, number in parts.items()}
    return {name: value for name, value in found.items() if isinstance(value, str | int)}


def _opentelemetry() -> tuple[Any, Any]:
    with needs_extra("tracing", "otel"):
        from opentelemetry import context, trace  # noqa: PLC0415  # The one place where the extra may be missing.
    return trace, context
