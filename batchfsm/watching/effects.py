"""What the loop of watching asks of the world, and what it was asked for itself."""

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
class FetchBatches:
    """Ask for batches; a `FetchResult` is sent back."""

    ids: tuple[str, ...]
    is_sweep: bool


@attrs.frozen
class ObserveSnapshot:
    """Show a snapshot to the monitor; its `Observation` is sent back, or thrown what it raised."""

    row: ParsedRow
    """The snapshot as it was read: the monitor need not read it again."""


@attrs.frozen
class Redeliver:
    """Have the monitor try again what hooks raised on; thrown what they raise again."""

    now: float | None


@attrs.frozen
class CallBack:
    """Call somebody's function; what it raises ends the watch."""

    function: Callable[[Any], Any]
    subject: object


@attrs.frozen
class Sleep:
    """Let time pass, or a hint come; the ids of batches hinted at are sent back."""

    seconds: float


@attrs.frozen
class YieldTransition:
    """Hand a transition over to whoever watches."""

    transition: Transition


Command = FetchBatches | ObserveSnapshot | Redeliver | CallBack | Sleep | YieldTransition
Commands = Generator[Command, Any, None]


@attrs.frozen(kw_only=True)
class WatchOptions:
    """What a watch was asked for."""

    monitor: Monitor | AsyncMonitor
    schedule: Schedule
    timeout_s: float | None
    log: Any
    on_stalled: Callable[[Stalled], Any] | None
    on_error: Callable[[Exception], Any] | None
    on_event: Callable[[Event], Any] | None
    clock: Callable[[], float]
    is_wire: bool
    """True if what a look brings is JSON as it came, to be logged as it is."""


class MonotonicClock:
    """Time that never goes back: a clock that is set back must not put off the next look."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin at the clock's own time."""
        self._clock = clock
        self._ahead_s = 0.0
        self._last = float("-inf")

    def __call__(self) -> float:
        """Return Unix seconds, ahead of the clock by as much as that was set back."""
        now = self._clock() + self._ahead_s
        if now < self._last:
            self._ahead_s += self._last - now
            now = self._last
        self._last = now
        return now
