"""What the answer for one batch means: an observation, a failed look, or its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from batchfsm.errors import SnapshotError
from batchfsm.monitor import HookError, IllegalTransitionError, Observation, TrackedBatch
from batchfsm.snapshot import Snapshot, to_row
from batchfsm.watching.effects import CallBack, Commands, ObserveSnapshot, WatchOptions, YieldTransition
from batchfsm.watching.errors import WatchError
from batchfsm.watching.events import BatchDropped, Event, HooksFailed, PollFailed, PollSucceeded, Stalled
from batchfsm.watching.log_records import say
from batchfsm.watching.responses import Fatal, Gone, Transient
from batchfsm.watching.scheduler import Scheduler, WatchedBatch
from batchfsm.watching.snapshot_log import SnapshotLog
from batchfsm.wire import ParsedRow, reader

GONE_AFTER: Final = 3
"""So many 404 in a row, and a batch is gone; one alone may be a replica that lags behind."""


class ResponseHandler:
    """Takes in answers, one batch at a time, and keeps what went wrong until the others are done."""

    def __init__(self, setting: WatchOptions, agenda: Scheduler, log: SnapshotLog, now: Callable[[], float]) -> None:
        """Take together what an answer has to be told to."""
        self._set, self._agenda, self._log, self._now = setting, agenda, log, now
        dialect = setting.monitor.dialect
        self._read, self._terminal = reader(dialect).read_row, dialect.lifecycle.terminal
        self._stamps = {state.name: state.stamp for state in dialect.lifecycle.states}
        self.errors: list[Exception] = []
        """What is raised at the end, where nobody is told of it at once."""

    def take(self, batch_id: str, answer: Any, read: ParsedRow | None = None) -> Commands:
        """Take in what one open batch answered; `read`: the answer as `read` returned it, if it was read already."""
        if isinstance(answer, Fatal):
            yield from self.tell(PollFailed(batch_id=batch_id, kind="fatal", reason=answer.reason))
            yield from self._drop(batch_id, WatchError(batch_id, "fatal", answer.reason))
            return
        if isinstance(answer, Gone):
            yield from self.tell(PollFailed(batch_id=batch_id, kind="gone", reason=answer.reason))
            self._agenda.failed(batch_id, self._now(), None)
            if self._agenda.open[batch_id].missing >= GONE_AFTER:
                yield from self._drop(batch_id, WatchError(batch_id, "gone", answer.reason))
            return
        row = read or (answer if isinstance(answer, Transient) else self.read(batch_id, answer))
        if isinstance(row, Transient):
            yield from self.tell(PollFailed(batch_id=batch_id, kind="transient", reason=row.reason))
            self._agenda.failed(batch_id, self._now(), row)
        else:
            self._log.write(answer if self._set.is_wire else None, row.snapshot)
            yield from self._see(batch_id, row)

    def read(self, batch_id: str, answer: Any) -> ParsedRow | Transient:
        """Read an answer; what is no batch, or another one, is no observation of this one."""
        seen_at = getattr(answer, "observed_at", None)
        try:
            row = self._read(answer, self._set.clock() if seen_at is None else None)
        except SnapshotError:
            return Transient("an answer that is no batch")
        if row.id != batch_id:
            named = row.snapshot.is_named
            return Transient("an answer for another batch" if named else "an answer without an id")
        return row

    def is_open(self, batch_id: str) -> bool:
        """Tell whether the monitor knows a batch, and not its end: it may have ended while nobody watched."""
        state = self._state(batch_id)
        return state is not None and not state.terminal

    def is_over(self, snapshot: Snapshot) -> bool:
        """Tell whether a snapshot's own status is final."""
        return snapshot.status in self._terminal

    def tell(self, event: Event) -> Commands:
        """Tell the log, and whoever wants to know all that happens."""
        say(event)
        if self._set.on_event is not None:
            yield CallBack(self._set.on_event, event)

    def fail(self, error: Exception) -> Commands:
        """Tell whoever is to hear of errors, or keep it for the end."""
        if self._set.on_error is None:
            self.errors.append(error)
        else:
            yield CallBack(self._set.on_error, error)

    def tell_stalled(self, watched: WatchedBatch, *, is_overdue: bool) -> Commands:
        """Tell that a batch stands still."""
        stalled = Stalled(
            batch_id=watched.batch_id, status=watched.status, since=watched.changed_at, is_overdue=is_overdue
        )
        yield from self.tell(stalled)
        if self._set.on_stalled is not None:
            yield CallBack(self._set.on_stalled, stalled)

    def _see(self, batch_id: str, row: ParsedRow) -> Commands:
        """Show a snapshot to the monitor, and hand over what it brings."""
        snapshot = row.snapshot
        try:
            observation: Observation = yield ObserveSnapshot(row)
        except HookError as error:
            yield from self.tell(HooksFailed(error=error))
            yield from self.fail(error)
            observation = error.observation or Observation((), (), "undetermined")
        except IllegalTransitionError as error:
            # Whoever asked to be told so (`on_illegal="raise"`) would be told at every look.
            yield from self._drop(batch_id, error)
            return
        state = self._state(batch_id)
        watched = self._learn(batch_id, snapshot, state)
        yield from self.tell(self._news(watched, snapshot, observation))
        if "T207" in watched.rules and not watched.is_told_overdue:
            watched.is_told_overdue = True
            yield from self.tell_stalled(watched, is_overdue=True)
        if self.is_over(snapshot) if state is None else state.terminal:
            self._agenda.end(batch_id)
        for transition in observation.transitions:
            yield YieldTransition(transition)

    def _state(self, batch_id: str) -> TrackedBatch | None:
        try:
            return self._set.monitor[batch_id]
        except KeyError:
            return None  # A hook has had the monitor forget it.

    def _news(self, watched: WatchedBatch, snapshot: Snapshot, observation: Observation) -> PollSucceeded:
        """Return what a look brought; a finding that the look before brought too is no news."""
        known, found = watched.rules, observation.findings
        watched.rules = frozenset(finding.rule for finding in found)
        return PollSucceeded(
            batch_id=watched.batch_id,
            snapshot=snapshot,
            transitions=observation.transitions,
            findings=tuple(finding for finding in found if finding.rule not in known),
        )

    def _learn(self, batch_id: str, snapshot: Snapshot, state: TrackedBatch | None) -> WatchedBatch:
        """Keep what the schedule goes by."""
        now, watched = self._now(), self._agenda.open[batch_id]
        status = snapshot.status if state is None else state.status
        if status != watched.status:
            stamp = self._stamps.get(status or "") if snapshot.status == status else None
            entered_at = None if stamp is None else getattr(snapshot, stamp)
            # A stamp ahead of our clock does not say how long ago it was.
            watched.status = status
            watched.entered_at = now if entered_at is None or entered_at > now else entered_at
        if snapshot.created_at is not None and snapshot.created_at <= now:
            watched.born_at = snapshot.created_at
        watched.deadline = watched.deadline if snapshot.expires_at is None else snapshot.expires_at
        live = snapshot if state is None or state.snapshot is None else state.snapshot
        if (row := to_row(live)) != watched.row:
            watched.row, watched.changed_at = row, now
            watched.is_told_stalled = False
        self._agenda.seen(batch_id, now)
        return watched

    def _drop(self, batch_id: str, error: WatchError | IllegalTransitionError) -> Commands:
        self._agenda.drop(batch_id)
        yield from self.tell(BatchDropped(batch_id=batch_id, error=error))
        yield from self.fail(error)

    def drop_all(self, reason: str) -> Commands:
        """Drop every open batch, and the list with them."""
        for batch_id in tuple(self._agenda.open):
            yield from self._drop(batch_id, WatchError(batch_id, "fatal", reason))
        error = WatchError(None, "fatal", reason)
        yield from self.tell(BatchDropped(batch_id=None, error=error))
        yield from self.fail(error)
