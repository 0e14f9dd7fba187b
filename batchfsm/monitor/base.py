"""The base of both monitors: it registers hooks, parses snapshots and returns tracked batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any, Final, Generic, Literal, TypeVar, overload

from batchfsm.arguments import public_as
from batchfsm.dialects import Dialect, get_dialect
from batchfsm.errors import JournalError, SnapshotError
from batchfsm.history import Fold
from batchfsm.journal import Journal
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.batch_store import BatchStore
from batchfsm.monitor.dispatchers import AsyncDispatcher, SyncDispatcher
from batchfsm.monitor.hooks import HookRegistry
from batchfsm.monitor.journal_client import JournalClient
from batchfsm.monitor.journaled_store import JournaledBatchStore
from batchfsm.monitor.observation import Observation, TrackedBatch
from batchfsm.snapshot import similar_key
from batchfsm.topology import topology
from batchfsm.wire import ParsedRow, parse_observed_at, reader, snapshot_mark_hint

HookT = TypeVar("HookT", bound=Callable[[Any], Any])
DefaultT = TypeVar("DefaultT")
DispatcherT = TypeVar("DispatcherT", SyncDispatcher, AsyncDispatcher)
OnIllegal = Literal["adopt", "hold", "raise"]

UNCHANGED: Final = Observation((), (), "consistent")
"""The observation of a row that repeats the last one."""


@public_as("Monitor")
class BaseMonitor(Generic[DispatcherT]):
    """
    A monitor: a store of batches, a registry of hooks, and a dispatcher that calls them.

    The store is in memory, or in a journal and in memory. `Monitor` and `AsyncMonitor` differ in the
    dispatcher.
    """

    def __init__(
        self,
        dialect: str | Dialect | Lifecycle,
        on_illegal: OnIllegal,
        journal: Journal | None,
        keep_ended: int | None,
        dispatcher: type[DispatcherT],
        *,
        coroutines: bool,
    ) -> None:
        if on_illegal not in ("adopt", "hold", "raise"):
            msg = f"on_illegal is 'adopt', 'hold' or 'raise', not {on_illegal!r}"
            raise ValueError(msg)
        place: object = journal
        if isinstance(place, str | PathLike):
            msg = f"journal= takes a journal, not where it is: SQLiteJournal({str(place)!r})"
            raise TypeError(msg)
        if journal is not None and not callable(getattr(journal, "commit", None)):
            raise TypeError(f"journal is a journal, such as SQLiteJournal('batches.db'), not {journal!r}")
        if getattr(journal, "is_closed", False):
            raise JournalError(getattr(journal, "name", repr(journal)), "it is closed")
        _check_keep_ended(keep_ended)
        self.dialect: Final = (found := get_dialect(dialect))
        """The dialect of the snapshots."""
        self._reader = reader(found)
        self._graph = topology(found.lifecycle)
        self._hooks = HookRegistry(self._graph, coroutines=coroutines, is_journaled=journal is not None)
        fold = Fold(found, on_illegal="adopt" if on_illegal == "adopt" else "hold")
        memory = BatchStore(fold, self._graph, self._hooks, raises_illegal=on_illegal == "raise", keep_ended=keep_ended)
        self._store: Final[BatchStore | JournaledBatchStore] = (
            memory if journal is None else JournaledBatchStore(memory, JournalClient(journal, self._hooks, self._graph))
        )
        self._dispatcher: DispatcherT = dispatcher(self._store)
        self._journal = journal

    def __repr__(self) -> str:
        """Show the dialect, and the number of batches in memory or the journal, which is not read."""
        content = f"batches: {self._store.count()}" if self._journal is None else f"journal: {self._journal!r}"
        return f"<{type(self).__name__} {self.dialect.name}, {content}>"

    def on(
        self, *statuses: str, source: str | None = None, target: str | None = None, name: str | None = None
    ) -> Callable[[HookT], HookT]:
        """
        Register a hook on transitions; use it as a decorator, with parentheses.

        Args:
            statuses: Call the hook when a batch enters one of these.
            source: Call it when a batch leaves this status. Together with statuses or
                `target` it names an edge, which the lifecycle must have; a gap is no
                edge, since its steps are unknown.
            target: Call it when a batch enters this status. Without any of the three
                it is called for every transition.
            name: The hook's name in journals and errors; `module.qualname` by default.
                In a journal it must be unique, and the same after a restart.

        Returns:
            A decorator that returns the function unchanged, so that they stack.

        Raises:
            TypeError: If used without parentheses, with statuses and `target`, for a
                function that does not take one argument, or, on a plain `Monitor`,
                for a coroutine function.
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
            TypeError: For a function that does not take one argument, or, on a plain
                `Monitor`, for a coroutine function.
            UnknownNameError: If a code names no rule.
        """
        return self._hooks.on_finding(first, codes, name)

    def __getitem__(self, batch_id: str) -> TrackedBatch:
        """
        Return a tracked batch, from memory or the journal.

        Raises:
            KeyError: If it was never observed, or was forgotten.
        """
        record = self._dispatcher.with_journal(self._store.find_record, batch_id)
        if record is None:
            raise KeyError(batch_id)
        snapshot = record.snapshot(batch_id)
        return TrackedBatch(
            id=batch_id,
            status=record.status if record.status is not None or snapshot is None else snapshot.status,
            terminal=record.status in self._graph.terminal,
            snapshot=snapshot,
            verdict=record.verdict,
            transitions=record.transitions(batch_id),
        )

    @overload
    def get(self, batch_id: str) -> TrackedBatch | None: ...

    @overload
    def get(self, batch_id: str, default: DefaultT) -> TrackedBatch | DefaultT: ...

    def get(self, batch_id: str, default: object = None) -> object:
        """Return a tracked batch, from memory or the journal; `default` if it is not tracked."""
        try:
            return self[batch_id]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the batches tracked now; with a journal, of those in it."""
        return iter(self._dispatcher.with_journal(self._store.batch_ids))

    @property
    def open(self) -> tuple[str, ...]:
        """The ids of the batches that have not ended, in memory or in the journal."""
        return self._dispatcher.with_journal(self._store.batch_ids, only_open=True)

    def __contains__(self, batch_id: object) -> bool:
        """Return whether a batch is tracked, in memory or in the journal."""
        return (
            isinstance(batch_id, str) and self._dispatcher.with_journal(self._store.find_record, batch_id) is not None
        )

    def __len__(self) -> int:
        """Return the number of tracked batches; with a journal the number in it."""
        return self._dispatcher.with_journal(self._store.count)

    def forget(self, batch_id: str) -> None:
        """
        Remove a batch with its undelivered hooks; when it is observed again, its hooks get the same keys again.

        Raises:
            KeyError: If it is not tracked.
        """
        self._dispatcher.with_journal(self._store.forget, batch_id)

    def _parse(self, batch: object, observed_at: object) -> ParsedRow:
        """Parse a snapshot of any form; raise SnapshotError if it has no readable id."""
        seen_at = parse_observed_at(observed_at)
        parsed = self._reader.read_row(batch, seen_at, self._store.last_row, takes_lists=False)
        if parsed.id is None:
            other = similar_key("id", parsed.snapshot.extra)
            found = "" if other is None else f"; there is {other!r} instead"
            hint = snapshot_mark_hint(parsed.snapshot, self.dialect)
            raise SnapshotError([("$.id", f"a batch without a readable id cannot be tracked{found}{hint}")])
        return parsed


def _check_keep_ended(keep_ended: object) -> None:
    """Raise TypeError or ValueError unless `keep_ended` is a count or None."""
    if keep_ended is None:
        return
    if not isinstance(keep_ended, int) or isinstance(keep_ended, bool):
        msg = f"keep_ended= takes a number of batches, or None for all, not {keep_ended!r}"
        raise TypeError(msg)
    if keep_ended < 0:
        msg = f"keep_ended= is a number of batches, 0 or more, not {keep_ended}"
        raise ValueError(msg)
