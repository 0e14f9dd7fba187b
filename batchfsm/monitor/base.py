"""What both monitors share but for calling hooks: registering them, reading snapshots, telling what is known."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, Final, Literal, ParamSpec, TypeVar, overload

from batchfsm.dialects import Dialect, find
from batchfsm.errors import SnapshotError
from batchfsm.history import BatchRecord, Fold
from batchfsm.journal import Journal
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.batch_store import Batches
from batchfsm.monitor.hooks import Hooks
from batchfsm.monitor.journal_client import JournalClient
from batchfsm.monitor.observation import Observation, TrackedBatch
from batchfsm.snapshot import SnapshotRow
from batchfsm.topology import topology
from batchfsm.wire import ParsedRow, TypePattern, reader

HookT = TypeVar("HookT", bound=Callable[..., Any])
AnswerT = TypeVar("AnswerT")
P = ParamSpec("P")
OnIllegal = Literal["adopt", "hold", "raise"]

UNCHANGED: Final = Observation((), (), "consistent")
"""The observation of a row that says what the last one said."""


class Core(Batches):
    """The face of a monitor, without `observe` and `redeliver`."""

    def __init__(
        self, dialect: str | Dialect | Lifecycle, on_illegal: OnIllegal, journal: Journal | None, *, coroutines: bool
    ) -> None:
        """Take the readings of the dialect together."""
        if on_illegal not in ("adopt", "hold", "raise"):
            msg = f"on_illegal is 'adopt', 'hold' or 'raise', not {on_illegal!r}"
            raise ValueError(msg)
        place: object = journal
        if isinstance(place, str | PathLike):
            msg = f"journal= takes a journal, not where it is: SQLiteJournal({str(place)!r})"
            raise TypeError(msg)
        self.dialect: Final = (found := find(dialect))
        """Whose lifecycle and habits of writing are taken for granted."""
        self._reader = reader(found)
        graph = topology(found.lifecycle)
        super().__init__(
            Fold(found, on_illegal="adopt" if on_illegal == "adopt" else "hold"),
            graph,
            Hooks(graph, coroutines=coroutines, is_journaled=journal is not None),
            journal,
            raises=on_illegal == "raise",
        )

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
            name: How journals and errors call it; `module.qualname` by default. With
                a journal no two hooks have the same, over all restarts.

        Returns:
            A decorator that returns the function unchanged, so that they stack.

        Raises:
            TypeError: If used without parentheses, with statuses and `target`,
                or, on a plain `Monitor`, for a coroutine function.
            ValueError: If the lifecycle has no such status or step, or, with a
                journal, if the name is taken or a lambda has none.
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

    def __getitem__(self, batch_id: str) -> TrackedBatch:
        """Return what is known of a batch, here or in the journal; KeyError if it was never seen, or was forgotten."""
        track = self._look(batch_id)
        if track is None:
            raise KeyError(batch_id)
        with self._lock:
            snapshot = track.snapshot(batch_id)
            return TrackedBatch(
                id=batch_id,
                status=track.status if track.status is not None or snapshot is None else snapshot.status,
                terminal=track.status in self._graph.terminal,
                snapshot=snapshot,
                verdict=track.verdict,
                transitions=tuple(leg.of(batch_id, at) for leg, at in zip(track.legs, track.ats, strict=True)),
            )

    def __contains__(self, batch_id: object) -> bool:
        """Tell whether a batch is tracked, here or in the journal."""
        return isinstance(batch_id, str) and self._look(batch_id) is not None

    def __len__(self) -> int:
        """Return how many batches are tracked; with a journal, how many are in it."""
        return len(self._tracks) if self._ledger is None else self._journaled(self._ledger.count)

    def forget(self, batch_id: str) -> None:
        """
        Drop a batch, with what is still pending for it; its next sight is a first sight with the same keys.

        Raises:
            KeyError: If it is not tracked.
        """
        if self._ledger is not None:
            self._journaled(self._forget_in, self._ledger, batch_id)
            return
        with self._lock:
            del self._tracks[batch_id]
            self._outboxes.pop(batch_id, None)

    def _forget_in(self, ledger: JournalClient, batch_id: str) -> None:
        with ledger.lock:
            if batch_id not in self._tracks and ledger.load(batch_id) is None:
                raise KeyError(batch_id)
            ledger.forget(batch_id)
            with self._lock:
                self._tracks.pop(batch_id, None)
                self._outboxes.pop(batch_id, None)

    def _look(self, batch_id: str) -> BatchRecord | None:
        """Return what is known of a batch; from the journal, it is not kept: its hooks have not been asked for."""
        track = self._tracks.get(batch_id)
        if track is not None or self._ledger is None:
            return track
        return self._journaled(self._ledger.load, batch_id)

    def _journaled(self, work: Callable[P, AnswerT], *args: P.args, **kwargs: P.kwargs) -> AnswerT:
        """Do what needs the journal; where it is done, the monitors decide."""
        return work(*args, **kwargs)

    def _last(self, batch_id: str, row: SnapshotRow, pattern: TypePattern) -> SnapshotRow | None:
        """Return the last row of a batch, if this one says the same."""
        track = self._tracks.get(batch_id)
        return track.row if track is not None and track.pattern is pattern and track.row == row else None

    def _is_unchanged(self, parsed: ParsedRow) -> bool:
        """Tell whether a row says what the last one said, and note when it was seen."""
        track = self._tracks.get(parsed.id)
        # Looked at without the lock first: most rows that come here have changed.
        if track is None or track.pattern is not parsed.pattern or track.row != parsed.row:
            return False
        row = track.row
        with self._lock:
            track = self._tracks.get(parsed.id)
            if track is None or track.row is not row or parsed.id in self._outboxes:
                return False
            if not self._fold.repeats(track, parsed):
                return False
            track.observed_at = parsed.observed_at
            return True

    def _read(self, batch: object, observed_at: object) -> ParsedRow:
        """Read a snapshot of any form."""
        parsed = self._reader.read_row(batch, observed_at, self._last)
        if parsed.id is None:
            raise SnapshotError([("$.id", "a batch without a readable id cannot be tracked")])
        return parsed
