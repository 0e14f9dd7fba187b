"""Handling of responses: observe a snapshot, count a failure, end or drop a batch, and report all of it as events."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, Literal

import attrs

from batchfsm.errors import SnapshotError
from batchfsm.monitor import HookError, IllegalTransitionError, Observation, TrackedBatch
from batchfsm.snapshot import Snapshot, to_row
from batchfsm.topology import topology
from batchfsm.watching.effects import CallBack, Effect, Effects, ObserveSnapshot, WatchOptions, YieldTransition
from batchfsm.watching.errors import WatchError
from batchfsm.watching.events import (
    BatchDropped,
    Event,
    HooksFailed,
    PollFailed,
    PollSucceeded,
    ResultsPending,
    Stalled,
)
from batchfsm.watching.log_records import log_event
from batchfsm.watching.pagination import OVERLAP_S, ListedBatch
from batchfsm.watching.responses import Fatal, Gone, JSONReply, Transient, error_body
from batchfsm.watching.scheduler import Scheduler, WatchedBatch
from batchfsm.watching.server_clock import ServerClock
from batchfsm.watching.snapshot_log import SnapshotLog
from batchfsm.wire import ParsedRow, reader

GONE_AFTER: Final = 3
"""Number of 404 in a row after which a batch is gone; one alone may come from a replica that lags behind."""

_COUNTS_EMITTED: Final = frozenset(10**power for power in range(10))

FailureKind = Literal["transient", "gone", "fatal"]


class ResponseHandler:
    """Handles the responses of a watch, and keeps the errors that are raised at its end."""

    def __init__(self, options: WatchOptions, scheduler: Scheduler, log: SnapshotLog, now: Callable[[], float]) -> None:
        self._options, self._scheduler, self._log, self._now = options, scheduler, log, now
        dialect = options.monitor.dialect
        self._parse, self._terminal = reader(dialect).read_row, dialect.lifecycle.terminal
        self._topology = topology(dialect.lifecycle)
        self._stamps = {state.name: state.stamp for state in dialect.lifecycle.states}
        self._server_clock = ServerClock(options.clock)
        self._failures: dict[str | None, _FailureRun] = {}
        self.errors: list[Exception] = []
        """Errors to raise at the end; empty if `on_error` takes them."""
        self.is_list_behind = False
        """True if the list that is being read has shown an earlier view of a batch than a retrieve before it."""
        self.just_ended: dict[str, WatchedBatch] = {}
        """Batches that a retrieve has ended since the last list, to compare them with the next one."""

    # ---------------------------------------------------------------- responses

    def handle(self, batch_id: str, response: Any) -> Effects:
        """Handle the response to a request for one open batch."""
        if isinstance(response, Fatal):
            yield from self.emit_failure(batch_id, "fatal", response.reason)
            yield from self._drop(batch_id, WatchError(batch_id, "fatal", response.reason))
            return
        if isinstance(response, Gone):
            yield from self.emit_failure(batch_id, "gone", response.reason)
            self._scheduler.record_failure(batch_id, self._now(), None)
            if self._scheduler.open[batch_id].missing >= GONE_AFTER:
                yield from self._drop(batch_id, WatchError(batch_id, "gone", response.reason))
            return
        parsed = response if isinstance(response, Transient) else self._read(batch_id, response)
        if isinstance(parsed, Transient):
            yield from self.emit_failure(batch_id, "transient", parsed.reason)
            self._scheduler.record_failure(batch_id, self._now(), parsed)
        else:
            self._write_log(response, parsed)
            yield from self._take_snapshot(batch_id, parsed, is_retrieved=True)

    def handle_listed(self, listed: ListedBatch) -> Generator[Effect, Any, bool]:
        """Handle the row of a list for an open batch; return False if it cannot be used."""
        batch_id = listed.batch_id
        reply = listed.response
        parsed = self._read(batch_id, reply)
        if isinstance(parsed, Transient):
            return False
        self._write_log(reply, parsed)
        watched = self._scheduler.open[batch_id]
        age = watched.age_of(parsed.row, self._topology)
        if watched.final_row is not None and parsed.row == watched.final_row.row:
            age = "same"
        if age == "news":
            yield from self._take_snapshot(batch_id, parsed, is_retrieved=False)
        elif age == "same":
            self._scheduler.record_success(batch_id, self._now(), is_retrieved=False)
            yield from self._emit_success(watched, parsed.snapshot, Observation((), (), "consistent"), is_judged=False)
        elif watched.is_row_retrieved:
            self.is_list_behind = True
        return True

    def compare_ended(self, listed: ListedBatch) -> None:
        """Compare the row of a list with a batch that a retrieve has just ended."""
        parsed = self._read(listed.batch_id, listed.response)
        watched = self.just_ended[listed.batch_id]
        if isinstance(parsed, ParsedRow) and watched.age_of(parsed.row, self._topology) == "behind":
            self.is_list_behind = True

    def listed_status(self, listed: ListedBatch) -> str | None:
        """Return the status in the row of a list; None if the row cannot be read."""
        parsed = self._read(listed.batch_id, listed.response)
        return parsed.snapshot.status if isinstance(parsed, ParsedRow) else None

    def is_over(self, status: str) -> bool:
        """Return True if a status is final."""
        return status in self._terminal

    def _read(self, batch_id: str, response: Any) -> ParsedRow | Transient:
        """Parse a response; an object that is no batch, or another batch, is a transient failure."""
        content, server_time = response, None
        if isinstance(response, JSONReply):
            content, server_time = response.content, response.server_time
        if (failure := error_body(content)) is not None:
            return failure
        has_time = getattr(content, "observed_at", None) is not None
        try:
            row = self._parse(content, None if has_time else self._server_clock.now(server_time))
            if not has_time and self._server_clock.learn(row.row, server_time):
                row = self._parse(content, self._server_clock.now(server_time))
        except SnapshotError:
            return Transient("an answer that is no batch")
        if row.id != batch_id:
            named = row.snapshot.is_named
            return Transient("an answer for another batch" if named else "an answer without an id")
        return row

    def _write_log(self, response: Any, parsed: ParsedRow) -> None:
        content = response.content if isinstance(response, JSONReply) else response
        self._log.write(None if self._options.has_source else content, parsed.snapshot)

    # ---------------------------------------------------------------- events

    def emit(self, event: Event) -> Effects:
        """Log an event and call `on_event`."""
        log_event(event)
        if self._options.on_event is not None:
            yield CallBack(self._options.on_event, event)

    def emit_failure(self, batch_id: str | None, kind: FailureKind, reason: str) -> Effects:
        """Count a failed request; emit an event for the 1st, 10th, 100th alike in a row, and so on."""
        if (watched := self._scheduler.open.get(batch_id or "")) is not None:
            watched.last_failure = reason
        run = self._failures.get(batch_id)
        if run is None or (run.kind, run.reason) != (kind, reason):
            yield from self.end_failures(batch_id)
            run = self._failures[batch_id] = _FailureRun(kind, reason)
        run.count += 1
        if run.count in _COUNTS_EMITTED:
            yield from self.emit(run.event(batch_id))

    def end_failures(self, batch_id: str | None) -> Effects:
        """Emit an event about failures alike that were counted since the last event, if there were any."""
        run = self._failures.pop(batch_id, None)
        if run is not None and run.count > run.emitted:
            yield from self.emit(run.event(batch_id))

    def end_all_failures(self) -> Effects:
        """Emit the events of all counted failures."""
        for batch_id in tuple(self._failures):
            yield from self.end_failures(batch_id)

    def emit_stalled(self, watched: WatchedBatch, *, is_overdue: bool) -> Effects:
        """Report that a batch makes no progress."""
        stalled = Stalled(
            batch_id=watched.batch_id,
            status=watched.status,
            since=watched.changed_at,
            is_overdue=is_overdue,
            last_failure=watched.last_failure,
        )
        yield from self.emit(stalled)
        if self._options.on_stalled is not None:
            yield CallBack(self._options.on_stalled, stalled)

    def record_error(self, error: Exception) -> Effects:
        """Call `on_error`, or keep the error for the end."""
        if self._options.on_error is None:
            self.errors.append(error)
        else:
            yield CallBack(self._options.on_error, error)

    def _emit_success(
        self, watched: WatchedBatch, snapshot: Snapshot, observation: Observation, *, is_judged: bool
    ) -> Effects:
        """Emit a successful poll, with the findings that the batch's previous snapshot did not have."""
        yield from self.end_failures(watched.batch_id)
        known, found = watched.rules, observation.findings
        if is_judged:
            watched.rules = frozenset(finding.rule for finding in found)
        yield from self.emit(
            PollSucceeded(
                batch_id=watched.batch_id,
                snapshot=snapshot,
                transitions=observation.transitions,
                findings=tuple(finding for finding in found if finding.rule not in known),
            )
        )

    # ---------------------------------------------------------------- snapshots

    def _take_snapshot(self, batch_id: str, parsed: ParsedRow, *, is_retrieved: bool) -> Effects:
        """Observe a snapshot, or hold it back if it is an end whose results are pending."""
        watched, now = self._scheduler.open[batch_id], self._now()
        if self._are_results_pending(parsed.snapshot):
            is_first = watched.final_row is None
            if is_first:
                watched.final_since = now
            watched.final_row = parsed
            until = watched.final_since + self._options.results_wait_s
            if now < until:
                self._scheduler.record_success(batch_id, now, is_retrieved=is_retrieved)
                yield from self.end_failures(batch_id)
                if is_first:
                    yield from self.emit(ResultsPending(batch_id=batch_id, snapshot=parsed.snapshot, until=until))
                return
        if self.is_over(parsed.snapshot.status):
            watched.final_row = None
        yield from self._observe(batch_id, parsed, is_retrieved=is_retrieved)

    def _are_results_pending(self, snapshot: Snapshot) -> bool:
        """Return True if a batch has ended without a file of results that its counts promise."""
        counts = snapshot.request_counts
        if counts is None or not self.is_over(snapshot.status):
            return False
        lacks_output = (counts.completed or 0) > 0 and snapshot.output_file_id is None
        # The requests of other ends may have failed by the end itself, without a file.
        lacks_errors = (counts.failed or 0) > 0 and snapshot.error_file_id is None
        return lacks_output or (snapshot.status == "completed" and lacks_errors)

    def release_final_rows(self, *, all_of_them: bool) -> Effects:
        """Observe ends that were held back for their results: those that have waited long enough, or all."""
        now = self._now()
        for watched in tuple(self._scheduler.open.values()):
            until = watched.final_since + self._options.results_wait_s
            if watched.final_row is not None and (all_of_them or now >= until <= watched.asked_at):
                yield from self._release_final_row(watched, watched.final_row)

    def _release_final_row(self, watched: WatchedBatch, final_row: ParsedRow) -> Effects:
        watched.final_row = None
        yield from self._observe(watched.batch_id, final_row, is_retrieved=True)

    def _observe(self, batch_id: str, parsed: ParsedRow, *, is_retrieved: bool) -> Effects:
        """Have the monitor observe a snapshot, and yield its transitions."""
        try:
            observation: Observation = yield ObserveSnapshot(parsed)
        except HookError as error:
            yield from self.emit(HooksFailed(error=error))
            yield from self.record_error(error)
            observation = error.observation or Observation((), (), "undetermined")
        except IllegalTransitionError as error:
            # Under `on_illegal="raise"` it would be raised again by every poll.
            yield from self._drop(batch_id, error)
            return
        state = self._state(batch_id)
        watched = self._update(batch_id, parsed.snapshot, state, is_retrieved=is_retrieved)
        yield from self._emit_success(watched, parsed.snapshot, observation, is_judged=True)
        if "T207" in watched.rules and watched.status not in watched.stalled_statuses:
            watched.stalled_statuses.add(watched.status)
            yield from self.emit_stalled(watched, is_overdue=True)
        if self.is_over(parsed.snapshot.status) if state is None else state.terminal:
            if is_retrieved:
                self.just_ended[batch_id] = watched
            self._scheduler.end(batch_id)
        for transition in observation.transitions:
            yield YieldTransition(transition)

    def _state(self, batch_id: str) -> TrackedBatch | None:
        try:
            return self._options.monitor[batch_id]
        except KeyError:
            return None  # A hook has called `monitor.forget`.

    def _update(
        self, batch_id: str, snapshot: Snapshot, state: TrackedBatch | None, *, is_retrieved: bool
    ) -> WatchedBatch:
        """Update the fields that the schedule depends on."""
        now, watched = self._now(), self._scheduler.open[batch_id]
        status = snapshot.status if state is None else state.status
        if status != watched.status:
            stamp = self._stamps.get(status or "") if snapshot.status == status else None
            entered_at = None if stamp is None else getattr(snapshot, stamp)
            # A timestamp ahead of our clock does not say how long ago it was.
            watched.status = status
            watched.entered_at = now if entered_at is None or entered_at > now else entered_at
        if snapshot.created_at is not None and snapshot.created_at <= now:
            watched.born_at = snapshot.created_at
        watched.deadline = watched.deadline if snapshot.expires_at is None else snapshot.expires_at
        live = snapshot if state is None or state.snapshot is None else state.snapshot
        watched.is_row_retrieved = is_retrieved
        if (row := to_row(live)) != watched.row:
            watched.row, watched.changed_at = row, now
        self._scheduler.record_success(batch_id, now, is_retrieved=is_retrieved)
        return watched

    # ---------------------------------------------------------------- drops

    def _drop(self, batch_id: str, error: WatchError | IllegalTransitionError) -> Effects:
        watched = self._scheduler.open[batch_id]
        if watched.final_row is not None:
            # The end was seen: it is better than no end.
            yield from self.end_failures(batch_id)
            yield from self._release_final_row(watched, watched.final_row)
            return
        yield from self.end_failures(batch_id)
        self._scheduler.drop(batch_id)
        yield from self.emit(BatchDropped(batch_id=batch_id, error=error))
        yield from self.record_error(error)

    def drop_all(self, reason: str) -> Effects:
        """Drop every open batch, and the list."""
        for batch_id in tuple(self._scheduler.open):
            yield from self._drop(batch_id, WatchError(batch_id, "fatal", reason))
        error = WatchError(None, "fatal", reason)
        yield from self.emit(BatchDropped(batch_id=None, error=error))
        yield from self.record_error(error)


