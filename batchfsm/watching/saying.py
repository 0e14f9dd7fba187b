"""What watching writes to `logging`: one word, and the fields beside it; never a body, metadata, a header or a key."""

from __future__ import annotations

from logging import DEBUG, ERROR, INFO, WARNING, NullHandler, getLogger
from typing import Final

from batchfsm.monitor import HookError, Observation
from batchfsm.snapshot import Snapshot

logger: Final = getLogger("batchfsm.watching")

# A library speaks only to who listens: without a handler Python itself would print warnings.
getLogger("batchfsm").addHandler(NullHandler())


def say(level: int, event: str, batch_id: str | None, **fields: object) -> None:
    """Write one record; its fields are attributes of it, so that any JSON formatter takes them along."""
    if logger.isEnabledFor(level):
        text = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        extra = {"event": event, "batch_id": batch_id, **fields}
        logger.log(level, "%s %s %s", event, batch_id or "-", text, extra=extra)


def say_observed(batch_id: str, snapshot: Snapshot, observation: Observation, known: frozenset[str]) -> frozenset[str]:
    """
    Say what a snapshot brought.

    Args:
        batch_id: Whose it is.
        snapshot: What was seen.
        observation: What the monitor made of it.
        known: The rules that the snapshot before breached: they are not said again.

    Returns:
        The rules that it breaches.
    """
    for transition in observation.transitions:
        at, seen_at = transition.at, transition.observed_at
        lag_s = None if at is None or seen_at is None else seen_at - at
        say(
            INFO, "transition", batch_id, source=transition.source, target=transition.target,
            evidence=transition.evidence, key=transition.key, lag_s=lag_s,
        )  # fmt: skip
    for finding in observation.findings:
        if finding.rule not in known:
            # Not its message: that may quote a value.
            say(WARNING, "finding", batch_id, rule=finding.rule, rule_name=finding.name, severity=finding.severity)
    if not observation.transitions:
        say(DEBUG, "unchanged", batch_id, status=snapshot.status)
    return frozenset(finding.rule for finding in observation.findings)


def say_failed(batch_id: str | None, reason: str, *, kind: str) -> None:
    """Say that a look failed; None: at the list."""
    say(WARNING, "look_failed", batch_id, kind=kind, reason=reason)


def say_dropped(batch_id: str | None, error: Exception) -> None:
    """Say that a batch is not watched any more."""
    say(WARNING, "dropped", batch_id, error=type(error).__name__, reason=getattr(error, "reason", None))


def say_stalled(batch_id: str, status: str | None, *, is_overdue: bool) -> None:
    """Say that a batch stands still."""
    say(WARNING, "stalled", batch_id, status=status, is_overdue=is_overdue)


def say_hooks(error: HookError) -> None:
    """Say that hooks raised: which, and what class; their texts are theirs."""
    for each in error.exceptions:
        note = next((note for note in getattr(each, "__notes__", ()) if note.startswith("batchfsm: ")), "")
        say(ERROR, "hook_failed", None, error=type(each).__name__, note=note)
