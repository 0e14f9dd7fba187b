"""What a monitor may expect of every journal, and what each makes of files and servers that are not as they should be."""

from __future__ import annotations

import hashlib
import os
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import attrs
import pytest

import batchfsm
from batchfsm import DIALECTS, JournalError, SQLiteJournal
from batchfsm.history import BatchRecord, Fold, dump
from batchfsm.journal import DeliveryOutcome, StoredBatch, postgres, sql
from batchfsm.journal.liveness import LivenessLock, dead, is_alive
from batchfsm.wire import reader
from support.journals import Desk, StandIn, change, drop, own_schema, server_or_skip, short, transitions, unheard
from support.notation import seen, snap

BORN, RUNS, ENDS = transitions(snap("v"), snap("vp"), snap("vpz"))


@pytest.fixture(params=["sqlite", "stand-in", pytest.param("postgres", marks=pytest.mark.server)])
def desk(request, tmp_path, monkeypatch):
    """A place for a journal: a file, a stand-in for PostgreSQL, or a schema of its own on the real one."""
    schema, psycopg = "", None
    where: Any = tmp_path / "journal.db"
    if request.param == "stand-in":
        driver, where = StandIn(where), "stand-in"
        monkeypatch.setattr(postgres, "driver", lambda: driver)
    if request.param == "postgres":
        psycopg = server_or_skip()
        schema, where = own_schema(psycopg)
    desk = Desk(where)
    yield desk
    desk.close()
    if psycopg is not None:
        drop(psycopg, schema)


# ---------------------------------------------------------------- what is kept


def test_what_was_never_written_is_not_there(desk):
    """No batch, no delivery, nothing to be called for."""
    journal = desk.open()

    assert (None, 0, [], [], 0) == (
        journal.load("batch_1"), journal.count(), journal.pending(), journal.waiting(None), journal.revive()
    )  # fmt: skip


def test_what_is_committed_is_there_for_everybody(desk):
    """State and revision, for this journal and one opened elsewhere."""
    one, other = desk.open(), desk.open()
    me = one.enlist(unheard)

    assert one.commit(change(me, (BORN, ("h",))))
    assert one.commit(change(me, (RUNS, ("h", "i")), expected=1, state="t"))
    for journal in (one, other):
        assert (StoredBatch(revision=2, state="t"), 1) == (journal.load("batch_1"), journal.count())
        assert [("validating", "h", 0), ("in_progress", "h", 0), ("in_progress", "i", 0)] == short(journal.pending())
        assert ["batch_1"] == journal.waiting(None)


def test_what_is_pending_has_its_snapshot_whole(desk):
    """As it was observed; until the last hook has returned."""
    journal = desk.open()
    me = journal.enlist(unheard)
    journal.commit(change(me, (RUNS, ("h", "i"))))

    first, second = journal.claim("batch_1", me, {"h", "i"}, retry=False, now=None)
    assert [RUNS, RUNS] == [first.transition, second.transition]
    journal.record(DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="h"))
    assert [RUNS] == [each.transition for each in journal.pending()]


def test_a_snapshot_goes_with_the_last_acknowledgement(tmp_path):
    """The row of the transition stays: one a key."""
    journal = SQLiteJournal(tmp_path / "j.db")
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ()), (RUNS, ("h",))))
    with sqlite3.connect(tmp_path / "j.db") as db:
        rows = "SELECT key, snapshot IS NULL FROM batchfsm_transitions ORDER BY number"
        assert [(BORN.key, 1), (RUNS.key, 0)] == db.execute(rows).fetchall()
        journal.record(DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="h"))
        assert [(BORN.key, 1), (RUNS.key, 1)] == db.execute(rows).fetchall()
    db.close()
    journal.close()


def test_another_revision_than_expected_writes_nothing(desk):
    """Whoever was slower sees it, and has changed nothing."""
    journal = desk.open()
    me, she = journal.enlist(unheard), desk.open().enlist(unheard)
    assert journal.commit(change(me, (BORN, ("h",))))

    assert not journal.commit(change(she, (BORN, ("h",)), state="hers"))
    assert not journal.commit(change(she, (RUNS, ("h",)), expected=7, state="hers"))
    assert StoredBatch(revision=1, state="s") == journal.load("batch_1")
    assert [("validating", "h", 0)] == short(journal.pending())


