"""What happens in a watch, for whoever shows it, counts it or logs it."""

from __future__ import annotations

from typing import Literal

import attrs

from batchfsm.errors import BatchfsmError
from batchfsm.finding import Finding
from batchfsm.monitor import HookError
from batchfsm.route import Transition
from batchfsm.snapshot import Snapshot


@attrs.frozen(kw_only=True)
class PollSucceeded:
    """A look that succeeded, and what the monitor made of it."""

    batch_id: str
    """Whose it is."""

    snapshot: Snapshot
    """What was seen."""

    transitions: tuple[Transition, ...]
    """What it brought; their hooks have run."""

    findings: tuple[Finding, ...]
    """What is new: findings of rules that the look before did not breach."""


@attrs.frozen(kw_only=True)
class PollFailed:
    """A look that failed, and says nothing of the batch."""

    batch_id: str | None
    """Whose it is; None if it was the list."""

    kind: Literal["transient", "gone", "fatal"]
    """Whether another look may do better: `transient`, perhaps; `gone`, if it is not the third; `fatal`, never."""

    reason: str
    """What happened, in a few words; never a body or a header."""


@attrs.frozen(kw_only=True)
class BatchDropped:
    """A batch that is not watched any more, though it has not ended."""

    batch_id: str | None
    """Whose it is; None if it was the list."""

    error: BatchfsmError
    """Why: a `WatchError`, or an `IllegalTransitionError` if the monitor raises those."""


@attrs.frozen(kw_only=True)
class Stalled:
    """A batch that stands still: it may be stuck for ever, and is watched on all the same."""

    batch_id: str
    """Whose it is."""

    status: str | None
    """Its known status; None if no look has ever succeeded."""

    since: float
    """When a field last changed, as far as was seen; Unix seconds."""

    is_overdue: bool
    """True if it is T207: still open more than a day after its deadline."""


@attrs.frozen(kw_only=True)
class HooksFailed:
    """Hooks that raised; they stay pending, and are tried again."""

    error: HookError
    """What they raised."""


Event = PollSucceeded | PollFailed | BatchDropped | Stalled | HooksFailed
"""What `on_event` is called with."""
