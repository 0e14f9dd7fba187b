"""Which batches are open, and when each is to be looked at; no I/O, and no clock but the times it is given."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

import attrs

from batchfsm.snapshot import SnapshotRow
from batchfsm.watching.responses import Transient
from batchfsm.watching.schedule import Schedule

DEADLINE_S: Final = 1.0
"""How long after its deadline a batch is looked at again: by then the server may have noticed."""


@attrs.define(eq=False, kw_only=True)
class WatchedBatch:
    """One open batch; all times are Unix seconds by the watcher's clock, but the deadline."""

    batch_id: str
    status: str | None = None
    """Its known status; None before any look has succeeded."""
    entered_at: float = 0.0
    """When it entered that status: by its stamp, or when it was first seen there."""
    born_at: float = 0.0
    """When it was created, or came under watch."""
    row: SnapshotRow | None = None
    """Its last live row, to tell whether a field has changed."""
    changed_at: float = 0.0
    """When a field last changed, as far as was seen."""
    deadline: int | None = None
    """When it expires; by the server's clock."""
    looked_at: float | None = None
    """When it was last looked at, with or without success."""
    failures: int = 0
    """How many looks in a row have failed."""
    missing: int = 0
    """How many of them, the last ones, were 404."""
    held_until: float = -inf
    """Not to be looked at before."""
    hinted_at: float = -inf
    """When a webhook last said that there is news."""
    delay_s: float = 0.0
    """How long to wait after the last look."""
    rules: frozenset[str] = frozenset()
    """Which rules its last snapshot breached."""
    is_told_stalled: bool = False
    """True if it was told that this batch stands still; it may move, and stand still again."""
    is_told_overdue: bool = False
    """True if it was told that this batch is overdue; that it stays."""

    @property
    def alarm_at(self) -> float:
        """When there is a reason of its own to look: a hint, or its deadline has passed."""
        looked_at = -inf if self.looked_at is None else self.looked_at
        alarm = inf if self.deadline is None else self.deadline + DEADLINE_S
        hint = self.hinted_at if self.hinted_at > looked_at else inf
        return min(hint, alarm if alarm > looked_at else inf)


@attrs.frozen
class PollPlan:
    """What to look at now."""

    ids: tuple[str, ...]
    """The batches to ask for."""
    is_sweep: bool
    """True if those are all open ones, by `list` where there is one."""