def test_the_same_write_again_is_no_race(desk):
    """After a connection that broke in mid-commit the very same change is tried again: it was written, once."""
    journal = desk.open()
    me = journal.enlist(unheard)

    assert ["held", "held"] == [journal.commit(change(me, (BORN, ("h",)))) for _ in range(2)]
    assert [("validating", "h", 0)] == short(journal.pending())


def test_a_key_has_one_row(desk):
    """Were it ever emitted twice, nobody would be called twice."""
    journal = desk.open()
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h"))

    assert journal.commit(change(me, (BORN, ("h",)), expected=1))
    assert [] == journal.pending()


def test_ids_come_in_the_order_first_seen(desk):
    """Later updates of a batch do not change its place; an id seen anew after it was forgotten comes last."""
    journal = desk.open()
    me = journal.enlist(unheard)
    for batch_id in ("batch_b", "batch_c", "batch_a"):
        journal.commit(attrs.evolve(change(me), batch_id=batch_id))
    journal.commit(attrs.evolve(change(me, expected=1), batch_id="batch_c"))
    assert ("batch_b", "batch_c", "batch_a") == desk.open().batch_ids()
    journal.forget("batch_b")
    journal.commit(attrs.evolve(change(me), batch_id="batch_b"))

    assert ("batch_c", "batch_a", "batch_b") == journal.batch_ids()


def test_open_ids_are_those_whose_last_update_had_no_end(desk):
    """An end at an unknown time is an end; an update without one opens the batch again."""
    journal = desk.open()
    me = journal.enlist(unheard)
    for batch_id, ended_at in [("batch_a", None), ("batch_b", 5.5), ("batch_c", 0), ("batch_d", 7)]:
        journal.commit(attrs.evolve(change(me), batch_id=batch_id, ended_at=ended_at))
    journal.commit(attrs.evolve(change(me, expected=1), batch_id="batch_d"))

    assert ("batch_a", "batch_d") == journal.batch_ids(only_open=True)


def test_forgetting_leaves_nothing(desk):
    """And its next sight is a first one."""
    journal = desk.open()
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.forget("batch_1")

    assert (None, 0, []) == (journal.load("batch_1"), journal.count(), journal.pending())
    assert journal.commit(change(me, (BORN, ("h",))))
    assert [("validating", "h", 0)] == short(journal.pending())


# ---------------------------------------------------------------- who holds what


def test_what_somebody_alive_holds_nobody_else_gets(desk):
    """Neither another process nor another monitor on the same journal; the holder gets it again."""
    journal, other = desk.open(), desk.open()
    me, beside, she = journal.enlist(unheard), journal.enlist(unheard), other.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))

    assert [] == journal.claim("batch_1", beside, {"h"}, retry=True, now=None)
    assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)
    assert [("validating", "h", 0)] == short(journal.claim("batch_1", me, {"h"}, retry=False, now=None))


def test_what_comes_behind_somebody_elses_first_try_is_left_to_whoever_has_that(desk):
    """Written by another process, claimed by neither it nor a third one; for a try that raised nobody waits."""
    journal, other = desk.open(), desk.open()
    me, she = journal.enlist(unheard), other.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))

    assert "left" == other.commit(change(she, (RUNS, ("h",)), expected=1))
    assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)
    both = [("validating", "h", 0), ("in_progress", "h", 0)]
    assert both == short(journal.claim("batch_1", me, {"h"}, retry=False, now=None))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h", error="E", tries=1))
    assert [("validating", "h", 1)] == short(other.claim("batch_1", she, {"h"}, retry=True, now=None))
    assert "left" == other.commit(change(she, (ENDS, ("h",)), expected=2))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="h"))
    assert [("finalizing", "h", 0)] == short(other.claim("batch_1", she, {"h"}, retry=False, now=None))


def test_what_was_let_go_anybody_gets_once(desk):
    """The first who asks holds it."""
    journal, other = desk.open(), desk.open()
    me, she = journal.enlist(unheard), other.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.release("batch_1", me)

    assert [("validating", "h", 0)] == short(other.claim("batch_1", she, {"h"}, retry=False, now=None))
    assert [] == journal.claim("batch_1", me, {"h"}, retry=True, now=None)


def test_what_a_closed_journal_held_is_free(desk):
    """So is what a killed process held: tests of faults kill one."""
    journal, other = desk.open(), desk.open()
    me, she = journal.enlist(unheard), other.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.close()

    assert [("validating", "h", 0)] == short(other.claim("batch_1", she, {"h"}, retry=False, now=None))


