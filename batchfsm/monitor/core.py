"""What both monitors share: the fold of each batch, and an outbox a batch for its hooks. No hook is called here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final, Literal, TypeVar, cast, overload

import attrs

from batchfsm.dialects import Dialect, find
from batchfsm.errors import SnapshotError
from batchfsm.finding import Finding, verdict_of
from batchfsm.history import Fold, Track
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.hooks import Hook, Hooks
from batchfsm.monitor.observation import (
    BatchState,
    HookError,
    IllegalTransitionError,
    Observation,
    make_observation,
)
from batchfsm.route import Transition
from batchfsm.rules import faults
from batchfsm.snapshot import Row, Snapshot, row_of
from batchfsm.topology import topology
from batchfsm.wire import TIME_MAX, Plain, reader

HookT = TypeVar("HookT", bound=Callable[..., Any])
OnIllegal = Literal["adopt", "hold", "raise"]
Delivery = tuple[Hook, Transition | Finding]
"""A hook, and what it is to be called with."""

_UNCHANGED: Final = Observation((), (), "consistent")


@attrs.define(eq=False)
class Outbox:
    """What is still to be called for one batch; there is none for a batch without."""

    queue: list[Delivery]
    failed: tuple[Delivery, ...] = ()
    """What raised, and waits for `redeliver`."""
    turn: Turn | None = None
    """Whoever calls the hooks of this batch now."""


@attrs.define(eq=False)
class Turn:
    """One call of `observe`, or of one batch's hooks by `redeliver`; what is left to do in it."""

    batch_id: str = ""
    observation: Observation | None = None
    error: IllegalTransitionError | None = None
    outbox: Outbox | None = None
    """What it is to deliver; None if someone else does, or nothing is left."""
    failures: tuple[Exception, ...] = ()
    """What hooks have raised."""

    def keep(self, error: Exception) -> None:
        """Keep what raised, and say on the error what that was."""
        outbox: Any = self.outbox
        hook, subject = outbox.queue[0]
        what = subject.key if isinstance(subject, Transition) else f"{subject.rule} of {subject.batch_id}"
        error.add_note(f"batchfsm: raised by the hook {hook.name} on {what}")
        self.failures += (error,)
        outbox.failed += (outbox.queue[0],)
        del outbox.queue[0]

    def release(self) -> None:
        """Leave the batch idle, with what is still queued."""
        if self.outbox is not None and self.outbox.turn is self:
            self.outbox.turn = None

    def result(self) -> Observation:
        """Return the observation, or raise what it ends with: the illegal move goes before what hooks raised."""
        if not self.failures and self.error is None:
            return cast("Observation", self.observation)
        failed = hook_error(self.failures, self.observation)
        if self.error is not None:
            raise self.error from failed
        raise cast("HookError", failed)


