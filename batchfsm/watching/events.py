"""Events of a watch, for views, metrics and logs."""

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
    """A batch was read, and the monitor has observed the snapshot if it shows anything new."""

    batch_id: str
    """The batch's id."""

    snapshot: Snapshot
    """The snapshot that was read."""

    transitions: tuple[Transition, ...]
    """Transitions of this snapshot; their hooks have run."""

    findings: tuple[Finding, ...]
    """Findings of rules that the batch's previous snapshot did not breach."""


@attrs.frozen(kw_only=True)
class PollFailed:
    """
    A request failed; the status of the batch is as unknown as before.

    Equal failures in a row are counted. There is an event for the 1st, 10th, 100th and so
    on, and at the end of the series one for the failures since the last event.
    """

    batch_id: str | None
    """The batch's id; None for a request of the list."""

    kind: Literal["transient", "gone", "fatal"]
    """`transient`: retried; `gone`: a 404, retried twice; `fatal`: never retried."""

    reason: str
    """The cause in a few words; never a body or a header."""

    count: int = 1
    """Number of equal failures in a row, this one included."""

    new: int = 1
    """Number of these since the previous event about them: the number to add to a counter."""


@attrs.frozen(kw_only=True)
class ListProblem:
    """The list of batches cannot be relied on."""

    kind: Literal["cut_short", "stale", "unavailable"]
    """
    `cut_short`: it may hide batches. `stale`: it was older than retrieves, and is not used for
    the state of batches any more. `unavailable`: it failed while retrieves succeeded, and is
    not used any more.
    """

    reason: str
    """One sentence that says what happened."""


@attrs.frozen(kw_only=True)
class ResultsPending:
    """A batch has ended without a file of results that its counts promise; it is retrieved again."""

    batch_id: str
    """The batch's id."""

    snapshot: Snapshot
    """The first snapshot that shows the end."""

    until: float
    """When the end is observed in any case; Unix seconds."""


@attrs.frozen(kw_only=True)
class BatchDropped:
    """A batch is not watched any more, though it has not ended."""

    batch_id: str | None
    """The batch's id; None for the list."""

    error: BatchfsmError
    """The cause: a `WatchError`, or an `IllegalTransitionError` if the monitor raises those."""


@attrs.frozen(kw_only=True)
class Stalled:
    """A batch makes no progress and may be stuck for ever; the watch goes on. Emitted once for each status."""

    batch_id: str
    """The batch's id."""

    status: str | None
    """The known status; None if no request has ever succeeded."""

    since: float
    """When a field of the batch was last seen to change; Unix seconds."""

    is_overdue: bool
    """True if the batch is still open more than a day after its deadline (T207)."""

    last_failure: str | None = None
    """The reason of the last failed request; None if the last one succeeded."""


@attrs.frozen(kw_only=True)
class HooksFailed:
    """Hooks raised; they stay pending, and are called again."""

    error: HookError
    """The exceptions of the hooks, as a group."""


@attrs.frozen(kw_only=True)
class HooksDead:
    """The number of hooks that were given up after too many tries has changed."""

    count: int
    """The number of dead hooks; in a journal those of all processes, until they are retried or dropped."""


Event = PollSucceeded | PollFailed | ListProblem | ResultsPending | BatchDropped | Stalled | HooksFailed | HooksDead
"""The argument of `on_event`."""
