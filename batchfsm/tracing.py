"""The life of a batch as a trace of OpenTelemetry, made from its stamps once it has ended."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from batchfsm.errors import needs_extra
from batchfsm.monitor import AsyncMonitor, Monitor
from batchfsm.route import Transition
from batchfsm.snapshot import Snapshot

NS: Final = 1_000_000_000
"""Nanoseconds in a second: what OpenTelemetry counts in."""


def follow(monitor: Monitor | AsyncMonitor, tracer_provider: Any = None) -> None:
    """
    Have a trace made of each batch that ends from now on.

    It is a trace of its own, whatever span is current at the time: a span for the
    batch, and in it one for each status that has a stamp, with its true times. No
    span is made for a poll.

    Args:
        monitor: What sees the batches end; a hook on every final status is registered.
        tracer_provider: Where spans go to; by default the global one.

    Raises:
        MissingExtraError: If `opentelemetry-api` is not installed.
    """
    trace, context = _opentelemetry()
    tracer = trace.get_tracer("batchfsm", tracer_provider=tracer_provider)

    def record(transition: Transition) -> None:
        life = [each for each in monitor[transition.batch_id].transitions if each.at is not None]
        if not life:
            return
        times = [(each.at or 0) * NS for each in life]
        # By its stamps: where they are out of order, the last one need not be the latest.
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
    """Return what is known of a batch, by the names of the semantic conventions where those have one."""
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
