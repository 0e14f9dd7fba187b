"""Metrics of a watch for Prometheus."""

from __future__ import annotations

from typing import Any, Final

from batchfsm.errors import needs_extra
from batchfsm.watching import (
    BatchDropped,
    Event,
    HooksDead,
    HooksFailed,
    ListProblem,
    PollFailed,
    PollSucceeded,
    Stalled,
)

SPANS_S: Final = (1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400)
"""Bounds of the histogram buckets of durations: a second to a day."""

LAGS_S: Final = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
"""Bounds of the histogram buckets of lags: half a second to an hour."""


class Metrics:
    """
    Counts the events of a watch; pass it as `on_event`.

    No metric has the id of a batch as a label: each batch would be a series of its own.
    """

    def __init__(self, registry: Any = None) -> None:
        """
        Register the metrics.

        Args:
            registry: A `prometheus_client.CollectorRegistry`; by default the one that
                `prometheus_client` serves.

        Raises:
            MissingExtraError: If `prometheus_client` is not installed.
            TypeError: If `registry` has no method `register`.
            ValueError: If the registry has these metrics already.
        """
        prometheus = _prometheus()
        if registry is not None and not callable(getattr(registry, "register", None)):
            raise TypeError(f"registry is a CollectorRegistry of prometheus_client, not {registry!r}")
        where = {"registry": prometheus.REGISTRY if registry is None else registry, "namespace": "batchfsm"}
        counter, gauge, histogram = prometheus.Counter, prometheus.Gauge, prometheus.Histogram
        self._transitions = counter("transitions", "Statuses entered.", ["source", "target", "evidence"], **where)
        self._findings = counter("findings", "Findings, the first time for each batch.", ["rule", "severity"], **where)
        self._errors = counter("poll_errors", "Requests that failed.", ["kind"], **where)
        self._dropped = counter("batches_dropped", "Batches that were dropped before their end.", **where)
        self._stalls = counter("stalls", "Batches that began to stall, once for each status.", ["overdue"], **where)
        self._list_problems = counter("list_problems", "Problems of the list of batches.", ["kind"], **where)
        self._failures = counter("hook_failures", "Hooks that raised.", **where)
        self._dead = gauge("hooks_dead", "Hooks that were given up after too many tries.", **where)
        self._batches = gauge("batches", "Open batches.", ["status"], **where)
        self._looked_at = gauge("last_success_timestamp_seconds", "When a request last succeeded; Unix time.", **where)
        self._spans = histogram(
            "state_duration_seconds", "How long a batch was in a status, by its stamps.", ["status"],
            buckets=SPANS_S, **where,
        )  # fmt: skip
        self._lag = histogram(
            "detection_lag_seconds", "Time from the timestamp of a status, in whole seconds, to its observation.",
            buckets=LAGS_S, **where,
        )  # fmt: skip
        self._open: dict[str, tuple[str | None, int | None]] = {}
        """The status of each open batch, and the timestamp of that status."""

    def __call__(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, PollSucceeded):
            self._count_poll(event)
        elif isinstance(event, PollFailed):
            self._errors.labels(event.kind).inc(event.new)
        elif isinstance(event, Stalled):
            self._stalls.labels("yes" if event.is_overdue else "no").inc()
        elif isinstance(event, HooksFailed):
            self._failures.inc(len(event.error.exceptions))
        elif isinstance(event, HooksDead):
            self._dead.set(event.count)
        elif isinstance(event, ListProblem):
            self._list_problems.labels(event.kind).inc()
        elif isinstance(event, BatchDropped) and event.batch_id is not None:
            self._dropped.inc()
            self._leave_status(event.batch_id)

    def _count_poll(self, event: PollSucceeded) -> None:
        if event.snapshot.observed_at is not None:
            self._looked_at.set(event.snapshot.observed_at)
        for finding in event.findings:
            self._findings.labels(finding.rule, finding.severity).inc()
        for each in event.transitions:
            self._transitions.labels(each.source or "", each.target, each.evidence).inc()
            status, since = self._leave_status(event.batch_id)
            if status is not None and since is not None and each.at is not None:
                self._spans.labels(status).observe(each.at - since)
            if each.at is not None and each.observed_at is not None:
                self._lag.observe(max(each.observed_at - each.at, 0.0))
            if not each.terminal:
                self._open[event.batch_id] = each.target, each.at
                self._batches.labels(each.target).inc()

    def _leave_status(self, batch_id: str) -> tuple[str | None, int | None]:
        """Remove a batch from the gauge of its status; return that status and its timestamp."""
        status, since = self._open.pop(batch_id, (None, None))
        if status is not None:
            self._batches.labels(status).dec()
        return status, since


def _prometheus() -> Any:
    with needs_extra("metrics", "prometheus"):
        import prometheus_client  # noqa: PLC0415  # The one place where the extra may be missing.
    return prometheus_client
