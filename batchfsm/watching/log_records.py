"""What watching writes to `logging`: one word, and the fields beside it; never a body, metadata, a header or a key."""

from __future__ import annotations

from collections.abc import Iterator
from logging import DEBUG, ERROR, INFO, WARNING, NullHandler, getLogger
from typing import Any, Final

from batchfsm.watching.events import BatchDropped, Event, HooksFailed, PollFailed, PollSucceeded

logger: Final = getLogger("batchfsm.watching")

# A library speaks only to who listens: without a handler Python itself would print warnings.
getLogger("batchfsm").addHandler(NullHandler())


def say(event: Event) -> None:
    """Write an event; its fields are attributes of the records, so that any JSON formatter takes them along."""
    for level, word, batch_id, fields in _records(event):
        if logger.isEnabledFor(level):
            text = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
            extra = {"event": word, "batch_id": batch_id, **fields}
            logger.log(level, "%s %s %s", word, batch_id or "-", text, extra=extra)


def _records(event: Event) -> Iterator[tuple[int, str, str | None, dict[str, Any]]]:
    """Return level, word, batch and fields of each record."""
    if isinstance(event, PollSucceeded):
        yield from _looked(event)
    elif isinstance(event, PollFailed):
        yield WARNING, "look_failed", event.batch_id, {"kind": event.kind, "reason": event.reason}
    elif isinstance(event, BatchDropped):
        fields = {"error": type(event.error).__name__, "reason": getattr(event.error, "reason", None)}
        yield WARNING, "dropped", event.batch_id, fields
    elif isinstance(event, HooksFailed):
        for error in event.error.exceptions:
            # Which hook, and what class; the text of the error is the hook's own.
            note = next((note for note in getattr(error, "__notes__", ()) if note.startswith("batchfsm: ")), None)
            yield ERROR, "hook_failed", None, {"error": type(error).__name__, "note": note}
    else:
        yield WARNING, "stalled", event.batch_id, {"status": event.status, "is_overdue": event.is_overdue}


def _looked(event: PollSucceeded) -> Iterator[tuple[int, str, str | None, dict[str, Any]]]:
    for each in event.transitions:
        lag_s = None if each.at is None or each.observed_at is None else each.observed_at - each.at
        fields = {"source": each.source, "target": each.target, "evidence": each.evidence, "key": each.key}
        yield INFO, "transition", event.batch_id, fields | {"lag_s": lag_s}
    for finding in event.findings:
        # Not its message: that may quote a value.
        fields = {"rule": finding.rule, "rule_name": finding.name, "severity": finding.severity}
        yield WARNING, "finding", event.batch_id, fields
    if not event.transitions:
        yield DEBUG, "unchanged", event.batch_id, {"status": event.snapshot.status}