class Scheduler:
    """The open batches, and when each is due."""

    def __init__(self, ids: Iterable[str], schedule: Schedule, *, finds: bool, now: float) -> None:
        """
        Open some batches, each due at once.

        Args:
            ids: The batches.
            schedule: How long to wait between two looks.
            finds: True if more are found by sweeps, so that every look has to be one.
            now: Unix seconds.
        """
        self.open: dict[str, WatchedBatch] = {}
        self.ended: dict[str, float] = {}
        """When those that ended were made; only where sweeps find more, and only the newest."""
        self.dropped: set[str] = set()
        """Those that cannot be watched."""
        self._schedule, self._finds = schedule, finds
        self._sweep_at = now
        self._sweep_failures = 0
        self._sweep_cost: float = inf
        self._quiet_until = -inf
        self.may_find = finds
        """True if sweeps find more, and the last one has not said that none is open."""
        for batch_id in ids:
            self.add(batch_id, now)

    def add(self, batch_id: str, now: float) -> WatchedBatch:
        """Open a batch."""
        watched = WatchedBatch(batch_id=batch_id, entered_at=now, born_at=now, changed_at=now)
        self.open[batch_id] = watched
        return watched

    def end(self, batch_id: str) -> None:
        """Close a batch that has ended."""
        watched = self.open.pop(batch_id)
        if self._finds:
            self.ended[batch_id] = watched.born_at

    def drop(self, batch_id: str) -> None:
        """Close a batch that cannot be watched."""
        del self.open[batch_id]
        self.dropped.add(batch_id)

    @property
    def is_sweeping(self) -> bool:
        """True if all are asked for at once: from so many on, and then for as long as it takes fewer requests."""
        number = len(self.open)
        return self._finds or number >= self._schedule.sweep_from or number > self._sweep_cost

    def plan(self, now: float) -> PollPlan:
        """Return what to look at now; nothing if none is due."""
        if self._quiet_until > now:
            return PollPlan((), is_sweep=False)
        due = tuple(batch_id for batch_id, each in self.open.items() if self._due_at(each) <= now)
        # Deadlines and hints come in crowds, too.
        if self.is_sweeping and (self._next_sweep() <= now or len(due) >= self._schedule.sweep_from):
            due = tuple(batch_id for batch_id, each in self.open.items() if each.held_until <= now)
            return PollPlan(due, is_sweep=True)
        return PollPlan(due, is_sweep=False)

    def next_at(self) -> float:
        """Return when something is due."""
        due_at = min(map(self._due_at, self.open.values()), default=inf)
        if self.is_sweeping:
            due_at = min(due_at, self._next_sweep())
        return max(due_at, self._quiet_until)

    def seen(self, batch_id: str, now: float) -> None:
        """Note that a look has succeeded; `learn` comes first."""
        watched = self.open[batch_id]
        watched.failures = watched.missing = 0
        self._look(watched, now)

    def failed(self, batch_id: str, now: float, answer: Transient | None) -> None:
        """Note that a look has failed; None: it was a 404."""
        watched = self.open[batch_id]
        watched.failures += 1
        watched.missing = watched.missing + 1 if answer is None else 0
        self._look(watched, now)
        watched.held_until = now + watched.delay_s
        if answer is not None and answer.retry_after_s is not None:
            watched.held_until = max(watched.held_until, now + answer.retry_after_s)
            self._hush(answer, now)

    def swept(self, now: float, refusal: Transient | None, requests: int) -> None:
        """Note that a sweep has succeeded, and how many requests it took; or why not."""
        if refusal is None:
            self._sweep_cost = requests
        self._sweep_failures = self._sweep_failures + 1 if refusal is not None else 0
        self.may_find = self._finds and (refusal is not None or bool(self.open))
        # The youngest decides: the end of each is then noticed within a share of its age. Their statuses would
        # have it that something among a hundred has always just changed.
        ages = [now - each.born_at for each in self.open.values()]
        if len(self.open) < self._schedule.sweep_from:
            ages = [now - max(each.entered_at, each.hinted_at) for each in self.open.values()]
        wait_s = self._schedule.delay_s(min(ages, default=0.0), failures=self._sweep_failures)
        if refusal is not None and refusal.retry_after_s is not None:
            wait_s = max(wait_s, refusal.retry_after_s)
            self._hush(refusal, now)
        self._sweep_at = now + wait_s

    def hint(self, batch_id: str, now: float) -> None:
        """Have a batch looked at now; one that nobody knows may be a new one."""
        if (watched := self.open.get(batch_id)) is not None:
            watched.hinted_at = now
        elif self._finds:
            self._sweep_at = min(self._sweep_at, now)

    def stalled(self, now: float) -> list[WatchedBatch]:
        """Return the batches that have begun to stand still; each once, until it moves."""
        found = [
            each
            for each in self.open.values()
            if not each.is_told_stalled and now - each.changed_at >= self._schedule.stalled_after_s
        ]
        for each in found:
            each.is_told_stalled = True
        return found

    def _look(self, watched: WatchedBatch, now: float) -> None:
        watched.looked_at = now
        age_s = now - max(watched.entered_at, watched.hinted_at)
        watched.delay_s = self._schedule.delay_s(age_s, failures=watched.failures)

    def _hush(self, answer: Transient, now: float) -> None:
        if answer.is_throttled:
            self._quiet_until = max(self._quiet_until, now + (answer.retry_after_s or 0.0))

    def _due_at(self, watched: WatchedBatch) -> float:
        """Return when one batch is due by itself."""
        own = inf if self.is_sweeping else -inf if watched.looked_at is None else watched.looked_at + watched.delay_s
        return max(min(own, watched.alarm_at), watched.held_until)

    def _next_sweep(self) -> float:
        # Batches whose looks have failed wait for themselves; a sweep for nobody would be a request for nothing.
        if self._finds:
            return self._sweep_at
        return max(self._sweep_at, min((each.held_until for each in self.open.values()), default=-inf))
