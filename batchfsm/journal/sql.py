"""The journal in SQL that SQLite 3.35 and PostgreSQL both understand; how to talk to each of them stands elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from itertools import count
from threading import Lock
from typing import Any, Final, TypeVar

import attrs

from batchfsm.errors import JournalError
from batchfsm.journal.migrations import MIGRATIONS
from batchfsm.journal.protocol import (
    BatchUpdate,
    Call,
    DeliveryOutcome,
    OutboxEntry,
    PendingDelivery,
    StoredBatch,
    Written,
)
from batchfsm.journal.serialization import snapshot_text, transition_of, transition_text

Execute = Callable[..., Any]
"""Runs one statement, given with `?` for its arguments, and returns its cursor."""

AnswerT = TypeVar("AnswerT")

_PENDING: Final = """
SELECT transition, snapshot, hook, tries, error, owner, key
FROM batchfsm_deliveries JOIN batchfsm_transitions USING (batch_id, key)
WHERE """
_IN_ORDER: Final = " ORDER BY batch_id, revision, batchfsm_transitions.number, batchfsm_deliveries.number"

# A clock that was set back puts `now` before the failure: then the wait would have an end that nobody meant.
_DUE: Final = "dead = 0 AND NOT (failed_at <= ? AND ? < due_at)"


class SQLJournal(ABC):
    """What SQLite and PostgreSQL share: all but connections, locks and signs of life."""

    is_remote = False

    def __init__(self, name: str) -> None:
        """
        Take a name.

        Args:
            name: How the journal is shown; a path, or an address without its password.
        """
        self.name = name
        self._numbers = count(1)
        self._lock = Lock()

    @abstractmethod
    def _run(self, work: Callable[[Execute], AnswerT], *, writes: bool = True) -> AnswerT:
        """
        Do some work in one transaction; it may be done again if the connection broke, so it must bear that.

        Raises:
            JournalError: If it cannot be done.
        """

    @abstractmethod
    def _lock_batch(self, execute: Execute, batch_id: str) -> None:
        """Let nobody else commit to a batch, or claim of it, until the transaction ends."""

    @abstractmethod
    def _acquire_liveness(self) -> str:
        """Return the name of a lock that this journal holds until it is closed or its process ends."""

    @abstractmethod
    def _is_alive(self, name: str) -> bool:
        """Return True if a journal, in this process or another one, holds the lock of that name."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database; what is held by this journal's monitors is free from now on."""

    def before_fork(self) -> None:
        """Wait for the end of a transaction, which the child could not end, and begin no other one."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Allow transactions again."""
        self._lock.release()

    @abstractmethod
    def after_fork_in_child(self) -> None:
        """Leave connection, lock and owners to the parent; the next call in the child makes new ones."""

    def enlist(self, call: Call) -> str:  # noqa: ARG002  # Here the monitor itself calls its hooks.
        """Return a name for one monitor."""
        return f"{self._acquire_liveness()}/{next(self._numbers)}"

    def load(self, batch_id: str) -> StoredBatch | None:
        """Return what is known of a batch; None if nothing is."""

        def work(execute: Execute) -> StoredBatch | None:
            row = execute("SELECT revision, state FROM batchfsm_batches WHERE id = ?", batch_id).fetchone()
            return None if row is None else StoredBatch(revision=row[0], state=row[1])

        return self._run(work, writes=False)

    def commit(self, change: BatchUpdate) -> Written | None:
        """Write a batch, its transitions and their deliveries in one transaction; None if another was faster."""

        def work(execute: Execute) -> Written | None:
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
                # Of a connection that broke in mid-commit nobody knows whether it did; this row does.
                row = execute("SELECT revision, writer FROM batchfsm_batches WHERE id = ?", change.batch_id).fetchone()
                is_ours = row is not None and tuple(row) == (revision, change.owner)
                return self._found(execute, change) if is_ours else None
            before = execute(
                "SELECT count(*) FROM batchfsm_deliveries WHERE batch_id = ? AND owner <> ? AND tries = 0 AND dead = 0",
                change.batch_id, change.owner,
            ).fetchone()[0]  # fmt: skip
            self._enter(execute, attrs.evolve(change, owner="") if before else change, revision)
            return "left" if before else "held"

        return self._run(work)

    def _found(self, execute: Execute, change: BatchUpdate) -> Written:
        """Tell who has the deliveries of a change that was written before its connection broke."""
        sql = "SELECT key FROM batchfsm_deliveries WHERE batch_id = ? AND owner = ?"
        held = {key for (key,) in execute(sql, change.batch_id, change.owner).fetchall()}
        wanted = {entry.transition.key for entry in change.entries if entry.hooks}
        return "held" if wanted <= held else "left"

    def _enter(self, execute: Execute, change: BatchUpdate, revision: int) -> None:
        """Write the rows of a change's transitions."""
        for number, entry in enumerate(change.entries):
            transition, snapshot = entry.transition, entry.transition.snapshot
            entered = execute(
                "INSERT INTO batchfsm_transitions (batch_id, key, revision, number, transition, snapshot)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                change.batch_id, transition.key, revision, number, transition_text(transition),
                None if snapshot is None or not entry.hooks else snapshot_text(snapshot),
            )  # fmt: skip
            if entered.rowcount:
                self._queue(execute, change, entry)

    def _queue(self, execute: Execute, change: BatchUpdate, entry: OutboxEntry) -> None:
        """Write who is to hear of one transition."""
        for number, hook in enumerate(entry.hooks):
            execute(
                "INSERT INTO batchfsm_deliveries (batch_id, key, hook, number, owner) VALUES (?, ?, ?, ?, ?)",
                change.batch_id, entry.transition.key, hook, number, change.owner,
            )  # fmt: skip

    def waiting(self, now: float | None) -> list[str]:
        """Return the batches with deliveries that are due, held ones included."""
        due = ("dead = 0",) if now is None else (_DUE, now, now)

        def work(execute: Execute) -> list[str]:
            where, *when = due
            found = execute(f"SELECT DISTINCT batch_id FROM batchfsm_deliveries WHERE {where} ORDER BY 1", *when)  # noqa: S608
            return [batch_id for (batch_id,) in found.fetchall()]

        return self._run(work, writes=False)

    def claim(
        self, batch_id: str, owner: str, hooks: Collection[str], *, retry: bool, now: float | None
    ) -> list[PendingDelivery]:
        """Hold the deliveries of a batch that no living monitor holds, and those that the owner holds already."""
        where, when = ("dead = 0", ()) if now is None else (_DUE, (now, now))
        if not retry:
            where += " AND tries = 0"

        def work(execute: Execute) -> list[PendingDelivery]:
            self._lock_batch(execute, batch_id)
            rows = execute(f"{_PENDING} batch_id = ? AND {where} {_IN_ORDER}", batch_id, *when).fetchall()
            free = {held for *_, held, _ in rows if held in {"", owner} or not self._is_alive(held.partition("/")[0])}
            is_busy = any(not row[3] and held not in free for *row, held, _ in rows)
            wanted = [
                (key, row[2], held)
                for *row, held, key in rows
                if held in free and row[2] in hooks and (row[3] or held == owner or not is_busy)
            ]
            # Another process may ask at the same time: then one of the two finds that it has another holder now.
            sql = "UPDATE batchfsm_deliveries SET owner = ? WHERE batch_id = ? AND key = ? AND hook = ? AND owner = ?"
            taken = [each[:2] for each in wanted if execute(sql, owner, batch_id, *each).rowcount]
            return [self._pending(row) for *row, _, key in rows if (key, row[2]) in taken]

        return self._run(work)

    def record(self, outcome: DeliveryOutcome) -> None:
        """Forget a delivery whose hook returned; let go of one whose hook raised."""
        of = (outcome.batch_id, outcome.key)

        def work(execute: Execute) -> None:
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
                    outcome.tries, outcome.failed_at, outcome.due_at, outcome.error, int(outcome.dead),
                    *of, outcome.hook,
                )  # fmt: skip

        self._run(work)

    def release(self, batch_id: str, owner: str) -> None:
        """Let go of all deliveries of a batch that the owner holds."""
        sql = "UPDATE batchfsm_deliveries SET owner = '' WHERE batch_id = ? AND owner = ?"
        self._run(lambda execute: execute(sql, batch_id, owner))

    def forget(self, batch_id: str) -> None:
        """Drop a batch with all that is kept of it."""

        def work(execute: Execute) -> None:
            # The batch first, as everywhere: who locks in another order may wait for ever.
            execute("DELETE FROM batchfsm_batches WHERE id = ?", batch_id)
            execute("DELETE FROM batchfsm_deliveries WHERE batch_id = ?", batch_id)
            execute("DELETE FROM batchfsm_transitions WHERE batch_id = ?", batch_id)

        self._run(work)

    def count(self) -> int:
        """Return how many batches are kept."""
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
        """Return the deliveries that are not dead, or those that are; in order of batches."""
        rows = self._run(
            lambda execute: execute(f"{_PENDING} dead = ? {_IN_ORDER}", int(dead)).fetchall(), writes=False
        )
        return [self._pending(row) for row in rows]

    def pending_of(self, batch_id: str) -> list[PendingDelivery]:
        """Return all deliveries of one batch, in order."""
        rows = self._run(
            lambda execute: execute(f"{_PENDING} batch_id = ? {_IN_ORDER}", batch_id).fetchall(), writes=False
        )
        return [self._pending(row) for row in rows]

    def revive(self) -> int:
        """Make all dead deliveries pending, as if never tried, and return how many there were."""
        sql = "UPDATE batchfsm_deliveries SET dead = 0, tries = 0, failed_at = 0, due_at = 0 WHERE dead = 1"
        number: int = self._run(lambda execute: execute(sql)).rowcount
        return number

    def _pending(self, row: Sequence[Any]) -> PendingDelivery:
        transition, snapshot, hook, tries, error, *_ = row
        try:
            subject = transition_of(transition, snapshot)
        except (AttributeError, TypeError, ValueError) as problem:
            raise JournalError(self.name, f"a transition in it cannot be read: {problem}") from problem
        return PendingDelivery(transition=subject, hook=hook, tries=tries, error=error)

    def _migrate(self, execute: Execute, version: int) -> bool:
        """
        Bring the schema up to date.

        Args:
            execute: Runs a statement.
            version: Which one was found; 0 for none.

        Returns:
            Whether there was anything to do.

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
