"""
Time and size of a journal: `python tests/bench/journal.py [rounds] [directory]`. The time is compared with a bare INSERT.

The peer is the smallest durable hook: one row with a key and a time in another SQLite file on the same disk, with WAL
and `synchronous=FULL`, and one transaction for each row.
Medians of interleaved rounds. The size is that of a SQLite file after VACUUM, with a thousand batches of four
transitions each, before and after they are pruned. With BATCHFSM_POSTGRES set to an address, PostgreSQL is measured the same way, in a
schema that is dropped at the end.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

from observe import COMPLETED, life

sys.path.insert(0, str(Path(__file__).parents[1]))
from batchfsm import Monitor, PostgresJournal, SQLiteJournal
from support.journals import drop, own_schema, server_or_skip

ROUNDS = 400
SIZED = 1_000


def bare_sqlite(folder):
    """Return a function that commits one row to SQLite."""
    db = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE entered (key TEXT PRIMARY KEY, at INTEGER)")
    numbers = count()
    return lambda: db.execute("INSERT INTO entered VALUES (?, ?)", (f"batch_{next(numbers)}/completed/1", 1))


def bare_postgres(db):
    """Return a function that commits one row to PostgreSQL."""
    db.execute("CREATE TABLE entered (key TEXT PRIMARY KEY, at BIGINT)")
    numbers = count()
    return lambda: db.execute("INSERT INTO entered VALUES (%s, %s)", (f"batch_{next(numbers)}/completed/1", 1))


def journaled(journal, *, with_hook):
    """Return a function that prepares a batch, and one that observes its next step."""
    monitor = Monitor(journal=journal)
    if with_hook:
        monitor.on(name="bench")(lambda _: None)
    numbers = count()
    rows = life(COMPLETED)

    def prepared():
        batch_id = f"bench_{os.getpid()}_{with_hook}_{next(numbers)}"
        monitor.observe(rows[0] | {"id": batch_id})
        return rows[1] | {"id": batch_id}

    return prepared, monitor.observe


def measured(peer, parts, rounds):
    """Print the time of each part, and its ratio to the peer."""
    taken = {name: [] for name in parts}
    bare = []
    for _ in range(rounds):
        begun = perf_counter()
        peer()
        bare.append(perf_counter() - begun)
        for name, (prepared, observe) in parts.items():
            row = prepared()
            begun = perf_counter()
            observe(row)
            taken[name].append(perf_counter() - begun)
    print(f"{'a bare row, committed':46}{median(bare) * 1e6:8.0f}{1:7.2f}")
    for name, times in taken.items():
        print(f"{name:46}{median(times) * 1e6:8.0f}{median(times) / median(bare):7.2f}")


def size_per_batch(path):
    """Return the bytes of a SQLite journal for each of its batches."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size / SIZED


def sizes(folder):
    """Print the size of a batch with four transitions, and its size after it is pruned."""
    path = Path(folder) / "sized.db"
    with SQLiteJournal(path) as journal:
        monitor = Monitor(journal=journal)
        for number in range(SIZED):
            born = COMPLETED["created_at"] + number
            for row in life(COMPLETED):
                monitor.observe(row | {"id": f"batch_{born:08x}{number:024x}"})
    print(f"{'a batch with four transitions':46}{size_per_batch(path):8,.0f} bytes")
    with SQLiteJournal(path) as journal:
        journal.prune(ended_before=COMPLETED["completed_at"] + 1)
    print(f"{'the same, pruned':46}{size_per_batch(path):8,.0f} bytes")


def main(rounds, folder):
    """Print the tables."""
    print(f"{'':46}{'us':>8}{'ratio':>7}")
    with tempfile.TemporaryDirectory(dir=folder) as here:
        print("SQLiteJournal")
        first, second = SQLiteJournal(Path(here) / "first.db"), SQLiteJournal(Path(here) / "second.db")
        parts = {
            "a transition, committed": journaled(first, with_hook=False),
            "a transition, committed; its hook acknowledged": journaled(second, with_hook=True),
        }
        measured(bare_sqlite(here), parts, rounds)
        first.close()
        second.close()
        sizes(here)
    if "BATCHFSM_POSTGRES" in os.environ:
        print("PostgresJournal")
        psycopg = server_or_skip()
        schema, address = own_schema(psycopg)
        with PostgresJournal(address) as first, PostgresJournal(address) as second:
            parts = {
                "a transition, committed": journaled(first, with_hook=False),
                "a transition, committed; its hook acknowledged": journaled(second, with_hook=True),
            }
            with psycopg.connect(address, autocommit=True) as db:
                measured(bare_postgres(db), parts, rounds)
        drop(psycopg, schema)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS, sys.argv[2] if len(sys.argv) > 2 else None)