def test_hooks_that_nobody_has_stay(desk):
    """They are somebody else's, or will be registered again."""
    journal = desk.open()
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ("h", "gone"))))
    journal.release("batch_1", me)

    assert [("validating", "h", 0)] == short(journal.claim("batch_1", me, {"h", "new"}, retry=True, now=None))
    assert [("validating", "h", 0), ("validating", "gone", 0)] == short(journal.pending())


def test_what_raised_comes_when_it_is_asked_for_and_due(desk):
    """Not among first tries; not before its time, nor when the clock was set back; dead never."""
    journal = desk.open()
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    failed = DeliveryOutcome(
        batch_id="batch_1", key=BORN.key, hook="h", error="E: no", tries=1, failed_at=100, due_at=110
    )
    journal.record(failed)

    def claimed(*, retry: bool, now: float | None) -> list[Any]:
        rows = journal.claim("batch_1", me, {"h"}, retry=retry, now=now)
        journal.release("batch_1", me)
        assert bool(rows) == (journal.waiting(now) == ["batch_1"]) or not retry
        return short(rows)

    assert [] == claimed(retry=False, now=None)
    assert ([], []) == (claimed(retry=True, now=100), claimed(retry=True, now=109.9))
    for now in (110, 5000, 99.9, 1, None):
        assert [("validating", "h", 1)] == claimed(retry=True, now=now)
    assert ["E: no"] == [each.error for each in journal.pending()]
    journal.record(attrs.evolve(failed, tries=10, dead=True))
    assert [] == claimed(retry=True, now=None)
    assert [] == claimed(retry=True, now=5000)


def test_the_dead_are_listed_and_can_be_called_back(desk):
    """Then they are pending, as if never tried."""
    journal = desk.open()
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ("h", "i"))))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h", error="E", tries=10, dead=True))

    assert [("validating", "h", 10)] == short(journal.pending(dead=True))
    assert [("validating", "i", 0)] == short(journal.pending())
    assert (1, 0) == (journal.revive(), journal.revive())
    assert [("validating", "h", 0), ("validating", "i", 0)] == short(journal.pending())
    assert [] == journal.pending(dead=True)


def test_threads_may_share_a_journal(desk):
    """Each write is whole; none is lost."""
    journal = desk.open()
    me = journal.enlist(unheard)

    def write(name: str) -> None:
        for number in range(5):
            assert journal.commit(attrs.evolve(change(me), batch_id=f"{name}{number}"))

    threads = [Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert 20 == journal.count()


def test_what_no_database_keeps_as_text_is_an_error(desk):
    """Half a surrogate pair in an id: JSON can write it, UTF-8 cannot."""
    journal = desk.open()

    with pytest.raises(JournalError, match="surrogates not allowed"):
        journal.commit(attrs.evolve(change(journal.enlist(unheard)), batch_id="batch_\ud800"))
    assert 0 == journal.count()


def test_a_row_that_somebody_has_damaged_is_an_error(desk):
    """Named, in one line, and not whatever reading it ended with."""
    journal = desk.open()
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    for damage in ("[]", "{}", "nonsense"):
        journal._run(lambda execute, damage=damage: execute("UPDATE batchfsm_transitions SET transition = ?", damage))
        with pytest.raises(JournalError, match="a transition in it cannot be read"):
            journal.pending()
        with pytest.raises(JournalError, match="a transition in it cannot be read"):
            journal.claim("batch_1", me, {"h"}, retry=True, now=None)


def test_a_closed_journal_says_so(desk):
    """Whatever is asked of it; closing it again is nothing."""
    journal = desk.open()
    with journal:
        journal.count()
    journal.close()

    with pytest.raises(JournalError, match="it is closed"):
        journal.load("batch_1")


# ---------------------------------------------------------------- files that are no journal, or another one


def digest(folder: Path) -> dict[str, str]:
    """Return what is in a directory, byte by byte."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        for path in sorted(folder.iterdir())
    }


def other_database(path: Path) -> None:
    """Make a SQLite file of somebody else, in WAL."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE theirs (a)")
    db.close()


@pytest.mark.parametrize(
    "make, problem",
    [
        (lambda path: path.write_text("dear diary"), "it is no journal: not even a SQLite file"),
        (lambda path: path.write_bytes(b"SQLite format 3\0"), "it is no journal: not even a SQLite file"),
        (os.mkfifo, "it is no journal: not even a file"),
        (other_database, "it is no journal, but some other SQLite file"),
    ],
    ids=["text", "a header alone", "a pipe", "another database"],
)
def test_a_file_that_is_no_journal_is_never_touched(tmp_path, make, problem):
    """Not a byte of it changes, and nothing is put beside it."""
    path = tmp_path / "file"
    make(path)
    before = digest(tmp_path)

    with pytest.raises(JournalError) as caught:
        SQLiteJournal(path)

    assert (str(path), problem) == (caught.value.journal, caught.value.problem)
    assert f"{path}: {problem}" == str(caught.value)
    assert before == digest(tmp_path)


