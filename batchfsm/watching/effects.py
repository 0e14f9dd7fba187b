"""Effects that the watch loop yields to an executor, and the options of a watch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import attrs

from batchfsm.monitor import AsyncMonitor, Monitor
from batchfsm.route import Transition
from batchfsm.watching.events import Event, Stalled
from batchfsm.watching.schedule import Schedule
from batchfsm.wire import ParsedRow


@attrs.frozen
class StartRetrieve:
    """Start to retrieve a batch; a later `Wait` returns the response."""

    batch_id: str
    timeout_s: float
    """Total deadline of the request, body included."""


@attrs.frozen
class ListPage:
    """Request one page of the list; the executor sends back a `JSONReply`, a page object or a failure."""

    after: str | None
    """The cursor: the last id of the page before; None for the first page."""
    timeout_s: float
    """Total deadline of the request, body included."""


@attrs.frozen
class FetchFromSource:
    """Call `fetch` of the user's source; the executor sends back a `FetchResult`."""

    ids: tuple[str, ...]
    timeout_s: float
    """Total deadline of the call; only an async source can be held to it."""


@attrs.frozen
class ListFromSource:
    """Call `list` of the user's source; the executor sends back its snapshots as a tuple, or a failure."""

    timeout_s: float
    """Total deadline of the call; only an async source can be held to it."""


@attrs.frozen
class Wait:
    """Wait for the response of a started request, or sleep if there is none; sends back a `WakeUp`. A hint ends it."""

    seconds: float


@attrs.frozen
class WakeUp:
    """The result of a `Wait`; empty if its time passed."""

    responses: tuple[tuple[str, Any], ...] = ()
    """Batch ids with their responses."""
    hints: tuple[str, ...] = ()
    """Ids of batches that webhooks named."""


@attrs.frozen
class ObserveSnapshot:
    """Call `monitor.observe`; the executor sends back the `Observation`."""

    row: ParsedRow
    """The parsed snapshot, so that the monitor need not parse it again."""


@attrs.frozen
class Redeliver:
    """Call `monitor.redeliver`."""

    now: float | None


@attrs.frozen
class CallBack:
    """Call one of the user's functions; an exception of it ends the watch."""

    function: Callable[[Any], Any]
    subject: object


@attrs.frozen
class YieldTransition:
    """Yield a transition from the generator that the user iterates over."""

    transition: Transition


ExecutorEffect = (
    StartRetrieve | ListPage | FetchFromSource | ListFromSource | Wait | ObserveSnapshot | Redeliver | CallBack
)
"""The effects that an executor runs; transitions are yielded by `watch` itself."""

Effect = ExecutorEffect | YieldTransition
Effects = Generator[Effect, Any, None]


@attrs.frozen(kw_only=True)
class WatchOptions:
    """The arguments of `watch`, validated."""

    monitor: Monitor | AsyncMonitor
    schedule: Schedule
    timeout_s: float | None
    results_wait_s: float
    log: Any
    on_stalled: Callable[[Stalled], Any] | None
    on_error: Callable[[Exception], Any] | None
    on_event: Callable[[Event], Any] | None
    clock: Callable[[], float]
    has_source: bool
    """True if snapshots come from the user's source and not from a client."""
    discovers: bool
    """True if every open batch that the list shows is watched, too."""
    concurrency: int
    """The number of requests that may be under way at a time, slow ones aside."""


class MonotonicClock:
    """A clock that never goes back: setting the system's clock back must not delay the next request."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead_s = 0.0
        self._last = float("-inf")

    def __call__(self) -> float:
        """Return Unix seconds, ahead of the wrapped clock by the amount that it was set back."""
        now = self._clock() + self._ahead_s
        if now < self._last:
            self._ahead_s += self._last - now
            now = self._last
        self._last = now
        return now
