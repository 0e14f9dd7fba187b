"""The statements of both journals, in SQL that SQLite 3.35 and PostgreSQL understand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from itertools import count
from threading import Lock
from typing import Any, Final, TypeVar

import attrs

from batchfsm.arguments import public_as
from batchfsm.errors import JournalError
from batchfsm.journal.fork import ForkHandler
from batchfsm.journal.migrations import MIGRATIONS
from batchfsm.journal.protocol import (
    BatchUpdate,
    CommitResult,
    DeliveryOutcome,
    FailureCounts,
    HookCall,
    OutboxEntry,
    PendingDelivery,
    PruneResult,
    StoredBatch,
)
from batchfsm.journal.retry import RetryState
from batchfsm.journal.serialization import snapshot_text, transition_of, transition_text
from batchfsm.journal.state_compression import compress_state, decompress_state

Execute = Callable[..., Any]
"""Runs one statement, written with `?` for its arguments, and returns its cursor."""

AnswerT = TypeVar("AnswerT")

_PENDING: Final = """
SELECT transition, snapshot, hook, tries, error, failed_at, due_at, owner, key
FROM batchfsm_deliveries JOIN batchfsm_transitions USING (batch_id, key)
WHERE """
_IN_ORDER: Final = " ORDER BY batch_id, revision, batchfsm_transitions.number, batchfsm_deliveries.number"

# After the clock was set back `now` is before the failure. Then the delivery is due, or it could wait for years.
_DUE: Final = "dead = 0 AND NOT (failed_at <= ? AND ? < due_at)"

_PRUNE_BATCHES: Final = 200
"""Batches that are pruned in one transaction: other processes wait for each for some milliseconds."""

_OLD: Final = """
SELECT id, number, revision, state, EXISTS (SELECT 1 FROM batchfsm_deliveries WHERE batch_id = id)
FROM batchfsm_batches
WHERE ended_at < ? AND (number > ? OR number = ? AND id > ?)
AND EXISTS (SELECT 1 FROM batchfsm_transitions WHERE batch_id = id)
ORDER BY number, id LIMIT ?"""


@public_as("Journal")
class SQLJournal(ForkHandler):
    """
    The base of the journals in SQLite and PostgreSQL, which add connections and locks.

    Args:
        name: The journal in messages; a path, or an address without its password.
    """

    is_remote = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._numbers = count(1)
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @abstractmethod
    def _run(self, transaction: Callable[[Execute], AnswerT], *, writes: bool = True) -> AnswerT:
        """
        Run a function in one transaction and return its result.

        The function runs again after a connection broke, so a second run must have the same effect.

        Raises:
            JournalError: If the database reports an error.
        """

    @abstractmethod
    def _lock_batch(self, execute: Execute, batch_id: str) -> None:
        """Keep other processes from committing and claiming for a batch until the transaction ends."""

    @abstractmethod
    def _acquire_liveness(self) -> str:
        """Return the name of a lock that this journal holds until it is closed or its process ends."""

    @abstractmethod
    def _is_alive(self, name: str) -> bool:
        """Return True if a journal, in this process or another one, holds the lock of that name."""

    @abstractmethod
    def close(self) -> None:
        """Close the database and release the leases of this journal's monitors."""

    def before_fork(self) -> None:
        """Wait for the end of a transaction, which the child could not end, and begin no other one."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Allow transactions again."""
        self._lock.release()

    @abstractmethod
    def after_fork_in_child(self) -> None:
        """Leave connection, lock and owners to the parent; the next call in the child makes new ones."""

    def register_owner(self, call: HookCall) -> str:  # noqa: ARG002  # The monitor itself calls its hooks.
        """Return a name for one monitor."""
        return f"{self._acquire_liveness()}/{next(self._numbers)}"

    def load(self, batch_id: str) -> StoredBatch | None:
        """Return a stored batch; None if there is none of that id."""
        sql = "SELECT revision, state FROM batchfsm_batches WHERE id = ?"
        row = self._run(lambda execute: execute(sql, batch_id).fetchone(), writes=False)
        if row is None:
            return None
        try:
            return StoredBatch(revision=row[0], state=decompress_state(row[1]))
        except ValueError as error:
            raise JournalError(self.name, f"the record of {batch_id} cannot be read: {error}") from error

    def commit(self, change: BatchUpdate) -> CommitResult | None:
        """Write a batch, its transitions and their deliveries; None if the stored revision is another one."""

        def transaction(execute: Execute) -> CommitResult | None:
            self._lock_batch(execute, change.batch_id)
            revision = change.expected + 1
            if change.expected:
                taken = execute(
                    "UPDATE batchfsm_batches SET revision = ?, writer = ?, state = ?, ended_at = ?"
                    " WHERE id = ? AND revision = ?",
                    revision, change.owner, change.state, change.ended_at, change.batch_id, change.expected,
                )  # fmt: skip
            else:
                taken = execute(
                    "INSERT INTO batchfsm_batches (id, revision, writer, state, ended_at, number)"
                    " SELECT ?, ?, ?, ?, ?, coalesce(max(number), 0) + 1 FROM batchfsm_batches"
                    " WHERE true ON CONFLICT DO NOTHING",  # SQLite needs WHERE to tell ON CONFLICT from a join.
                    change.batch_id, revision, change.owner, change.state, change.ended_at,
                )  # fmt: skip
            if taken.rowcount == 0:
                # A connection may break during a commit. Then only this row shows whether the commit was made.
                row = execute("SELECT revision, writer FROM batchfsm_batches WHERE id = ?", change.batch_id).fetchone()
                is_ours = row is not None and tuple(row) == (revision, change.owner)
                return self._result_of_lost_commit(execute, change) if is_ours else None
            before = execute(
                "SELECT count(*) FROM batchfsm_deliveries WHERE batch_id = ? AND owner <> ? AND tries = 0 AND dead = 0",
                change.batch_id, change.owner,
            ).fetchone()[0]  # fmt: skip
            self._insert_transitions(execute, attrs.evolve(change, owner="") if before else change, revision)
            return "queued" if before else "leased"

        return self._run(transaction)

    def _result_of_lost_commit(self, execute: Execute, change: BatchUpdate) -> CommitResult:
        """Return the result of a commit that was made before its connection broke."""
        sql = "SELECT key FROM batchfsm_deliveries WHERE batch_id = ? AND owner = ?"
        held = {key for (key,) in execute(sql, change.batch_id, change.owner).fetchall()}
        wanted = {entry.transition.key for entry in change.entries if entry.hooks}
        return "leased" if wanted <= held else "queued"

    def _insert_transitions(self, execute: Execute, change: BatchUpdate, revision: int) -> None:
        for number, entry in enumerate(change.entries):
            transition = entry.transition
            entered = execute(
                "INSERT INTO batchfsm_transitions (batch_id, key, revision, number, transition, snapshot)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                change.batch_id, transition.key, revision, number, transition_text(transition),
                snapshot_text(entry.transition.snapshot) if entry.hooks else None,
            )  # fmt: skip
            if entered.rowcount:
                self._insert_deliveries(execute, change, entry)

    def _insert_deliveries(self, execute: Execute, change: BatchUpdate, entry: OutboxEntry) -> None:
        for number, hook in enumerate(entry.hooks):
            execute(
                "INSERT INTO batchfsm_deliveries (batch_id, key, hook, number, owner) VALUES (?, ?, ?, ?, ?)",
                change.batch_id, entry.transition.key, hook, number, change.owner,
            )  # fmt: skip

    def batches_with_pending(self, now: float | None) -> list[str]:
        """Return the ids of batches with deliveries that are due, leased ones included."""
        where, when = _is_due(now)
        sql = f"SELECT DISTINCT batch_id FROM batchfsm_deliveries WHERE {where} ORDER BY 1"  # noqa: S608
        rows = self._run(lambda execute: execute(sql, *when).fetchall(), writes=False)
        return [batch_id for (batch_id,) in rows]

    def claim(
        self, batch_id: str, owner: str, hooks: Collection[str], *, retry: bool, now: float | None
    ) -> list[PendingDelivery]:
        """Lease the free deliveries of a batch; return them and those that the owner leases already, in order."""
        where, when = _is_due(now)
        if not retry:
            where += " AND tries = 0"

        def transaction(execute: Execute) -> list[PendingDelivery]:
            self._lock_batch(execute, batch_id)
            rows = execute(f"{_PENDING} batch_id = ? AND {where} {_IN_ORDER}", batch_id, *when).fetchall()
            leases = {lease for *_, lease, _ in rows}
            free = {each for each in leases if each in {"", owner} or not self._is_alive(each.partition("/")[0])}
            is_busy = any(not row[3] and lease not in free for *row, lease, _ in rows)
            wanted = [
                (key, row[2], lease)
                for *row, lease, key in rows
                if lease in free and row[2] in hooks and (row[3] or lease == owner or not is_busy)
            ]
            # A release does not wait for this transaction, so the lease may have changed since it was read.
            sql = "UPDATE batchfsm_deliveries SET owner = ? WHERE batch_id = ? AND key = ? AND hook = ? AND owner = ?"
            leased = {each[:2] for each in wanted if execute(sql, owner, batch_id, *each).rowcount}
            return [self._to_pending(row) for *row, _, key in rows if (key, row[2]) in leased]

        return self._run(transaction)

    def record(self, outcome: DeliveryOutcome) -> None:
        """Delete a delivery whose hook returned; release one whose hook raised."""
        of = (outcome.batch_id, outcome.key)

        def transaction(execute: Execute) -> None:
            if outcome.error is None:
                execute(
                    "DELETE FROM batchfsm_deliveries WHERE batch_id = ? AND key = ? AND hook = ?", *of, outcome.hook
                )
                execute(
                    "UPDATE batchfsm_transitions SET snapshot = NULL WHERE batch_id = ? AND key = ? AND NOT EXISTS"
                    " (SELECT 1 FROM batchfsm_deliveries WHERE batch_id = ? AND key = ?)",
                    *of, *of,
                )  # fmt: skip
            else:
                execute(
                    "UPDATE batchfsm_deliveries SET owner = '', tries = ?, failed_at = ?, due_at = ?, error = ?,"
                    " dead = ? WHERE batch_id = ? AND key = ? AND hook = ?",
                    outcome.retry.tries, outcome.retry.failed_at, outcome.retry.due_at, outcome.error,
                    int(self._is_dead(outcome.retry)),
                    *of, outcome.hook,
                )  # fmt: skip

        self._run(transaction)

    def release_leases(self, batch_id: str, owner: str) -> None:
        """Release all deliveries of a batch that the owner leases."""
        sql = "UPDATE batchfsm_deliveries SET owner = '' WHERE batch_id = ? AND owner = ?"
        self._run(lambda execute: execute(sql, batch_id, owner))

    def forget(self, batch_id: str) -> None:
        """Delete a batch with its transitions and deliveries."""

        def transaction(execute: Execute) -> None:
            # The batch first, as in all transactions: in another order two of them could wait for each other.
            execute("DELETE FROM batchfsm_batches WHERE id = ?", batch_id)
            execute("DELETE FROM batchfsm_deliveries WHERE batch_id = ?", batch_id)
            execute("DELETE FROM batchfsm_transitions WHERE batch_id = ?", batch_id)

        self._run(transaction)

    def count(self) -> int:
        """Return the number of stored batches."""
        sql = "SELECT count(*) FROM batchfsm_batches"
        number: int = self._run(lambda execute: execute(sql).fetchone(), writes=False)[0]
        return number

    def batch_ids(self, *, only_open: bool = False) -> tuple[str, ...]:
        """Return the ids of the stored batches, or of those that have not ended, in the order first seen."""
        where = "WHERE ended_at IS NULL " if only_open else ""
        sql = f"SELECT id FROM batchfsm_batches {where}ORDER BY number, id"  # noqa: S608
        rows = self._run(lambda execute: execute(sql).fetchall(), writes=False)
        return tuple(batch_id for (batch_id,) in rows)

    def pending(self, *, dead: bool = False) -> list[PendingDelivery]:
        """Return the deliveries that are not dead letters, or the dead letters; in order of batches."""
        rows = self._run(
            lambda execute: execute(f"{_PENDING} dead = ? {_IN_ORDER}", int(dead)).fetchall(), writes=False
        )
        return [self._to_pending(row) for row in rows]

    def pending_of(self, batch_id: str) -> list[PendingDelivery]:
        """Return all deliveries of one batch, in order."""
        rows = self._run(
            lambda execute: execute(f"{_PENDING} batch_id = ? {_IN_ORDER}", batch_id).fetchall(), writes=False
        )
        return [self._to_pending(row) for row in rows]

    def count_failures(self, hooks: Collection[str]) -> FailureCounts:
        """Return the number of failing deliveries to these hooks, and of dead letters to any hook."""
        sql = "SELECT hook, dead, count(*) FROM batchfsm_deliveries WHERE tries > 0 GROUP BY hook, dead"
        rows = self._run(lambda execute: execute(sql).fetchall(), writes=False)
        return FailureCounts(
            failing=sum(number for hook, dead, number in rows if not dead and hook in hooks),
            dead=sum(number for _, dead, number in rows if dead),
        )

    def _is_dead(self, retry: RetryState) -> bool:
        """Return True if a delivery is a dead letter after these tries."""
        return retry.is_dead

    def requeue_dead(self) -> int:
        """Make all dead letters pending, as if never tried; return their number."""
        sql = "UPDATE batchfsm_deliveries SET dead = 0, tries = 0, failed_at = 0, due_at = 0 WHERE dead = 1"
        number: int = self._run(lambda execute: execute(sql)).rowcount
        return number

    def drop_dead(self) -> int:
        """Delete all dead letters; return their number."""

        def transaction(execute: Execute) -> int:
            number: int = execute("DELETE FROM batchfsm_deliveries WHERE dead = 1").rowcount
            execute(
                "UPDATE batchfsm_transitions SET snapshot = NULL WHERE snapshot IS NOT NULL AND NOT EXISTS"
                " (SELECT 1 FROM batchfsm_deliveries WHERE batchfsm_deliveries.batch_id = batchfsm_transitions.batch_id"
                " AND batchfsm_deliveries.key = batchfsm_transitions.key)"
            )
            return number

        return self._run(transaction)

    def prune(self, *, ended_before: float) -> PruneResult:
        """Shrink the batches that ended before a time and have no delivery left."""
        pruned = kept = 0
        last: tuple[int, str] = (-1, "")

        def transaction(execute: Execute) -> tuple[int, int, tuple[int, str] | None]:
            number, batch_id = last
            rows = execute(_OLD, ended_before, number, number, batch_id, _PRUNE_BATCHES).fetchall()
            free = [(batch_id, revision, state) for batch_id, _, revision, state, is_pending in rows if not is_pending]
            changed = sum(self._prune_batch(execute, *each) for each in free)
            return changed, len(rows) - len(free), (rows[-1][1], rows[-1][0]) if rows else None

        while True:
            changed, pending, reached = self._run(transaction)
            if reached is None:
                return PruneResult(pruned=pruned, kept=kept)
            pruned, kept, last = pruned + changed, kept + pending, reached

    def _prune_batch(self, execute: Execute, batch_id: str, revision: int, state: str) -> bool:
        """Compress a batch's record and delete its transitions; False if another process has updated it."""
        self._lock_batch(execute, batch_id)
        changed = execute(
            "UPDATE batchfsm_batches SET state = ? WHERE id = ? AND revision = ?"
            " AND NOT EXISTS (SELECT 1 FROM batchfsm_deliveries WHERE batch_id = ?)",
            compress_state(decompress_state(state)), batch_id, revision, batch_id,
        )  # fmt: skip
        if changed.rowcount:
            execute("DELETE FROM batchfsm_transitions WHERE batch_id = ?", batch_id)
        return bool(changed.rowcount)

    def _to_pending(self, row: Sequence[Any]) -> PendingDelivery:
        transition, snapshot, hook, tries, error, failed_at, due_at, *_ = row
        try:
            subject = transition_of(transition, snapshot)
        except (AttributeError, TypeError, ValueError) as problem:
            raise JournalError(self.name, f"a transition in it cannot be read: {problem}") from problem
        return PendingDelivery(transition=subject, hook=hook, retry=RetryState(tries, failed_at, due_at), error=error)

    def _migrate(self, execute: Execute, version: int) -> bool:
        """
        Bring the schema up to date.

        Args:
            execute: Runs a statement.
            version: The version of the database; 0 for an empty one.

        Returns:
            True if the schema was changed.

        Raises:
            JournalError: If a newer batchfsm made it.
        """
        if version < 0:
            raise JournalError(self.name, f"it is damaged: its schema has version {version}")
        if version > len(MIGRATIONS):
            problem = (
                f"a newer batchfsm made it: its schema has version {version}, and this one knows {len(MIGRATIONS)}"
            )
            raise JournalError(self.name, problem)
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                if callable(statement):
                    statement(execute)
                else:
                    execute(statement)
        return version < len(MIGRATIONS)


def _is_due(now: float | None) -> tuple[str, tuple[float, ...]]:
    """Return the condition for deliveries that are due, and its arguments."""
    return ("dead = 0", ()) if now is None else (_DUE, (now, now))