def test_a_directory_is_no_journal(tmp_path):
    """It says so before SQLite does."""
    with pytest.raises(JournalError, match="it is no journal: not even a file"):
        SQLiteJournal(tmp_path)


def test_a_path_that_leads_nowhere_is_an_error(tmp_path):
    """One line, of the journal's own kind."""
    with pytest.raises(JournalError, match="unable to open database file"):
        SQLiteJournal(tmp_path / "nowhere" / "journal.db")


def test_opening_it_twice_in_one_process_keeps_the_log_of_the_first(tmp_path):
    """
    What is written after another process came and went is there for the next one.

    To open and close the file would drop the locks that this process has on it; the other process then
    took itself for the last one, and removed the write-ahead log under the first journal.
    """
    path = tmp_path / "journal.db"
    count = [
        sys.executable,
        "-c",
        f"import batchfsm\nwith batchfsm.SQLiteJournal({str(path)!r}) as j: print(j.count())",
    ]
    with SQLiteJournal(path) as journal:
        SQLiteJournal(path).close()
        assert "0\n" == subprocess.run(count, check=True, capture_output=True, text=True).stdout
        journal.commit(change(journal.enlist(unheard)))
        assert "1\n" == subprocess.run(count, check=True, capture_output=True, text=True).stdout


def test_signs_of_life_stand_beside_the_file_itself(tmp_path):
    """However it is called: else one process took another for dead."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "journal.db")
    with SQLiteJournal(tmp_path / "link.db") as one, SQLiteJournal(tmp_path / "real" / "journal.db") as other:
        me, she = one.enlist(unheard), other.enlist(unheard)
        one.commit(change(me, (BORN, ("h",))))

        assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)


def test_an_empty_file_becomes_a_journal(tmp_path):
    """As `mktemp` makes it."""
    path = tmp_path / "journal.db"
    path.touch()

    with SQLiteJournal(path) as journal:
        assert 0 == journal.count()


def test_whoever_wants_to_look_makes_no_journal(tmp_path):
    """A typo in a path is found, and leaves no file."""
    with pytest.raises(JournalError, match="there is no journal"):
        SQLiteJournal(tmp_path / "typo.db", create=False)

    assert {} == digest(tmp_path)


def test_a_journal_is_known_by_its_header_even_after_a_crash(tmp_path):
    """The mark is in the file itself, not in a write-ahead log that nobody has read back yet."""
    path = tmp_path / "journal.db"
    script = f"import os, batchfsm\nbatchfsm.SQLiteJournal({str(path)!r})\nos._exit(0)"
    subprocess.run([sys.executable, "-c", script], check=True)

    with SQLiteJournal(path) as journal:
        assert 0 == journal.count()


@contextmanager
def migrations(*versions: Any):
    """A batchfsm with other versions of the schema."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sql, postgres, batchfsm.journal.sqlite):
            patch.setattr(module, "MIGRATIONS", versions)
        yield


def upgraded():
    """A batchfsm whose schema has one more version."""
    return migrations(*sql.MIGRATIONS, ("ALTER TABLE batchfsm_batches ADD COLUMN note TEXT",))


def test_an_older_journal_is_migrated(desk):
    """With all that is in it; and only once."""
    journal = desk.open()
    journal.commit(change(journal.enlist(unheard), (BORN, ("h",))))
    with upgraded():
        for _ in range(2):
            again = desk.open()
            assert StoredBatch(revision=1, state="s") == again.load("batch_1")
            assert [("validating", "h", 0)] == short(again.pending())
            assert (None,) == again._run(lambda execute: execute("SELECT note FROM batchfsm_batches").fetchone())


def test_a_newer_journal_is_refused(desk):
    """It says by how much, and stays as it is."""
    with upgraded():
        desk.open().close()

    known = len(sql.MIGRATIONS)
    problem = f"a newer batchfsm made it: its schema has version {known + 1}, and this one knows {known}"
    with pytest.raises(JournalError, match=problem):
        desk.open()


