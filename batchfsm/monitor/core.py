"""What both monitors share: the fold of each batch, and an outbox a batch for its hooks. No hook is called here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, Final, Literal, TypeVar, overload

import attrs

from batchfsm.dialects import Dialect, find
from batchfsm.errors import SnapshotError
from batchfsm.finding import Finding, verdict_of
from batchfsm.history import Fold, Track
from batchfsm.history.fold import transition
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.hooks import Hook, Hooks
from batchfsm.monitor.observation import BatchState, HookError, IllegalTransitionError, Observation
from batchfsm.route import Transition
from batchfsm.rules import faults
from batchfsm.snapshot import Row, Snapshot, row_of
from batchfsm.topology import topology
from batchfsm.wire import Plain, reader

HookT = TypeVar("HookT", bound=Callable[..., Any])
OnIllegal = Literal["adopt", "hold", "raise"]
Delivery = tuple[Hook, Transition | Finding]
"""A hook, and what it is to be called with."""

_UNCHANGED: Final = Observation((), (), "consistent")


@attrs.define(eq=False)
class Outbox:
    """What is still to be called for one batch; there is none for a batch without."""

    queue: deque[Delivery]
    failed: list[Delivery] = attrs.field(factory=list)
    """What raised, and waits for `redeliver`."""
    busy: bool = False
    """True while someone calls hooks of this batch."""

    def keep(self, delivery: Delivery, error: Exception) -> Exception:
        """Keep what raised, and say on the error what that was."""
        hook, subject = delivery
        what = subject.key if isinstance(subject, Transition) else f"{subject.rule} of {subject.batch_id}"
        error.add_note(f"batchfsm: raised by the hook {hook.name} on {what}")
        self.failed.append(delivery)
        return error


@attrs.define(eq=False)
class Taken:
    """A snapshot, folded; what is left to do for it."""

    batch_id: str
    observation: Observation
    error: IllegalTransitionError | None
    outbox: Outbox | None
    """What whoever observed it is to deliver; None if someone else does, or nothing is left."""


class Core:
    """Batches, hooks and outboxes, behind one lock that no hook is ever called under."""

    def __init__(
        self, dialect: str | Dialect | Lifecycle, on_illegal: OnIllegal, *, coroutines: bool
    ) -> None:
        """Take the readings of the dialect together."""
        if on_illegal not in ("adopt", "hold", "raise"):
            msg = f"on_illegal is 'adopt', 'hold' or 'raise', not {on_illegal!r}"
            raise ValueError(msg)
        found = find(dialect)
        self._graph = topology(found.lifecycle)
        self._reader = reader(found)
        self._fold = Fold(found, on_illegal="adopt" if on_illegal == "adopt" else "hold")
        self._raises = on_illegal == "raise"
        self._hooks = Hooks(self._graph, coroutines=coroutines)
        self._tracks: dict[str, Track] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._lock = Lock()

    def on(
        self, *statuses: str, source: str | None = None, target: str | None = None, name: str | None = None
    ) -> Callable[[HookT], HookT]:
        """
        Register a hook on transitions; use it as a decorator, with parentheses.

        Args:
            statuses: Entering any of these; none: see `target`.
            source: Leaving this status; with statuses or `target` an edge, which
                the lifecycle must have. A gap is no edge: its way is unknown.
            target: Entering this status; none of them all: every transition.
            name: How journals and errors call it; `module.qualname` by default.

        Returns:
            A decorator that returns the function unchanged, so that they stack.

        Raises:
            TypeError: If used without parentheses, with statuses and `target`,
                or, on a plain `Monitor`, for a coroutine function.
            ValueError: If the lifecycle has no such status or step.
        """
        return self._hooks.on(statuses, source, target, name)

    @overload
    def on_finding(self, first: HookT, /) -> HookT: ...

    @overload
    def on_finding(
        self, first: str | None = None, /, *codes: str, name: str | None = None
    ) -> Callable[[HookT], HookT]: ...

    def on_finding(self, first: Any = None, /, *codes: str, name: str | None = None) -> Any:
        """
        Register a hook on findings; use it as a decorator, bare or with rule codes (`"H5"`, `"T201"`).

        Raises:
            UnknownNameError: If a code names no rule.
        """
        return self._hooks.on_finding(first, codes, name)

    def __getitem__(self, batch_id: str) -> BatchState:
        """Return what is known of a batch; KeyError if it was never observed, or was forgotten."""
        with self._lock:
            track = self._tracks[batch_id]
            snapshot = track.snapshot(batch_id)
            return BatchState(
                id=batch_id,
                status=track.status if track.status is not None or snapshot is None else snapshot.status,
                snapshot=snapshot,
                verdict=track.verdict,
                transitions=tuple(
                    transition(leg, at, batch_id, None) for leg, at in zip(track.legs, track.ats, strict=True)
                ),
            )

    def __contains__(self, batch_id: object) -> bool:
        """Tell whether a batch is tracked."""
        return batch_id in self._tracks

    def __len__(self) -> int:
        """Return how many batches are tracked."""
        return len(self._tracks)

    def forget(self, batch_id: str) -> None:
        """
        Drop a batch, with what is still pending for it; its next sight is a first sight with the same keys.

        Raises:
            KeyError: If it is not tracked.
        """
        with self._lock:
            del self._tracks[batch_id]
            self._outboxes.pop(batch_id, None)

    def _take(self, batch: object, observed_at: float | str | None) -> Observation | Taken:
        """Read and fold a snapshot, and queue its hooks; an observation if nothing is left to do."""
        plain = None
        if (
            type(batch) is dict
            and batch.get("object") == "batch"
            and (observed_at is None or type(observed_at) is float)
        ):
            plain = self._reader.plain(batch)
        if plain is None:
            snapshot = self._reader.read(batch, observed_at)
            if snapshot.id is None:
                raise SnapshotError([("$.id", "a batch without a readable id cannot be tracked")])
            row = row_of(snapshot)
        else:
            with self._lock:
                if self._repeats(plain, observed_at):
                    return _UNCHANGED
            snapshot, row = plain.snapshot(observed_at), plain.row
        with self._lock:
            return self._folded(snapshot, row)

    def _repeats(self, plain: Plain, observed_at: Any) -> bool:
        """Tell whether a snapshot says exactly what the last row said, and that was nothing to find fault with."""
        track = self._tracks.get(plain.id)
        if track is None or not track.quiet or track.row != plain.row or plain.id in self._outboxes:
            return False
        if plain.metadata and next(faults(plain.metadata), None) is not None:
            return False  # It is not kept, so it is judged again (S006).
        if observed_at is None:
            return track.observed_at is None
        if (
            track.observed_at is None
            or observed_at < track.observed_at
            or self._fold.is_overdue(plain.row, observed_at)
        ):
            return False
        track.observed_at = observed_at
        return True

    def _folded(self, snapshot: Snapshot, row: Row) -> Observation | Taken:
        batch_id = snapshot.id
        track = self._tracks.get(batch_id)
        if track is None:
            track = self._tracks[batch_id] = Track()
        known = track.status
        folded = self._fold.fold(track, snapshot, row=row)
        wanting = self._hooks.wanting(folded.transitions, folded.findings)
        outbox = self._outboxes.get(batch_id)
        if outbox is not None:
            outbox.queue.extend(wanting)
        elif wanting:
            outbox = self._outboxes[batch_id] = Outbox(deque(wanting))
        waiting = outbox is not None and bool(outbox.queue)
        deliver = waiting and not outbox.busy  # type: ignore[union-attr]
        judged = not folded.findings or self._fold.knows(snapshot)
        observation = Observation(
            tuple(folded.transitions),
            tuple(folded.findings),
            verdict_of(folded.findings, judged=judged) if folded.findings else "consistent",
            deliver or not waiting,
        )
        if deliver:
            outbox.busy = True  # type: ignore[union-attr]
        error = None
        if self._raises and folded.illegal:
            reachable = [name for name in self._graph.statuses if name in self._graph.reach[str(known)]]
            error = IllegalTransitionError(batch_id, str(known), snapshot.status, reachable, observation)
        return (
            Taken(batch_id, observation, error, outbox if deliver else None)
            if deliver or error
            else observation
        )

    def _next(self, batch_id: str, outbox: Outbox) -> Delivery | None:
        """Hand out what is to be called next for a busy batch; None, and the batch is idle, if nothing is."""
        with self._lock:
            if outbox.queue:
                return outbox.queue.popleft()
            outbox.busy = False
            if not outbox.failed and self._outboxes.get(batch_id) is outbox:
                del self._outboxes[batch_id]
            return None

    def _interrupted(self, outbox: Outbox, delivery: Delivery) -> None:
        """Put back what did not return, as the first to be called again, and leave the batch idle."""
        with self._lock:
            outbox.queue.appendleft(delivery)
            outbox.busy = False

    def _pending(self) -> dict[str, Outbox]:
        """Queue again what raised or was interrupted, and return the batches whose hooks are to be called."""
        with self._lock:
            idle = {batch_id: outbox for batch_id, outbox in self._outboxes.items() if not outbox.busy}
            for outbox in idle.values():
                outbox.busy = True
                outbox.queue.extendleft(reversed(outbox.failed))
                outbox.failed.clear()
            return idle


def closing(failures: list[Exception], taken: Taken) -> Observation:
    """Return an observation, or raise what it ends with: the illegal move goes before what hooks raised."""
    failed = hook_error(failures, taken.observation)
    if taken.error is not None:
        raise taken.error from failed
    if failed is not None:
        raise failed
    return taken.observation


def hook_error(failures: list[Exception], observation: Observation | None) -> HookError | None:
    """Return what hooks raised as one error; None if none did."""
    return HookError("hooks raised; they stay pending", failures, observation) if failures else None
