"""The view of a watch: turns events into a summary and lines of output."""

from __future__ import annotations

import shlex

from batchfsm.cli.exec_hook import to_wire
from batchfsm.cli.outcome import failed_requests, outcome_lines
from batchfsm.cli.watch_output import TextOutput
from batchfsm.cli.watch_summary import GONE, LIST, REFUSED, WatchSummary
from batchfsm.dialects import nearest_status
from batchfsm.explain import clock as format_time
from batchfsm.journal import FailureCounts
from batchfsm.monitor import HookError, Monitor
from batchfsm.route import Transition
from batchfsm.snapshot import Snapshot
from batchfsm.watching import BatchDropped, Event, ListProblem, PollFailed, PollSucceeded, ResultsPending, Stalled


class WatchView:
    """
    Shows the events of one watch.

    The status of a batch comes from each poll and not from the transitions alone: of two processes on one journal only
    one gets a transition, and an unknown status has none.
    """

    def __init__(self, monitor: Monitor, summary: WatchSummary, output: TextOutput) -> None:
        self._monitor, self._summary, self._output = monitor, summary, output
        self._known = monitor.dialect.lifecycle.statuses
        self._final = monitor.dialect.lifecycle.terminal
        self._shown: set[str] = set()  # Keys of transitions.

    def handle(self, event: Event) -> None:
        """Show an event of the watch."""
        if isinstance(event, PollSucceeded):
            self._show_poll(event)
        elif isinstance(event, PollFailed):
            subject = event.batch_id or LIST
            if self._summary.record_problem(subject, event.reason, event.count):
                reason = str(self._summary.problems[subject])
                self._output.show("trouble", event.batch_id, kind=event.kind, reason=reason, times=event.count)
        elif isinstance(event, ListProblem):
            self._output.show("trouble", None, kind=event.kind, reason=f"the list of batches: {event.reason}", times=1)
        elif isinstance(event, Stalled):
            reason = f"{event.status or 'not polled yet'}, no change since {format_time(int(event.since))}"
            if event.is_overdue:
                reason = f"{event.status}, open long after its deadline"
            if event.last_failure is not None:
                reason += f"; the last request failed: {event.last_failure}"
            self._output.show("stalled", event.batch_id, status=event.status, reason=reason)
        elif isinstance(event, ResultsPending):
            reason = f"{event.snapshot.status}, without the files that its counts promise; asked again until "
            reason += format_time(event.until)
            self._output.show("waiting", event.batch_id, status=event.snapshot.status, reason=reason)
        elif isinstance(event, BatchDropped):
            self._drop(event)

    def handle_error(self, error: Exception) -> None:
        """Show a failed command; batches that were dropped are shown as events."""
        if isinstance(error, HookError):
            for each in error.exceptions:
                self._output.show("failed", None, kind="command", reason=str(each))

    def start_command(self, transition: Transition) -> None:
        """Show the transition that a command is about to run on."""
        self._summary.failing.add(transition.key)
        self._show_transition(transition)

    def end_command(self, transition: Transition, succeeded: bool) -> None:  # noqa: FBT001  # A callback.
        """Record whether a command succeeded; one that failed may be run again."""
        if succeeded:
            self._summary.failing.discard(transition.key)

    def show_undelivered(self, counts: FailureCounts, journal: str) -> None:
        """Show that a journal has hooks that failed and will be tried again, or dead ones."""
        place = "J" if "://" in journal else journal  # An address may hold a password.
        if counts.failing:
            commands = f"see batchfsm journal pending {place}"
            reason = f"{_hooks(counts.failing)} failing, to be tried again by the next watch: {commands}"
            self._output.show("failed", None, kind="failing", reason=reason)
        if counts.dead:
            commands = f"see batchfsm journal dead {place}, retry with batchfsm journal retry {place}"
            reason = f"{_hooks(counts.dead)} dead after too many tries: {commands}"
            self._output.show("failed", None, kind="dead", reason=reason)

    def finish(self) -> None:
        """Record the batches that ended in another watch, without a poll of this one; show problems that last."""
        for batch_id in [*self._summary.statuses]:
            if batch_id in self._monitor and (tracked := self._monitor[batch_id]).terminal:
                self._summary.enter(batch_id, tracked.status)
                self._record_outcome(batch_id, tracked.snapshot)
        for subject, problem in self._summary.problems.items():
            if problem.times > 1 and subject not in self._summary.dropped:
                of_batch = None if subject == LIST else subject
                self._output.show("trouble", of_batch, kind="lasting", reason=str(problem), times=problem.times)

    def _show_poll(self, event: PollSucceeded) -> None:
        batch_id, snapshot = event.batch_id, event.snapshot
        self._summary.problems.pop(batch_id, None)
        self._summary.problems.pop(LIST, None)
        for transition in event.transitions:
            self._show_transition(transition)
        status = self._status(batch_id, snapshot)
        if self._summary.enter(batch_id, status) and not event.transitions:
            self._show_status(batch_id, str(status), snapshot.observed_at)
        if event.transitions and status in self._final:
            self._record_outcome(batch_id, snapshot)
            if lines := outcome_lines(snapshot):
                self._output.show("outcome", batch_id, lines=lines)
        for each in event.findings:
            self._summary.findings[each.rule, each.name] += 1
            self._output.show(
                "finding", batch_id, rule=each.rule, name=each.name, severity=each.severity, message=each.message
            )

    def _show_status(self, batch_id: str, status: str, observed_at: float | None) -> None:
        """Show a status without a transition: another process has it, or the dialect does not have the status."""
        hint = ""
        if status not in self._known:
            meaning = nearest_status(status, self._monitor.dialect) or "STATUS"
            hint = f"no status of the dialect {self._monitor.dialect.name}; try --alias {shlex.quote(status)}={meaning}"
        self._output.show("status", batch_id, status=status, observed_at=observed_at, hint=hint)

    def _status(self, batch_id: str, snapshot: Snapshot) -> str | None:
        """Return the status to show: the known one, or a word that the dialect does not have."""
        if snapshot.status in self._known and batch_id in self._monitor:
            return self._monitor[batch_id].status
        return snapshot.status

    def _show_transition(self, transition: Transition) -> None:
        if transition.key in self._shown:
            return
        self._shown.add(transition.key)
        batch_id = transition.batch_id
        # A hook that is called again is about an earlier status than the batch has.
        self._summary.enter(
            batch_id, self._monitor[batch_id].status if batch_id in self._monitor else transition.target
        )
        self._output.show("transition", transition.batch_id, **to_wire(transition))

    def _record_outcome(self, batch_id: str, snapshot: Snapshot | None) -> None:
        if snapshot is not None and failed_requests(snapshot):
            self._summary.with_failed_requests.add(batch_id)

    def _drop(self, event: BatchDropped) -> None:
        kind, reason = getattr(event.error, "kind", "illegal"), getattr(event.error, "reason", str(event.error))
        subject = event.batch_id or LIST
        self._summary.record_problem(subject, reason)
        self._summary.dropped.add(subject)
        if event.batch_id is not None:
            self._summary.enter(event.batch_id, GONE if kind == "gone" else REFUSED)
        self._output.show("dropped", event.batch_id, kind=kind, reason=reason)


def _hooks(number: int) -> str:
    return "1 hook is" if number == 1 else f"{number:,} hooks are"
