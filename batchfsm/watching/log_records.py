"""Records for `logging`: one word with fields beside it; never a body, metadata, a header or a key."""

from __future__ import annotations

from collections.abc import Iterator
from logging import DEBUG, ERROR, INFO, WARNING, NullHandler, getLogger
from typing import Any, Final

from batchfsm.watching.events import (
    BatchDropped,
    Event,
    HooksDead,
    HooksFailed,
    ListProblem,
    PollFailed,
    PollSucceeded,
    ResultsPending,
)

logger: Final = getLogger("batchfsm.watching")

# Without a handler Python itself would print the warnings of a library.
getLogger("batchfsm").addHandler(NullHandler())

LogRecord = tuple[int, str, str | None, dict[str, Any]]
"""Level, word, batch id and fields of a record."""


def log_event(event: Event) -> None:
    """Log an event; its fields are attributes of the records, where JSON formatters find them."""
    for level, word, batch_id, fields in _records(event):
        if logger.isEnabledFor(level):
            text = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
            extra = {"event": word, "batch_id": batch_id, **fields}
            logger.log(level, "%s %s %s", word, batch_id or "-", text, extra=extra)


def _records(event: Event) -> Iterator[LogRecord]:
    if isinstance(event, PollSucceeded):
        yield from _records_of_poll(event)
    elif isinstance(event, PollFailed):
        fields = {"kind": event.kind, "reason": event.reason, "count": event.count}
        yield WARNING, "poll_failed", event.batch_id, fields
    elif isinstance(event, ListProblem):
        yield WARNING, "list_problem", None, {"kind": event.kind, "reason": event.reason}
    elif isinstance(event, ResultsPending):
        yield INFO, "results_pending", event.batch_id, {"status": event.snapshot.status, "until": event.until}
    elif isinstance(event, BatchDropped):
        fields = {"error": type(event.error).__name__, "reason": getattr(event.error, "reason", None)}
        yield WARNING, "dropped", event.batch_id, fields
    elif isinstance(event, HooksFailed):
        for error in event.error.exceptions:
            # The hook and the class of the exception; its text is the hook's own.
            note = next((note for note in getattr(error, "__notes__", ()) if note.startswith("batchfsm: ")), None)
            yield ERROR, "hook_failed", None, {"error": type(error).__name__, "note": note}
    elif isinstance(event, HooksDead):
        yield WARNING, "hooks_dead", None, {"count": event.count}
    else:
        fields = {"status": event.status, "is_overdue": event.is_overdue, "last_failure": event.last_failure}
        yield WARNING, "stalled", event.batch_id, fields


def _records_of_poll(event: PollSucceeded) -> Iterator[LogRecord]:
    for each in event.transitions:
        lag_s = None if each.at is None or each.observed_at is None else each.observed_at - each.at
        fields = {"source": each.source, "target": each.target, "evidence": each.evidence, "key": each.key}
        yield INFO, "transition", event.batch_id, fields | {"lag_s": lag_s}
    for finding in event.findings:
        # Without its message, which may quote a value.
        fields = {"rule": finding.rule, "rule_name": finding.name, "severity": finding.severity}
        yield WARNING, "finding", event.batch_id, fields
    if not event.transitions:
        yield DEBUG, "unchanged", event.batch_id, {"status": event.snapshot.status}