class Core:
    """Batches, hooks and outboxes, behind one lock that no hook is ever called under."""

    def __init__(self, dialect: str | Dialect | Lifecycle, on_illegal: OnIllegal, *, coroutines: bool) -> None:
        """Take the readings of the dialect together."""
        if on_illegal not in ("adopt", "hold", "raise"):
            msg = f"on_illegal is 'adopt', 'hold' or 'raise', not {on_illegal!r}"
            raise ValueError(msg)
        self.dialect: Final = (found := find(dialect))
        """Whose lifecycle and habits of writing are taken for granted."""
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
                terminal=track.status in self._graph.terminal,
                snapshot=snapshot,
                verdict=track.verdict,
                transitions=tuple(leg.of(batch_id, at) for leg, at in zip(track.legs, track.ats, strict=True)),
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

    def _glance(self, batch: object, observed_at: object) -> Plain | Observation | None:
        """Return the observation if a snapshot says what the last one said, else what the fast lane read of it."""
        if not (observed_at is None or (type(observed_at) is float and 0 < observed_at <= TIME_MAX)):
            return None
        plain = self._reader.glance(batch)
        if plain is None:
            return None
        track = self._tracks.get(plain.id)
        # Looked at without the lock first: most that comes here has changed.
        if track is not None and track.row == plain.row and track.pattern is plain.pattern:
            with self._lock:
                if self._repeats(plain, observed_at):
                    return _UNCHANGED
        return plain if self._reader.is_sound(plain) else None

    def _repeats(self, plain: Plain, observed_at: Any) -> bool:
        """Tell whether a snapshot says exactly what the last row said, and that was nothing to find fault with."""
        track = self._tracks.get(plain.id)
        if track is None or track.pattern is not plain.pattern or track.row != plain.row:
            return False
        if plain.id in self._outboxes:
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

    def _take(self, turn: Turn, batch: object, plain: Plain | None, observed_at: Any) -> None:
        """Read and fold a snapshot, queue its hooks, and take them over if nobody else calls hooks of its batch."""
        pattern = None
        if plain is None:
            snapshot = self._reader.read(batch, observed_at)
            if snapshot.id is None:
                raise SnapshotError([("$.id", "a batch without a readable id cannot be tracked")])
            row = row_of(snapshot)
        else:
            snapshot, row, pattern = plain.snapshot(observed_at), plain.row, plain.pattern
        with self._lock:
            self._fold_in(turn, snapshot, row, pattern)

    def _fold_in(self, turn: Turn, snapshot: Snapshot, row: Row, pattern: object) -> None:
        turn.batch_id = batch_id = snapshot.id
        track = self._tracks.get(batch_id) or Track()
        after, folded = self._fold.follow(track, snapshot, row, pattern)
        findings, transitions = folded.findings, folded.transitions
        wanting = self._hooks.wanting(transitions, findings)
        outbox = self._outboxes.get(batch_id)
        if outbox is None and wanting:
            outbox = Outbox([])
        waits = outbox is not None and bool(outbox.queue or wanting)
        idle = outbox is None or outbox.turn is None
        judged = self._fold.knows(snapshot)
        verdict = verdict_of(findings, judged=judged) if findings or not judged else "consistent"
        turn.observation = make_observation(tuple(transitions), tuple(findings), verdict, idle or not waits)
        if self._raises and folded.illegal:
            known = str(track.status)
            reachable = [name for name in self._graph.statuses if name in self._graph.reach[known]]
            turn.error = IllegalTransitionError(batch_id, known, snapshot.status, reachable, turn.observation)
        # Queued before it is known: an interrupt may make a hook run twice, and never not at all.
        if outbox is not None:
            self._outboxes[batch_id] = outbox
            outbox.queue += wanting
        self._tracks[batch_id] = after
        if outbox is not None and waits and idle:
            turn.outbox, outbox.turn = outbox, turn

    def _goes_on(self, turn: Turn) -> bool:
        """Tell whether more was queued for a batch; if not, it is idle from now on."""
        outbox: Any = turn.outbox
        with self._lock:
            if outbox.queue:
                return True
            if not outbox.failed and self._outboxes.get(turn.batch_id) is outbox:
                del self._outboxes[turn.batch_id]
            outbox.turn = None
            return False

    def _waiting(self) -> list[str]:
        """Return the batches with hooks that raised, or that an interrupt kept from running."""
        with self._lock:
            return list(self._outboxes)

    def _resume(self, turn: Turn) -> bool:
        """Take over a batch's hooks, those that raised first; False if someone else calls them."""
        with self._lock:
            outbox = self._outboxes.get(turn.batch_id)
            if outbox is None or outbox.turn is not None:
                return False
            outbox.queue, outbox.failed = [*outbox.failed, *outbox.queue], ()
            turn.outbox, outbox.turn = outbox, turn
            return True


def hook_error(failures: Sequence[Exception], observation: Observation | None) -> HookError | None:
    """Return what hooks raised as one error; None if none did."""
    return HookError("hooks raised; they stay pending", failures, observation) if failures else None
