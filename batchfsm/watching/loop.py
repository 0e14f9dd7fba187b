"""The watch loop: a generator of effects, the same for `watch` and `awatch`."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from math import inf
from typing import Any, Final

from batchfsm.journal import FailureCounts
from batchfsm.monitor import HookError
from batchfsm.watching.bounded_http import REQUEST_S_MAX
from batchfsm.watching.custom_source import FetchResult, ListedSnapshots
from batchfsm.watching.effects import (
    CallBack,
    Effect,
    Effects,
    FetchFromSource,
    ListFromSource,
    ListPage,
    MonotonicClock,
    Redeliver,
    StartRetrieve,
    Wait,
    WakeUp,
    WatchOptions,
)
from batchfsm.watching.errors import WatchTimeoutError, flatten
from batchfsm.watching.events import HooksDead, HooksFailed, ListProblem
from batchfsm.watching.pagination import ListedBatch, ListReader
from batchfsm.watching.response_handler import BatchDiscovery, ResponseHandler
from batchfsm.watching.responses import Failure, Gone, Transient
from batchfsm.watching.scheduler import PollPlan, Scheduler
from batchfsm.watching.snapshot_log import SnapshotLog

SLOW_S: Final = 2.0
"""Seconds after which a request counts as slow: it no longer takes the place of another one."""

SLOW_MAX: Final = 10
"""Number of slow requests that may be under way beside the others."""

LIST_FAILURES_MAX: Final = 3
"""Failed list polls in a row after which the list is given up, if retrieves succeed meanwhile."""

STALE_POLLS_MAX: Final = 2
"""List polls with an earlier view than a retrieve before them after which the list is given up."""

_TIMEOUT_S_MIN: Final = 0.1
"""Shortest deadline of a request: a shorter one would report a failure of a server that is up."""


def watch_effects(ids: Iterable[str], options: WatchOptions) -> Effects:
    """
    Yield the effects of a watch until all batches have ended.

    Args:
        ids: The batches to watch.
        options: The arguments of `watch`.

    Raises:
        WatchTimeoutError: If the time is up before that.
        ExceptionGroup: At the end, of dropped batches and exceptions of hooks.
    """
    log = SnapshotLog(options.log, options.monitor.dialect.name)
    try:
        yield from WatchLoop(ids, options, log).run()
    finally:
        log.close()


class WatchLoop:
    """One watch, from the first request to the last."""

    def __init__(self, ids: Iterable[str], options: WatchOptions, log: SnapshotLog) -> None:
        self._options = options
        self._now = MonotonicClock(options.clock)
        monitor = options.monitor
        # A restored monitor may have the end of a batch already.
        still_open = [each for each in ids if each not in monitor or not monitor[each].terminal]
        self._scheduler = Scheduler(
            still_open,
            options.schedule,
            discovers=options.discovers,
            has_source=options.has_source,
            stuck_after_s=monitor.dialect.stuck_after_s,
            results_wait_s=options.results_wait_s,
            now=self._now(),
        )
        self._handler = ResponseHandler(options, self._scheduler, log, self._now)
        self._discovery = BatchDiscovery(options, self._scheduler, self._handler)
        self._is_single_poll = options.timeout_s == 0
        self._give_up_at = inf
        self._queue: deque[str] = deque()
        self._in_flight: set[str] = set()
        self._not_yet_slow: set[str] = set()
        """Requests in flight that are not slow yet."""
        self._is_server_up = False
        """True if a retrieve of this poll was answered."""
        self._list_failures = self._stale_polls = 0
        self._newest: int | None = None
        """When the newest batch was created that a whole list has shown; Unix seconds."""
        self._list_problem: str | None = None
        self._counts = FailureCounts()
        self._hook_errors: list[HookError] = []
        """The errors of hooks that were called again; those of first calls are with the handler."""

    def run(self) -> Effects:
        """Poll, handle the responses and wait, until nothing is open."""
        if self._options.timeout_s is not None and not self._is_single_poll:
            self._give_up_at = self._now() + self._options.timeout_s
        yield from self._redeliver()
        while not self._is_over():
            yield from self._poll()
            yield from self._handler.release_final_rows(all_of_them=False)
            yield from self._report_stalled()
            if self._is_over():
                break
            if self._is_single_poll or self._is_time_up():
                yield from self._give_up()
                break
            wait_s = min(self._scheduler.next_at(), self._give_up_at) - self._now()
            if wait_s > 0:
                yield from self._handle_wake_up((yield Wait(wait_s)))
            yield from self._redeliver()
        yield from self._close()

    def _is_over(self) -> bool:
        """Return True if nothing is open; with discovery, the last list must have been whole and shown none."""
        return not self._scheduler.open and not self._scheduler.may_discover

    def _is_time_up(self) -> bool:
        return self._now() >= self._give_up_at

    def _timeout_s(self) -> float:
        """Return the deadline of a request that starts now, in seconds from now."""
        return max(min(REQUEST_S_MAX, self._give_up_at - self._now()), _TIMEOUT_S_MIN)

    # ---------------------------------------------------------------- polls

    def _poll(self) -> Effects:
        if self._is_time_up():
            return
        plan = self._scheduler.plan(self._now())
        if self._options.has_source and plan.by_list and self._scheduler.discovers:
            yield from self._poll_source_list(plan)
        elif self._options.has_source:
            if plan.ids:
                yield from self._poll_source(plan)
        elif plan.by_list:
            yield from self._poll_list(plan)
        else:
            yield from self._retrieve(plan.ids)

    def _poll_source(self, plan: PollPlan) -> Effects:
        for batch_id in plan.ids:
            self._scheduler.record_start(batch_id, self._now())
        fetched: FetchResult = yield FetchFromSource(plan.ids, self._timeout_s())
        if plan.by_list and fetched.failure is not None:
            yield from self._handler.emit_failure(None, "transient", fetched.failure.reason)
            for batch_id in plan.ids:
                self._scheduler.record_response(batch_id, has_answer=False)
            self._scheduler.record_list(self._now(), fetched.failure, 1, is_whole=False)
            return
        yield from self._handler.end_failures(None)
        for batch_id in plan.ids:
            yield from self._handle_response(batch_id, fetched.response_for(batch_id))
        if plan.by_list:
            self._scheduler.record_list(self._now(), None, 1, is_whole=True)

    def _poll_source_list(self, plan: PollPlan) -> Effects:
        """Fetch the batches of the plan, read the list of the source, then fetch open batches that it did not show."""
        handler, scheduler = self._handler, self._scheduler
        yield from self._fetch(plan.ids)
        if scheduler.is_paused(self._now()) or self._is_time_up():
            return
        wanted: dict[str, None] = {}
        if scheduler.uses_list:
            wanted = {each: None for each in scheduler.ready(self._now()) if each not in plan.ids}
        handler.is_list_behind = False
        listed: ListedSnapshots = yield ListFromSource(self._timeout_s())
        if not isinstance(listed, tuple):
            handler.just_ended.clear()
            yield from self._handle_list_failure(listed, 1)
            return
        for snapshot in listed:
            yield from self._handle_listed(ListedBatch(snapshot.id, snapshot, None), wanted)
        handler.just_ended.clear()
        self._list_failures = 0
        yield from handler.end_failures(None)
        self._discovery.record_list()
        yield from self._judge_list_age()
        yield from self._fetch([*wanted, *(each for each in scheduler.due(self._now()) if each not in wanted)])
        scheduler.record_list(self._now(), None, 1 + len(plan.ids) + len(wanted), is_whole=True)

    def _fetch(self, ids: Iterable[str]) -> Effects:
        """Fetch batches from the source together, and handle each response."""
        open_ids = tuple(each for each in ids if each in self._scheduler.open)
        if not open_ids:
            return
        for batch_id in open_ids:
            self._scheduler.record_start(batch_id, self._now())
        fetched: FetchResult = yield FetchFromSource(open_ids, self._timeout_s())
        for batch_id in open_ids:
            yield from self._handle_response(batch_id, fetched.response_for(batch_id))

    def _retrieve(self, ids: Iterable[str]) -> Effects:
        """Retrieve batches one by one, and handle each response as it comes; slow ones are left to a later wait."""
        self._queue.extend(ids)
        while (
            (self._queue or self._not_yet_slow)
            and not self._scheduler.is_paused(self._now())
            and not self._is_time_up()
        ):
            yield from self._start_requests()
            if not self._queue and not self._not_yet_slow:
                break
            wake_up = yield Wait(min(SLOW_S, self._give_up_at - self._now()))
            if not wake_up.responses and not wake_up.hints:
                self._not_yet_slow.clear()
            yield from self._handle_wake_up(wake_up)
        self._queue.clear()
        while self._in_flight and self._is_single_poll:
            yield from self._handle_wake_up((yield Wait(REQUEST_S_MAX)))

    def _start_requests(self) -> Effects:
        room = self._options.concurrency
        while self._queue and len(self._not_yet_slow) < room and len(self._in_flight) < room + SLOW_MAX:
            batch_id = self._queue.popleft()
            watched = self._scheduler.open.get(batch_id)
            if watched is not None and not watched.is_requested:
                self._scheduler.record_start(batch_id, self._now())
                self._in_flight.add(batch_id)
                self._not_yet_slow.add(batch_id)
                yield StartRetrieve(batch_id, self._timeout_s())

    def _handle_wake_up(self, wake_up: WakeUp) -> Effects:
        for batch_id in wake_up.hints:
            self._scheduler.hint(batch_id, self._now())
        for batch_id, response in wake_up.responses:
            self._in_flight.discard(batch_id)
            self._not_yet_slow.discard(batch_id)
            self._is_server_up |= not isinstance(response, Transient)
            if batch_id in self._scheduler.open:  # Else a list has shown its end meanwhile.
                yield from self._handle_response(batch_id, response)

    def _handle_response(self, batch_id: str, response: Any) -> Effects:
        self._scheduler.record_response(batch_id, has_answer=not isinstance(response, Transient | Gone))
        yield from self._handler.handle(batch_id, response)

    # ---------------------------------------------------------------- the list

    def _poll_list(self, plan: PollPlan) -> Effects:
        """Retrieve the batches of the plan, read the list, then retrieve open batches that it did not show."""
        handler, scheduler = self._handler, self._scheduler
        self._is_server_up = False
        yield from self._retrieve(plan.ids)
        if scheduler.is_paused(self._now()) or self._is_time_up():
            return
        wanted: dict[str, None] = {}
        if scheduler.uses_list:
            wanted = {each: None for each in scheduler.ready(self._now()) if each not in plan.ids}
        reader = ListReader(self._newest)
        handler.is_list_behind = False
        yield from self._read_pages(reader, wanted)
        handler.just_ended.clear()
        if reader.failure is not None:
            yield from self._handle_list_failure(reader.failure, reader.pages)
            return
        self._list_failures = 0
        yield from handler.end_failures(None)
        is_whole = yield from self._finish_list(reader)
        yield from self._retrieve([*wanted, *(each for each in scheduler.due(self._now()) if each not in wanted)])
        requests = len(plan.ids) + reader.pages + len(wanted)
        scheduler.record_list(self._now(), None, requests, is_whole=is_whole)

    def _read_pages(self, reader: ListReader, wanted: dict[str, None]) -> Effects:
        """Read a list until it ends, shows nothing more that is wanted, or the time is up."""
        fruitless = 0
        while not reader.is_over and not self._is_time_up():
            rows = reader.add_page((yield ListPage(reader.after, self._timeout_s())))
            found = False
            for listed in rows:
                found |= yield from self._handle_listed(listed, wanted)
            fruitless += not found
            # A page without any wanted batch costs as much as a retrieve of one of them.
            is_enough = not wanted or fruitless >= len(wanted)
            if is_enough and (not self._scheduler.discovers or reader.reaches_known):
                break

    def _handle_listed(self, listed: ListedBatch, wanted: dict[str, None]) -> Generator[Effect, Any, bool]:
        """Handle the row of a list; return True if it is of a wanted batch."""
        batch_id = listed.batch_id
        if batch_id in wanted:
            if (yield from self._handler.handle_listed(listed)):
                del wanted[batch_id]
            return True
        if batch_id in self._handler.just_ended:
            self._handler.compare_ended(listed)
        elif batch_id in self._scheduler.open:
            if self._scheduler.uses_list:
                yield from self._handler.handle_listed(listed)
        elif self._scheduler.discovers:
            yield from self._discovery.discover(listed, self._now())
        return False

    def _finish_list(self, reader: ListReader) -> Generator[Effect, Any, bool]:
        """Report the problems of a list that was read; return True if it was whole."""
        if reader.problem is not None and reader.problem != self._list_problem:
            yield from self._handler.emit(ListProblem(kind="cut_short", reason=reader.problem))
        self._list_problem = reader.problem
        is_whole = reader.problem is None and not self._is_time_up()
        if is_whole and self._scheduler.discovers:
            self._newest = reader.newest
            self._discovery.record_list()
        yield from self._judge_list_age()
        return is_whole

    def _judge_list_age(self) -> Effects:
        """Give up a list that was older than retrieves before it in several polls."""
        if self._handler.is_list_behind and self._scheduler.uses_list:
            self._stale_polls += 1
            if self._stale_polls >= STALE_POLLS_MAX:
                reason = f"in {STALE_POLLS_MAX} polls it was older than a retrieve before; it may be a cache"
                yield from self._give_up_list("stale", reason)

    def _handle_list_failure(self, failure: Failure, pages: int) -> Effects:
        if isinstance(failure, Transient):
            yield from self._handler.emit_failure(None, "transient", failure.reason)
            self._list_failures += 1
            self._scheduler.record_list(self._now(), failure, pages, is_whole=False)
            # The retrieve before the list was answered if only the list is down.
            is_list_down = self._list_failures >= LIST_FAILURES_MAX and self._is_server_up
            if is_list_down and not self._scheduler.discovers:
                yield from self._give_up_list("unavailable", f"it failed {self._list_failures} times: {failure.reason}")
        elif self._scheduler.discovers:
            self._scheduler.discovers = self._scheduler.may_discover = False
            yield from self._handler.emit_failure(None, "fatal", failure.reason)
            yield from self._handler.drop_all(failure.reason)
        else:
            # The server has no list, or the key may not read it.
            yield from self._give_up_list("unavailable", failure.reason)

    def _give_up_list(self, kind: Any, reason: str) -> Effects:
        self._scheduler.give_up_list()
        yield from self._handler.emit(ListProblem(kind=kind, reason=f"{reason}; batches are retrieved one by one"))

    # ---------------------------------------------------------------- stalls, hooks, the end

    def _report_stalled(self) -> Effects:
        for each in self._scheduler.stalled(self._now()):
            yield from self._handler.emit_stalled(each, is_overdue=False)

    def _give_up(self) -> Effects:
        """Observe the ends that were held back for their results; raise WatchTimeoutError if a batch is open still."""
        yield from self._handler.release_final_rows(all_of_them=True)
        if self._is_over():
            return
        for batch_id in self._in_flight & self._scheduler.open.keys():
            yield from self._handler.emit_failure(batch_id, "transient", "no complete response before the time was up")
        yield from self._handler.end_all_failures()
        still_open = {each.batch_id: each.status for each in self._scheduler.open.values()}
        problem = self._list_problem if self._scheduler.discovers else None
        raise WatchTimeoutError(self._options.timeout_s or 0.0, still_open, flatten(self._handler.errors), problem)

    def _redeliver(self) -> Effects:
        """Call the hooks that are due, and report how many are dead if that has changed."""
        try:
            counts: FailureCounts = yield Redeliver(self._now())
        except HookError as error:
            yield from self._handler.emit(HooksFailed(error=error))
            self._hook_errors.append(error)
            counts = error.counts or FailureCounts()
        if counts.dead != self._counts.dead:
            yield from self._handler.emit(HooksDead(count=counts.dead))
        self._counts = counts

    def _close(self) -> Effects:
        """Call the hooks that are due by now, then raise the errors that are left."""
        yield from self._handler.end_all_failures()
        yield from self._redeliver()
        failed = [error for error in self._handler.errors if not isinstance(error, HookError)]
        raised = _last_hook_errors([*self._handler.errors, *self._hook_errors])
        if raised and self._counts != FailureCounts():
            if self._options.on_error is None:
                failed += raised
            else:
                error = HookError("hooks raised; they stay pending", raised, None, self._counts)
                yield CallBack(self._options.on_error, error)
        if failed:
            errors = list(flatten(failed))
            raise ExceptionGroup(f"watch ended with {len(errors)} error{'s' if len(errors) > 1 else ''}", errors)


def _last_hook_errors(errors: Iterable[Exception]) -> list[Exception]:
    """Return the last exception of each hook and transition."""
    hook_errors = [error for error in errors if isinstance(error, HookError)]
    return list({str(each.__notes__[0]): each for error in hook_errors for each in error.exceptions}.values())
