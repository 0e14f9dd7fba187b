"""The open batches of a watch and the times of their next requests; no I/O, and no clock but the times it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Final, Literal

import attrs

from batchfsm.snapshot import COUNT_FIELDS, ROW_FIELDS, SnapshotRow
from batchfsm.topology import Topology
from batchfsm.watching.responses import Transient
from batchfsm.watching.schedule import Schedule
from batchfsm.wire import ParsedRow

DEADLINE_S: Final = 1.0
"""Seconds after its deadline at which a batch is retrieved: by then the server may have noticed."""

_STATUS: Final = ROW_FIELDS.index("status")
_TOTAL: Final = len(ROW_FIELDS) + COUNT_FIELDS.index("total")
_LASTING: Final = tuple(
    number for number, name in enumerate(ROW_FIELDS) if name.endswith(("_at", "_file_id")) and name != "expires_at"
)
"""Places in a row of the timestamps and file ids, which never change once they are set."""

RowAge = Literal["news", "same", "behind"]


@attrs.define(eq=False, kw_only=True)
class WatchedBatch:
    """One open batch; all times are Unix seconds by the watcher's clock, except the deadline."""

    batch_id: str
    status: str | None = None
    """Its known status; None before a request has succeeded."""
    entered_at: float = 0.0
    """When it entered that status: by its timestamp, or when it was first seen there."""
    born_at: float = 0.0
    """When it was created, or came under watch."""
    row: SnapshotRow | None = None
    """Its last live row, to notice that a field has changed."""
    is_row_retrieved: bool = False
    """True if that row came from a retrieve and not from a list."""
    changed_at: float = 0.0
    """When a field was last seen to change."""
    deadline: int | None = None
    """When it expires; by the server's clock."""
    polled_at: float | None = None
    """When a request last showed it, or failed to."""
    retrieved_at: float = -inf
    """When the last successful retrieve of it was started."""
    asked_at: float = -inf
    """When the last retrieve of it was started."""
    is_requested: bool = False
    """True while a retrieve of it is under way."""
    has_hint: bool = False
    """True if a webhook named it and no retrieve has succeeded that was started later."""
    is_hint_requested: bool = False
    """True while a retrieve for that hint is under way: a hint that comes meanwhile is a new one."""
    failures: int = 0
    """Number of failed requests in a row."""
    missing: int = 0
    """Number of 404 in a row."""
    held_until: float = -inf
    """Earliest time of the next request."""
    hinted_at: float = -inf
    """When a webhook last named it."""
    delay_s: float = 0.0
    """Delay after the last request."""
    rules: frozenset[str] = frozenset()
    """Rules that its last snapshot breached."""
    stalled_statuses: set[str | None] = attrs.field(factory=set)
    """Statuses in which it was reported as stalled."""
    last_failure: str | None = None
    """Reason of the last request, if it failed."""
    final_row: ParsedRow | None = None
    """The last snapshot of its end, held back because results are pending."""
    final_since: float = inf
    """When its end was first seen."""

    def due_by_itself_at(self, stall_bound_s: float, results_wait_s: float) -> float:
        """Return when it must be retrieved by itself: hint, deadline passed, stalled, or results pending."""
        if self.has_hint:
            return -inf
        reasons = [self.changed_at + stall_bound_s]
        if self.deadline is not None:
            reasons.append(self.deadline + DEADLINE_S)
        due_at = min((reason for reason in reasons if reason > self.retrieved_at), default=inf)
        if self.final_row is not None:
            due_at = min(due_at, self.asked_at + self.delay_s, self.final_since + results_wait_s)
        return due_at

    def age_of(self, row: SnapshotRow, topology: Topology) -> RowAge:
        """
        Compare a row of a list with the known one.

        Returns:
            `news` if it shows anything that is not known, `behind` if it proves to be
            an earlier view, else `same`.
        """
        known = self.row
        if known is None:
            return "news"
        if row == known:
            return "same"
        counts = tuple(zip(row[_TOTAL:], known[_TOTAL:], strict=True))
        (total, known_total), *done = counts
        if any(row[place] is not None and row[place] != known[place] for place in _LASTING):
            return "news"
        if total not in (None, 0, known_total) or any(new is not None and new > (old or 0) for new, old in done):
            return "news"
        status, known_status = row[_STATUS], known[_STATUS]
        if status != known_status:
            return "behind" if known_status in topology.reach.get(status, ()) else "news"
        # Fields that a list leaves out prove nothing; only a lower count does.
        return "behind" if any(new is not None and new < (old or 0) for new, old in counts) else "same"