class BatchDiscovery:
    """Opens the batches that lists show, where no ids were given, except those that ended before the watch began."""

    def __init__(self, options: WatchOptions, scheduler: Scheduler, handler: ResponseHandler) -> None:
        self._monitor, self._scheduler, self._handler = options.monitor, scheduler, handler
        self._has_list = False
        self._newest = 0.0

    def discover(self, listed: ListedBatch, now: float) -> Effects:
        """Open the batch of a row: an open batch, or a new one that has ended already."""
        batch_id, created_at = listed.batch_id, listed.created_at
        if batch_id in self._scheduler.ended or batch_id in self._scheduler.dropped:
            return
        status = self._handler.listed_status(listed)
        if status is None:
            return
        is_new = self._has_list and created_at >= self._newest - OVERLAP_S
        if is_new or not self._handler.is_over(status) or self._is_open_in_monitor(batch_id):
            self._scheduler.add(batch_id, now)
            yield from self._handler.handle_listed(listed)
        else:
            self._scheduler.ended[batch_id] = created_at

    def record_list(self) -> None:
        """Record that a whole list was read; forget ended batches that are too old to be taken for new ones."""
        self._has_list = True
        ended = self._scheduler.ended
        self._newest = max([self._newest, *ended.values()])
        for batch_id in [each for each, created_at in ended.items() if created_at < self._newest - OVERLAP_S]:
            del ended[batch_id]

    def _is_open_in_monitor(self, batch_id: str) -> bool:
        """Return True if the monitor tracks a batch as open: it may have ended between two watches."""
        try:
            return not self._monitor[batch_id].terminal
        except KeyError:
            return False


@attrs.define
class _FailureRun:
    """Failures alike in a row."""

    kind: FailureKind
    reason: str
    count: int = 0
    emitted: int = 0

    def event(self, batch_id: str | None) -> PollFailed:
        """Return the event about all failures that no earlier event counted."""
        new, self.emitted = self.count - self.emitted, self.count
        return PollFailed(batch_id=batch_id, kind=self.kind, reason=self.reason, count=self.count, new=new)