def test_batches_of_the_first_schema_get_their_order_and_their_end(desk):
    """They are numbered by their first transition; an adopted final status counts, and a damaged state is open."""
    states = {
        "batch_c": seen("vpzc"),
        "batch_b": [row | {"created_at": row["created_at"] - 60} for row in seen("vp")],
        "batch_adopted": [*seen("vpzc"), *seen("vpzx")[-1:]],
    }
    with migrations(sql.MIGRATIONS[0]):
        old = desk.open()
    insert = "INSERT INTO batchfsm_batches (id, revision, writer, state) VALUES (?, 1, '', ?)"
    for batch_id, rows in states.items():
        fold, record = Fold(DIALECTS["openai"], on_illegal="adopt"), BatchRecord()
        for row in rows:
            record, _ = fold.follow(record, reader(DIALECTS["openai"]).read_row(row, None))
        state = dump(record, observed_at=None)
        old._run(lambda execute, values=(batch_id, state): execute(insert, *values))
    for number, damaged in enumerate(["s", '{"status": 1, "legs": [[]]}', "[]"], 1):
        old._run(lambda execute, values=(f"damaged_{number}", damaged): execute(insert, *values))
    journal = desk.open()

    assert ("damaged_1", "damaged_2", "damaged_3", "batch_b", "batch_adopted", "batch_c") == journal.batch_ids()
    assert ("damaged_1", "damaged_2", "damaged_3", "batch_b") == journal.batch_ids(only_open=True)
    assert journal.commit(attrs.evolve(change(journal.enlist(unheard)), batch_id="batch_a"))
    assert "batch_a" == journal.batch_ids()[-1]


def test_a_migration_that_fails_leaves_the_old_journal(tmp_path, monkeypatch):
    """All of it is one transaction."""
    path = tmp_path / "journal.db"
    SQLiteJournal(path).close()
    broken = (*sql.MIGRATIONS, ("ALTER TABLE batchfsm_batches ADD COLUMN note TEXT", "NONSENSE"))
    with monkeypatch.context() as patch:
        for module in (sql, batchfsm.journal.sqlite):
            patch.setattr(module, "MIGRATIONS", broken)
        with pytest.raises(JournalError, match="NONSENSE"):
            SQLiteJournal(path)

    with SQLiteJournal(path) as journal:
        columns = journal._run(lambda execute: execute("PRAGMA table_info(batchfsm_batches)").fetchall())
        assert "note" not in {name for _, name, *_ in columns}


def test_many_processes_may_make_one_journal_at_once(tmp_path):
    """One makes the tables; all of them open it."""
    script = f"import batchfsm; print(batchfsm.SQLiteJournal({str(tmp_path / 'journal.db')!r}).count())"
    makers = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    assert [("0\n", "")] * 4 == [fast_constructor.communicate(timeout=60) for fast_constructor in makers]


def test_what_sqlite_is_asked_for_is_what_durability_needs(tmp_path):
    """A write-ahead log, and a sync to the disk at each commit."""
    with SQLiteJournal(tmp_path / "journal.db") as journal:
        settings = [
            journal._run(lambda execute, name=name: execute(f"PRAGMA {name}").fetchone()[0], writes=False)
            for name in ("journal_mode", "synchronous")
        ]

    assert ["wal", 2] == settings


def test_an_interrupt_in_a_transaction_undoes_it(tmp_path):
    """And the journal can be used afterwards."""

    def interrupted(execute: Any) -> None:
        execute("DELETE FROM batchfsm_batches")
        raise KeyboardInterrupt

    with SQLiteJournal(tmp_path / "journal.db") as journal:
        journal.commit(change(journal.enlist(unheard)))
        with pytest.raises(KeyboardInterrupt):
            journal._run(interrupted)

        assert 1 == journal.count()