@attrs.frozen
class PollPlan:
    """The requests that are due."""

    ids: tuple[str, ...] = ()
    """Batches to retrieve by themselves; for a list poll before the list is read. A source is asked for all of them."""
    by_list: bool = False
    """True if the list is to be read."""


class Scheduler:
    """The open batches and the times at which they are due."""

    def __init__(
        self,
        ids: Iterable[str],
        schedule: Schedule,
        *,
        discovers: bool,
        has_source: bool,
        stuck_after_s: Mapping[str, int],
        results_wait_s: float,
        now: float,
    ) -> None:
        """
        Open some batches, each due at once.

        Args:
            ids: The batches.
            schedule: The delays.
            discovers: True if list polls add batches, so that the list is always read.
            has_source: True if a list poll is one call of a source, for all open batches, unless it discovers.
            stuck_after_s: The dialect's bounds of T208.
            results_wait_s: Longest wait for the results of a batch that has ended.
            now: Unix seconds.
        """
        self.open: dict[str, WatchedBatch] = {}
        self.ended: dict[str, float] = {}
        """Creation times of batches that ended; only with discovery, and only the newest."""
        self.dropped: set[str] = set()
        """Batches that cannot be watched."""
        self.discovers = discovers
        self.uses_list = True
        """False once the list has proved to be stale or unavailable: then open batches are retrieved one by one."""
        self.may_discover = discovers
        """True unless the last list poll read the whole list and no batch was open."""
        self._schedule, self._has_source = schedule, has_source
        self._stuck_after_s, self._results_wait_s = stuck_after_s, results_wait_s
        self._list_at = now
        self._list_failures = 0
        self._list_cost: float = inf
        self._paused_until = -inf
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
        if self.discovers:
            self.ended[batch_id] = watched.born_at

    def drop(self, batch_id: str) -> None:
        """Close a batch that cannot be watched."""
        del self.open[batch_id]
        self.dropped.add(batch_id)

    @property
    def polls_list(self) -> bool:
        """True if open batches are read together: from a number of them on, and then while it takes fewer requests."""
        number = len(self.open)
        return self.uses_list and (self.discovers or number >= self._schedule.sweep_from or number > self._list_cost)

    def is_paused(self, now: float) -> bool:
        """Return True while a rate limit forbids any request."""
        return self._paused_until > now

    def plan(self, now: float) -> PollPlan:
        """Return the requests that are due; nothing while a rate limit lasts."""
        if self.is_paused(now):
            return PollPlan()
        due, polls_list = self.due(now), self.polls_list
        # Deadlines and hints come in crowds, too: the list may end most of them at once.
        if self._list_due_at() <= now or (polls_list and len(due) >= self._schedule.sweep_from):
            if self._has_source and not self.discovers:
                return PollPlan(self.ready(now), by_list=True)
            return PollPlan(self._next_in_turn(now) if polls_list else due, by_list=True)
        return PollPlan(due)

    def due(self, now: float) -> tuple[str, ...]:
        """Return the batches that must be retrieved by themselves now."""
        polls_list = self.polls_list
        return tuple(
            batch_id for batch_id, each in self.open.items() if self._due_at(each, polls_list=polls_list) <= now
        )

    def ready(self, now: float) -> tuple[str, ...]:
        """Return the batches for which no request is under way or held back after a failure."""
        return tuple(
            batch_id for batch_id, each in self.open.items() if each.held_until <= now and not each.is_requested
        )

    def next_at(self) -> float:
        """Return when a request is due."""
        polls_list = self.polls_list
        due_at = min((self._due_at(each, polls_list=polls_list) for each in self.open.values()), default=inf)
        return max(min(due_at, self._list_due_at()), self._paused_until)

    def record_start(self, batch_id: str, now: float) -> None:
        """Record that a retrieve of a batch is started."""
        watched = self.open[batch_id]
        watched.is_requested, watched.asked_at = True, now
        watched.is_hint_requested, watched.has_hint = watched.has_hint, False

    def record_response(self, batch_id: str, *, has_answer: bool) -> None:
        """Record that a retrieve of a batch has returned; a hint remains if it failed."""
        watched = self.open[batch_id]
        watched.is_requested = False
        watched.has_hint |= watched.is_hint_requested and not has_answer
        watched.is_hint_requested = False

    def record_success(self, batch_id: str, now: float, *, is_retrieved: bool) -> None:
        """Record that a request showed a batch."""
        watched = self.open[batch_id]
        watched.failures = watched.missing = 0
        watched.last_failure = None
        if is_retrieved:
            watched.retrieved_at = watched.asked_at
        self._record_poll(watched, now)

    def record_failure(self, batch_id: str, now: float, failure: Transient | None) -> None:
        """Record that a retrieve failed; None for a 404."""
        watched = self.open[batch_id]
        watched.failures += 1
        watched.missing = watched.missing + 1 if failure is None else 0
        self._record_poll(watched, now)
        watched.held_until = now + watched.delay_s
        if failure is not None and failure.retry_after_s is not None:
            watched.held_until = max(watched.held_until, now + failure.retry_after_s)
        if failure is not None and failure.is_throttled:
            self._paused_until = max(self._paused_until, watched.held_until)

    def record_list(self, now: float, failure: Transient | None, requests: int, *, is_whole: bool) -> None:
        """Record that the list was read, with the number of requests of the poll; or that it could not be."""
        if failure is None:
            self._list_cost = requests
        self._list_failures = self._list_failures + 1 if failure is not None else 0
        self.may_discover = self.discovers and (not is_whole or bool(self.open))
        # The youngest decides: the end of each is then noticed within a share of its age. The time in status
        # cannot be used: among a hundred batches one has always just changed.
        ages = [now - each.born_at for each in self.open.values()]
        if len(self.open) < self._schedule.sweep_from:
            ages = [now - max(each.entered_at, each.hinted_at) for each in self.open.values()]
        wait_s = self._schedule.delay_s(min(ages, default=0.0), failures=self._list_failures)
        if failure is not None and failure.retry_after_s is not None:
            wait_s = max(wait_s, failure.retry_after_s)
        self._list_at = now + wait_s
        if failure is not None and failure.is_throttled:
            self._paused_until = max(self._paused_until, self._list_at)

    def give_up_list(self) -> None:
        """Retrieve open batches one by one from now on, all of them at once: the list may have hidden changes."""
        self.uses_list = False
        for watched in self.open.values():
            watched.polled_at = None

    def hint(self, batch_id: str, now: float) -> None:
        """Make a batch due now; an unknown id may be a new batch, which the list would show."""
        if (watched := self.open.get(batch_id)) is not None:
            watched.hinted_at, watched.has_hint = now, True
        elif self.discovers:
            self._list_at = min(self._list_at, now)

    def stalled(self, now: float) -> list[WatchedBatch]:
        """Return the batches that have begun to stall; each once for each status, after a retrieve or the attempt."""
        found = []
        for each in self.open.values():
            stalled_at = each.changed_at + self._stall_bound_s(each)
            if now >= stalled_at <= each.asked_at and each.status not in each.stalled_statuses:
                each.stalled_statuses.add(each.status)
                found.append(each)
        return found

    def _record_poll(self, watched: WatchedBatch, now: float) -> None:
        watched.polled_at = now
        since = max(watched.entered_at, watched.hinted_at)
        if watched.final_row is not None:
            since = watched.final_since
        watched.delay_s = self._schedule.delay_s(now - since, failures=watched.failures)

    def _stall_bound_s(self, watched: WatchedBatch) -> float:
        if watched.status in watched.stalled_statuses:
            return inf
        return self._schedule.stall_bound_s(watched.status, self._stuck_after_s)

    def _due_at(self, watched: WatchedBatch, *, polls_list: bool) -> float:
        """Return when one batch is due to be retrieved by itself."""
        if watched.is_requested:
            return inf
        due_at = watched.due_by_itself_at(self._stall_bound_s(watched), self._results_wait_s)
        if not polls_list:
            due_at = min(due_at, -inf if watched.polled_at is None else watched.polled_at + watched.delay_s)
        return max(due_at, watched.held_until)

    def _list_due_at(self) -> float:
        if self.discovers:
            return self._list_at
        if not self.polls_list:
            return inf
        # A list poll without a batch that may be read would be a request for nothing.
        return max(self._list_at, min((each.held_until for each in self.open.values()), default=-inf))

    def _next_in_turn(self, now: float) -> tuple[str, ...]:
        """Return the open batch whose last retrieve was longest ago, as a tuple; empty if none is ready."""
        ready = [self.open[batch_id] for batch_id in self.ready(now)]
        return (min(ready, key=lambda each: each.asked_at).batch_id,) if ready else ()