def test_a_journal_that_lost_its_end_is_an_error(tmp_path):
    """Half of the file is no other kind of file: SQLite's own word for it is told."""
    path = tmp_path / "journal.db"
    SQLiteJournal(path).close()
    os.truncate(path, path.stat().st_size // 8192 * 4096)

    with pytest.raises(JournalError, match="database disk image is malformed"):
        SQLiteJournal(path)


@pytest.mark.parametrize("waits", [1, 99])
def test_switching_to_the_log_waits_for_whoever_reads(tmp_path, monkeypatch, waits):
    """As long as it waits for everything else; SQLite itself does not always."""
    path = tmp_path / "journal.db"
    SQLiteJournal(path).close()
    slept = []
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("PRAGMA journal_mode = DELETE")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM batchfsm_batches").fetchone()

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == waits:
                reader.execute("ROLLBACK")

        monkeypatch.setattr(batchfsm.journal.sqlite.time, "sleep", sleep)
        if waits == 1:
            SQLiteJournal(path, timeout_s=0.05).close()
        else:
            with pytest.raises(JournalError, match=r"another process has kept it locked for 0.05 s"):
                SQLiteJournal(path, timeout_s=0.05)

    assert min(waits, 2) == len(slept)


# ---------------------------------------------------------------- signs of life


def test_a_sign_of_life_ends_with_its_journal(tmp_path):
    """While it is there it is a file that is locked; then there is nothing."""
    path = tmp_path / "journal.db"
    sign = LivenessLock(path)
    assert is_alive(path, sign.name)
    assert [f"journal.db-live-{sign.name}"] == [file.name for file in tmp_path.iterdir()]
    sign.end()

    assert not is_alive(path, sign.name)
    assert [] == list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_no_life_and_is_swept_away(tmp_path):
    """By the next monitor on the journal; what is locked, and what is no sign, stays."""
    path = tmp_path / "journal.db"
    script = f"import os, pathlib\nfrom batchfsm.journal.liveness import LivenessLock\nprint(LivenessLock(pathlib.Path({str(path)!r})).name, flush=True)\nos._exit(1)"
    name = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout.strip()
    living = LivenessLock(path.with_name("other.db"))
    (tmp_path / "journal.db-live-x.txt").touch()
    assert (tmp_path / f"journal.db-live-{name}").exists()
    assert (False, [name]) == (is_alive(path, name), list(dead(path)))

    sign = LivenessLock(path)

    assert not (tmp_path / f"journal.db-live-{name}").exists()
    assert (tmp_path / "journal.db-live-x.txt").exists()
    assert is_alive(path.with_name("other.db"), living.name)
    sign.end()
    living.end()


def test_a_sign_that_a_sweep_took_is_made_anew(tmp_path, monkeypatch):
    """Another process may take the new file for a dead one's before it is locked."""
    taken = []

    def swept(path: Path) -> bool:
        taken.append(path)
        if len(taken) == 1:
            path.unlink()
        return real(path)

    real = Path.exists
    monkeypatch.setattr(Path, "exists", swept)
    sign = LivenessLock(tmp_path / "journal.db")
    monkeypatch.undo()

    assert is_alive(tmp_path / "journal.db", sign.name)
    assert taken[0] != taken[-1]
    sign.end()


def test_a_sign_that_cannot_be_kept_is_an_error(tmp_path, monkeypatch):
    """After a few names it gives up; a monitor then has no journal."""
    journal = SQLiteJournal(tmp_path / "journal.db")
    monkeypatch.setattr(Path, "exists", lambda path: False)

    with pytest.raises(JournalError, match="no sign of life could be kept beside"):
        journal.enlist(unheard)
    monkeypatch.undo()
    journal.close()


def test_a_sign_that_went_in_between_is_no_life(tmp_path, monkeypatch):
    """The file was there, and then it was not."""
    monkeypatch.setattr(Path, "exists", lambda path: True)

    assert not is_alive(tmp_path / "journal.db", "gone")


def test_a_sign_needs_its_lock(tmp_path, monkeypatch):
    """What cannot be locked is no sign of life."""

    class Locked(sqlite3.Connection):
        """A file that somebody else keeps."""

        def execute(self, sql: str, *values: Any) -> Any:  # type: ignore[override]
            if sql.startswith("BEGIN"):
                msg = "database is locked"
                raise sqlite3.OperationalError(msg)
            return super().execute(sql, *values)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **words: real(path, factory=Locked, **words))

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        LivenessLock(tmp_path / "journal.db")


# ---------------------------------------------------------------- errors


class Deaf:
    """A place that cannot even be asked what it is."""

    def __fspath__(self) -> str:
        """Return a name that no system takes."""
        return "x" * 5000


def test_a_place_that_cannot_be_looked_at_is_an_error():
    """In the operating system's words."""
    with pytest.raises(JournalError, match="File name too long"):
        SQLiteJournal(Deaf())


def test_the_journals_error_survives_pickling():
    """A worker process may raise it."""
    error = pickle.loads(pickle.dumps(JournalError("a.db", "it is closed")))  # noqa: S301

    assert ("a.db", "it is closed", "a.db: it is closed") == (error.journal, error.problem, str(error))
