"""The methods of every journal, and its errors on unsuitable files and servers."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import batchfsm
from batchfsm import JournalError, Monitor, SQLiteJournal
from batchfsm.history import BatchRecord, Fold, dump
from batchfsm.journal import DeliveryOutcome, PruneResult, RetryState, StoredBatch, fork, postgres, sql
from batchfsm.journal.liveness import LivenessLock, is_alive
from batchfsm.journal.state_compression import compress_state, decompress_state
from batchfsm.wire import reader
from support.dialects import DIALECTS
from support.journals import Desk, StandIn, change, drop, own_schema, server_or_skip, short, transitions, unheard
from support.notation import CREATED, seen, snap
from support.paths import TESTS

BORN, RUNS, ENDS = transitions(snap("v"), snap("vp"), snap("vpz"))


@pytest.fixture(params=["sqlite", "stand-in", pytest.param("postgres", marks=pytest.mark.server)])
def desk(request, tmp_path, monkeypatch):
    """Return a place for a journal: a file, a stand-in for PostgreSQL, or a new schema on a real server."""
    schema, psycopg = "", None
    where: Any = tmp_path / "journal.db"
    if request.param == "stand-in":
        driver, where = StandIn(where), "stand-in"
        monkeypatch.setattr(postgres, "import_psycopg", lambda: driver)
    if request.param == "postgres":
        psycopg = server_or_skip()
        schema, where = own_schema(psycopg)
    desk = Desk(where)
    yield desk
    desk.close()
    if psycopg is not None:
        drop(psycopg, schema)


# ---------------------------------------------------------------- stored records and deliveries


def test_what_was_never_written_is_not_there(desk):
    """An empty journal has no batch, no delivery and no batch with pending deliveries."""
    journal = desk.open()

    assert (None, 0, [], [], 0) == (
        journal.load("batch_1"), journal.count(), journal.pending(), journal.batches_with_pending(None), journal.requeue_dead()
    )  # fmt: skip


def test_what_is_committed_is_there_for_everybody(desk):
    """This journal and one opened by another process have the state and the revision."""
    one, other = desk.open(), desk.open()
    me = one.register_owner(unheard)

    assert one.commit(change(me, (BORN, ("h",))))
    assert one.commit(change(me, (RUNS, ("h", "i")), expected=1, state="t"))
    for journal in (one, other):
        assert (StoredBatch(revision=2, state="t"), 1) == (journal.load("batch_1"), journal.count())
        assert [("validating", "h", 0), ("in_progress", "h", 0), ("in_progress", "i", 0)] == short(journal.pending())
        assert ["batch_1"] == journal.batches_with_pending(None)


def test_what_is_pending_has_its_snapshot_whole(desk):
    """Each delivery has the observed snapshot until the last hook has returned."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (RUNS, ("h", "i"))))

    first, second = journal.claim("batch_1", me, {"h", "i"}, retry=False, now=None)
    assert [RUNS, RUNS] == [first.transition, second.transition]
    journal.record(DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="h"))
    assert [RUNS] == [each.transition for each in journal.pending()]


def test_a_snapshot_goes_with_the_last_acknowledgement(tmp_path):
    """The row of the transition stays."""
    journal = SQLiteJournal(tmp_path / "j.db")
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ()), (RUNS, ("h",))))
    with sqlite3.connect(tmp_path / "j.db") as db:
        rows = "SELECT key, snapshot IS NULL FROM batchfsm_transitions ORDER BY number"
        assert [(BORN.key, 1), (RUNS.key, 0)] == db.execute(rows).fetchall()
        journal.record(DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="h"))
        assert [(BORN.key, 1), (RUNS.key, 1)] == db.execute(rows).fetchall()
    db.close()
    journal.close()


def test_another_revision_than_expected_writes_nothing(desk):
    """The slower of two monitors gets None, and the journal is unchanged."""
    journal = desk.open()
    me, she = journal.register_owner(unheard), desk.open().register_owner(unheard)
    assert journal.commit(change(me, (BORN, ("h",))))

    assert not journal.commit(change(she, (BORN, ("h",)), state="hers"))
    assert not journal.commit(change(she, (RUNS, ("h",)), expected=7, state="hers"))
    assert StoredBatch(revision=1, state="s") == journal.load("batch_1")
    assert [("validating", "h", 0)] == short(journal.pending())


def test_the_same_write_again_is_no_race(desk):
    """After a connection broke during a commit, the same change is committed again: it is stored once."""
    journal = desk.open()
    me = journal.register_owner(unheard)

    assert ["leased", "leased"] == [journal.commit(change(me, (BORN, ("h",)))) for _ in range(2)]
    assert [("validating", "h", 0)] == short(journal.pending())


def test_a_key_has_one_row(desk):
    """If a key were emitted twice, its hooks would still be called once."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h"))

    assert journal.commit(change(me, (BORN, ("h",)), expected=1))
    assert [] == journal.pending()


def test_ids_come_in_the_order_first_seen(desk):
    """Updates of a batch do not change its place; a forgotten id that is observed again comes last."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    for batch_id in ("batch_b", "batch_c", "batch_a"):
        journal.commit(attrs.evolve(change(me), batch_id=batch_id))
    journal.commit(attrs.evolve(change(me, expected=1), batch_id="batch_c"))
    assert ("batch_b", "batch_c", "batch_a") == desk.open().batch_ids()
    journal.forget("batch_b")
    journal.commit(attrs.evolve(change(me), batch_id="batch_b"))

    assert ("batch_c", "batch_a", "batch_b") == journal.batch_ids()


def test_open_ids_are_those_whose_last_update_had_no_end(desk):
    """An end at an unknown time counts as an end; an update without an end opens the batch again."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    for batch_id, ended_at in [("batch_a", None), ("batch_b", 5.5), ("batch_c", 0), ("batch_d", 7)]:
        journal.commit(attrs.evolve(change(me), batch_id=batch_id, ended_at=ended_at))
    journal.commit(attrs.evolve(change(me, expected=1), batch_id="batch_d"))

    assert ("batch_a", "batch_d") == journal.batch_ids(only_open=True)


def test_forgetting_leaves_nothing(desk):
    """The next snapshot of the batch is its first one."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.forget("batch_1")

    assert (None, 0, []) == (journal.load("batch_1"), journal.count(), journal.pending())
    assert journal.commit(change(me, (BORN, ("h",))))
    assert [("validating", "h", 0)] == short(journal.pending())


# ---------------------------------------------------------------- pruning


def ended(desk: Any, rows: list[dict[str, Any]], *batch_ids: str) -> Any:
    """Return a journal with one ended batch whose hooks have all returned."""
    journal = desk.open()
    monitor = Monitor(journal=journal)
    monitor.on(name="h")(lambda _: None)
    for batch_id in batch_ids:
        for row in rows:
            monitor.observe(row | {"id": batch_id}, observed_at=CREATED + 9e4)
    return journal


def transition_rows(journal: Any) -> int:
    """Return the number of transitions in a journal."""
    return journal._run(lambda execute: execute("SELECT count(*) FROM batchfsm_transitions").fetchone())[0]


@pytest.mark.parametrize("path", ["vpzc", "vf", "vpze", "vpgx"])
def test_a_pruned_batch_is_known_as_before_and_fires_no_hook(desk, path):
    """Any of its snapshots may be observed again; only the rows of its transitions are deleted."""
    rows, heard = seen(path), []
    journal = ended(desk, rows, "batch_1")
    before, stored = Monitor(journal=desk.open())["batch_1"], journal.load("batch_1")

    assert PruneResult(pruned=1, kept=0) == journal.prune(ended_before=CREATED + 1e6)
    assert (0, ("batch_1",), 1) == (transition_rows(journal), journal.batch_ids(), journal.count())
    monitor = Monitor(journal=desk.open())
    monitor.on(name="h")(heard.append)
    assert (before, stored) == (monitor["batch_1"], journal.load("batch_1"))
    for row in (*rows, *reversed(rows)):
        assert () == monitor.observe(row | {"id": "batch_1"}).transitions
    assert [] == heard
    adopted = monitor.observe(seen(f"{path}p")[-1] | {"id": "batch_1"})
    assert ("H502" in {found.rule for found in adopted.findings}, "in_progress") == (True, monitor["batch_1"].status)


def test_a_monitor_that_knew_the_batch_before_goes_on(desk):
    """Pruning is no update: the revision stays the same."""
    journal = ended(desk, seen("vpzc"), "batch_1")
    monitor = Monitor(journal=journal)
    monitor.observe(seen("vpzc")[-1] | {"id": "batch_1"})
    journal.prune(ended_before=CREATED + 1e6)

    monitor.observe(seen("vpzcp")[-1] | {"id": "batch_1"})
    assert "in_progress" == monitor["batch_1"].status == Monitor(journal=desk.open())["batch_1"].status


def test_only_old_batches_without_deliveries_are_pruned(desk):
    """A dead letter counts as a delivery; open batches and later ends are kept; a batch is pruned only once."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    for batch_id, ended_at, hooks in [
        ("batch_old", 5, ()), ("batch_unknown", 0, ()), ("batch_new", 10, ()), ("batch_open", None, ()),
        ("batch_pending", 5, ("h",)), ("batch_dead", 5, ("h",)),
    ]:  # fmt: skip
        update = attrs.evolve(change(me, (BORN, hooks)), batch_id=batch_id, ended_at=ended_at)
        assert journal.commit(update)
    journal.record(DeliveryOutcome(batch_id="batch_dead", key=BORN.key, hook="h", error="E", retry=RetryState(10)))

    assert PruneResult(pruned=2, kept=2) == journal.prune(ended_before=10)
    assert PruneResult(pruned=0, kept=2) == journal.prune(ended_before=10)
    assert (6, 4) == (journal.count(), transition_rows(journal))
    assert {StoredBatch(revision=1, state="s")} == {journal.load(batch_id) for batch_id in journal.batch_ids()}


def test_more_batches_are_pruned_than_one_transaction_takes(desk, monkeypatch):
    """Batches are pruned in pages, some of which have batches with pending deliveries."""
    monkeypatch.setattr(sql, "_PRUNE_BATCHES", 3)
    journal = desk.open()
    me = journal.register_owner(unheard)
    for number in range(10):
        hooks = ("h",) if number % 3 == 0 else ()
        journal.commit(attrs.evolve(change(me, (BORN, hooks)), batch_id=f"batch_{9 - number}", ended_at=5))

    assert PruneResult(pruned=6, kept=4) == journal.prune(ended_before=10)


def test_a_batch_that_is_updated_meanwhile_is_not_pruned(desk):
    """The new record stays."""
    journal, other = desk.open(), desk.open()
    journal.commit(attrs.evolve(change(journal.register_owner(unheard), (BORN, ())), ended_at=5))
    other.commit(change(other.register_owner(unheard), expected=1, state="t"))

    assert not journal._run(lambda execute: journal._prune_batch(execute, "batch_1", 1, "s"))
    assert StoredBatch(revision=2, state="t") == journal.load("batch_1")


@pytest.mark.parametrize("damaged", ["z1:", "z1:c=@e=dn>E11p", "z1:abcde", "z1:,", "z1:~~~~~"])
def test_a_damaged_compressed_record_is_an_error(desk, damaged):
    """The error names the batch."""
    journal = desk.open()
    journal.commit(attrs.evolve(change(journal.register_owner(unheard), (BORN, ())), state=damaged))

    with pytest.raises(JournalError, match="the record of batch_1 cannot be read"):
        journal.load("batch_1")


@given(state=st.text(st.characters(codec="utf-8")))
def test_every_state_survives_compression(state):
    """The exception is text that begins like compressed text, which no JSON does."""
    assume(not state.startswith("z1:"))

    assert state == decompress_state(compress_state(state)) == decompress_state(state)


def test_the_dictionary_of_compressed_states_is_the_one_of_older_journals():
    """A changed dictionary needs a new prefix, and older text must stay readable."""
    assert "{}" == decompress_state("z1:c=@e=dn>E11ponc0Qm")


# ---------------------------------------------------------------- leases


def test_what_somebody_alive_holds_nobody_else_gets(desk):
    """Another process and another monitor on the same journal get nothing; the owner gets the delivery again."""
    journal, other = desk.open(), desk.open()
    me, beside, she = journal.register_owner(unheard), journal.register_owner(unheard), other.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))

    assert [] == journal.claim("batch_1", beside, {"h"}, retry=True, now=None)
    assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)
    assert [("validating", "h", 0)] == short(journal.claim("batch_1", me, {"h"}, retry=False, now=None))


def test_what_comes_behind_somebody_elses_first_try_is_left_to_whoever_has_that(desk):
    """The owner of the earlier delivery claims both; a failed first attempt blocks no later delivery."""
    journal, other = desk.open(), desk.open()
    me, she = journal.register_owner(unheard), other.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))

    assert "queued" == other.commit(change(she, (RUNS, ("h",)), expected=1))
    assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)
    both = [("validating", "h", 0), ("in_progress", "h", 0)]
    assert both == short(journal.claim("batch_1", me, {"h"}, retry=False, now=None))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h", error="E", retry=RetryState(1)))
    assert [("validating", "h", 1)] == short(other.claim("batch_1", she, {"h"}, retry=True, now=None))
    assert "queued" == other.commit(change(she, (ENDS, ("h",)), expected=2))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="h"))
    assert [("finalizing", "h", 0)] == short(other.claim("batch_1", she, {"h"}, retry=False, now=None))


def test_what_was_let_go_anybody_gets_once(desk):
    """The first owner that claims it gets the lease."""
    journal, other = desk.open(), desk.open()
    me, she = journal.register_owner(unheard), other.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.release_leases("batch_1", me)

    assert [("validating", "h", 0)] == short(other.claim("batch_1", she, {"h"}, retry=False, now=None))
    assert [] == journal.claim("batch_1", me, {"h"}, retry=True, now=None)


def test_what_a_closed_journal_held_is_free(desk):
    """The leases of a killed process are free, too; the tests of faults kill one."""
    journal, other = desk.open(), desk.open()
    me, she = journal.register_owner(unheard), other.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.close()

    assert [("validating", "h", 0)] == short(other.claim("batch_1", she, {"h"}, retry=False, now=None))


def test_hooks_that_nobody_has_stay(desk):
    """Another program may have the hook, or it will be registered again."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h", "gone"))))
    journal.release_leases("batch_1", me)

    assert [("validating", "h", 0)] == short(journal.claim("batch_1", me, {"h", "new"}, retry=True, now=None))
    assert [("validating", "h", 0), ("validating", "gone", 0)] == short(journal.pending())


def test_what_raised_comes_when_it_is_asked_for_and_due(desk):
    """It is claimed only with `retry`, not before its time unless the clock was set back, and never when it is dead."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    failed = DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h", error="E: no", retry=RetryState(1, 100, 110))
    journal.record(failed)

    def claimed(*, retry: bool, now: float | None) -> list[Any]:
        rows = journal.claim("batch_1", me, {"h"}, retry=retry, now=now)
        journal.release_leases("batch_1", me)
        assert bool(rows) == (journal.batches_with_pending(now) == ["batch_1"]) or not retry
        return short(rows)

    assert [] == claimed(retry=False, now=None)
    assert ([], []) == (claimed(retry=True, now=100), claimed(retry=True, now=109.9))
    for now in (110, 5000, 99.9, 1, None):
        assert [("validating", "h", 1)] == claimed(retry=True, now=now)
    assert ["E: no"] == [each.error for each in journal.pending()]
    journal.record(attrs.evolve(failed, retry=RetryState(10)))
    assert [] == claimed(retry=True, now=None)
    assert [] == claimed(retry=True, now=5000)


def test_the_dead_are_listed_and_can_be_called_back(desk):
    """A requeued delivery is pending with no attempts."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h", "i"))))
    journal.record(DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h", error="E", retry=RetryState(10)))

    assert [("validating", "h", 10)] == short(journal.pending(dead=True))
    assert [("validating", "i", 0)] == short(journal.pending())
    assert (1, 0) == (journal.requeue_dead(), journal.requeue_dead())
    assert [("validating", "h", 0), ("validating", "i", 0)] == short(journal.pending())
    assert [] == journal.pending(dead=True)


def test_threads_may_share_a_journal(desk):
    """Each of twenty updates is stored."""
    journal = desk.open()
    me = journal.register_owner(unheard)

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
    """JSON can represent half a surrogate pair in an id, UTF-8 cannot."""
    journal = desk.open()

    with pytest.raises(JournalError, match="surrogates not allowed"):
        journal.commit(attrs.evolve(change(journal.register_owner(unheard)), batch_id="batch_\ud800"))
    assert 0 == journal.count()


def test_a_row_that_somebody_has_damaged_is_an_error(desk):
    """The error is a JournalError of one line, not an error of the parser."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    for damage in ("[]", "{}", "nonsense"):
        journal._run(lambda execute, damage=damage: execute("UPDATE batchfsm_transitions SET transition = ?", damage))
        with pytest.raises(JournalError, match="a transition in it cannot be read"):
            journal.pending()
        with pytest.raises(JournalError, match="a transition in it cannot be read"):
            journal.claim("batch_1", me, {"h"}, retry=True, now=None)


def test_a_closed_journal_says_so(desk):
    """Each method raises; closing the journal again does nothing."""
    journal = desk.open()
    with journal:
        journal.count()
    journal.close()

    with pytest.raises(JournalError, match="it is closed"):
        journal.load("batch_1")


# ---------------------------------------------------------------- files that are not journals, or other journals


def digest(folder: Path) -> dict[str, str]:
    """Return a hash of each file in a directory."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        for path in sorted(folder.iterdir())
    }


def other_database(path: Path) -> None:
    """Make a SQLite file of another program, in WAL mode."""
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
    """None of its bytes changes, and no file is made beside it."""
    path = tmp_path / "file"
    make(path)
    before = digest(tmp_path)

    with pytest.raises(JournalError) as caught:
        SQLiteJournal(path)

    assert (str(path), problem) == (caught.value.journal, caught.value.problem)
    assert f"{path}: {problem}" == str(caught.value)
    assert before == digest(tmp_path)


def test_a_directory_is_no_journal(tmp_path):
    """The error is raised before SQLite opens the path."""
    with pytest.raises(JournalError, match="it is no journal: not even a file"):
        SQLiteJournal(tmp_path)


def test_opening_it_twice_in_one_process_keeps_the_log_of_the_first(tmp_path):
    """
    Updates after another process has opened and closed the journal are visible to the next process.

    If a journal opened and closed the file to look at it, this process would lose its locks. The other process would
    assume that it is the last user, and remove the write-ahead log of the first journal.
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
        journal.commit(change(journal.register_owner(unheard)))
        assert "1\n" == subprocess.run(count, check=True, capture_output=True, text=True).stdout


def test_signs_of_life_stand_beside_the_file_itself(tmp_path):
    """It holds for any path to the file, such as a link: otherwise processes would count each other as dead."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "journal.db")
    with SQLiteJournal(tmp_path / "link.db") as one, SQLiteJournal(tmp_path / "real" / "journal.db") as other:
        me, she = one.register_owner(unheard), other.register_owner(unheard)
        one.commit(change(me, (BORN, ("h",))))

        assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)


def test_an_empty_file_becomes_a_journal(tmp_path):
    """`mktemp` makes such a file."""
    path = tmp_path / "journal.db"
    path.touch()

    with SQLiteJournal(path) as journal:
        assert 0 == journal.count()


def test_whoever_wants_to_look_makes_no_journal(tmp_path):
    """With `create=False` a wrong path is an error, and no file is made."""
    with pytest.raises(JournalError, match="there is no journal"):
        SQLiteJournal(tmp_path / "typo.db", create=False)

    assert {} == digest(tmp_path)


def test_a_journal_is_known_by_its_header_even_after_a_crash(tmp_path):
    """The application id is in the file itself, not only in the write-ahead log."""
    path = tmp_path / "journal.db"
    script = f"import os, batchfsm\nbatchfsm.SQLiteJournal({str(path)!r})\nos._exit(0)"
    subprocess.run([sys.executable, "-c", script], check=True)

    with SQLiteJournal(path) as journal:
        assert 0 == journal.count()


@contextmanager
def migrations(*versions: Any):
    """Make this batchfsm use other versions of the schema."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sql, postgres, batchfsm.journal.sqlite):
            patch.setattr(module, "MIGRATIONS", versions)
        yield


def upgraded():
    """Return a batchfsm whose schema has one more version."""
    return migrations(*sql.MIGRATIONS, ("ALTER TABLE batchfsm_batches ADD COLUMN note TEXT",))


def test_an_older_journal_is_migrated(desk):
    """All data is kept, and the migration runs once."""
    journal = desk.open()
    journal.commit(change(journal.register_owner(unheard), (BORN, ("h",))))
    with upgraded():
        for _ in range(2):
            again = desk.open()
            assert StoredBatch(revision=1, state="s") == again.load("batch_1")
            assert [("validating", "h", 0)] == short(again.pending())
            assert (None,) == again._run(lambda execute: execute("SELECT note FROM batchfsm_batches").fetchone())


def test_a_newer_journal_is_refused(desk):
    """The error has both versions, and the file is unchanged."""
    with upgraded():
        desk.open().close()

    known = len(sql.MIGRATIONS)
    problem = f"a newer batchfsm made it: its schema has version {known + 1}, and this one knows {known}"
    with pytest.raises(JournalError, match=problem):
        desk.open()


def test_batches_of_the_first_schema_get_their_order_and_their_end(desk):
    """They are ordered by their first transition; an adopted final status is an end, a damaged state counts as open."""
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
            record, _ = fold.apply_immutable(record, reader(DIALECTS["openai"]).read_row(row, None))
        state = dump(record, observed_at=None)
        old._run(lambda execute, values=(batch_id, state): execute(insert, *values))
    for number, damaged in enumerate(["s", '{"status": 1, "legs": [[]]}', "[]"], 1):
        old._run(lambda execute, values=(f"damaged_{number}", damaged): execute(insert, *values))
    journal = desk.open()

    assert ("damaged_1", "damaged_2", "damaged_3", "batch_b", "batch_adopted", "batch_c") == journal.batch_ids()
    assert ("damaged_1", "damaged_2", "damaged_3", "batch_b") == journal.batch_ids(only_open=True)
    assert journal.commit(attrs.evolve(change(journal.register_owner(unheard)), batch_id="batch_a"))
    assert "batch_a" == journal.batch_ids()[-1]


def test_a_migration_that_fails_leaves_the_old_journal(tmp_path, monkeypatch):
    """The migration is one transaction."""
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
    """One process makes the tables; all of them open the journal."""
    script = f"import batchfsm; print(batchfsm.SQLiteJournal({str(tmp_path / 'journal.db')!r}).count())"
    makers = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    assert [("0\n", "")] * 4 == [maker.communicate(timeout=60) for maker in makers]


def test_what_sqlite_is_asked_for_is_what_durability_needs(tmp_path):
    """SQLite uses a write-ahead log, and syncs it to disk at each commit."""
    with SQLiteJournal(tmp_path / "journal.db") as journal:
        settings = [
            journal._run(lambda execute, name=name: execute(f"PRAGMA {name}").fetchone()[0], writes=False)
            for name in ("journal_mode", "synchronous")
        ]

    assert ["wal", 2] == settings


def test_an_interrupt_in_a_transaction_undoes_it(tmp_path):
    """The journal can be used afterwards."""

    def interrupted(execute: Any) -> None:
        execute("DELETE FROM batchfsm_batches")
        raise KeyboardInterrupt

    with SQLiteJournal(tmp_path / "journal.db") as journal:
        journal.commit(change(journal.register_owner(unheard)))
        with pytest.raises(KeyboardInterrupt):
            journal._run(interrupted)

        assert 1 == journal.count()


def test_a_journal_that_lost_its_end_is_an_error(tmp_path):
    """A truncated file is still recognized as a journal; the error has SQLite's message."""
    path = tmp_path / "journal.db"
    SQLiteJournal(path).close()
    os.truncate(path, path.stat().st_size // 8192 * 4096)

    with pytest.raises(JournalError, match="database disk image is malformed"):
        SQLiteJournal(path)


@pytest.mark.parametrize("waits", [1, 99])
def test_switching_to_the_log_waits_for_whoever_reads(tmp_path, monkeypatch, waits):
    """The wait has the journal's timeout; SQLite itself does not always wait."""
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


# ---------------------------------------------------------------- unusual paths


def looped(path: Path) -> Path:
    """Return a symbolic link to itself."""
    path.symlink_to(path)
    return path


@pytest.mark.parametrize(
    "odd, problem",
    [
        (lambda folder: looped(folder / "loop"), "Symlink loop|Too many levels of symbolic links"),
        (lambda folder: looped(folder / "loop") / "journal.db", "Symlink loop|Too many levels of symbolic links"),
        (lambda folder: f"{folder}/a\0b", "embedded null"),
        (lambda _: "", "an empty path is no journal"),
        (lambda folder: folder / ("x" * 300), "File name too long"),
        (lambda folder: folder / ("x" * 254), "unable to open database file"),
        (lambda folder: folder / "journal.db" / "below", "Not a directory"),
        (lambda folder: folder / "nowhere" / "journal.db", "unable to open database file"),
    ],
    ids=["loop", "below a loop", "NUL", "empty", "long name", "no name left for a log", "below a file", "nowhere"],
)
def test_an_odd_path_is_a_journal_error(tmp_path, odd, problem):
    """The error's text has the path."""
    SQLiteJournal(tmp_path / "journal.db").close()
    path = odd(tmp_path)

    with pytest.raises(JournalError, match=problem) as caught:
        SQLiteJournal(path)
    assert (str(path) or "''") == caught.value.journal


def test_text_that_sqlite_cannot_decode_is_not_quoted_in_the_error(tmp_path):
    """SQLite's own message has the whole column."""
    with SQLiteJournal(tmp_path / "journal.db") as journal:
        journal.commit(change(journal.register_owner(unheard)))
        journal._run(lambda execute: execute("UPDATE batchfsm_batches SET state = CAST(X'22FF22' AS TEXT)"))
        with pytest.raises(JournalError) as caught:
            journal.load("batch_1")

    assert "Could not decode to UTF-8 column 'state'" == caught.value.problem


def test_a_negative_version_is_damage(tmp_path):
    """The error is raised, and the file is unchanged."""
    path = tmp_path / "journal.db"
    SQLiteJournal(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = -1")
    before = digest(tmp_path)

    with pytest.raises(JournalError, match="it is damaged: its schema has version -1"):
        SQLiteJournal(path)
    assert before == digest(tmp_path)


# ---------------------------------------------------------------- lock files


def in_process(script: str, *args: Any) -> str:
    """Run a script in a new process and return its standard output."""
    command = [sys.executable, "-c", script, *map(str, args)]
    ran = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, timeout=60, check=False)
    assert "" == ran.stderr
    return ran.stdout


LOCK_AND_DIE = """
import os, pathlib, sys
from batchfsm.journal.liveness import LivenessLock
print(LivenessLock(pathlib.Path(sys.argv[1])).name, flush=True)
os._exit(1)
"""


def test_closing_a_lock_deletes_its_file(tmp_path):
    """Until then it is the only file, and is locked."""
    path = tmp_path / "journal.db"
    lock = LivenessLock(path)
    assert is_alive(path, lock.name)
    assert [f"journal.db-live-{lock.name}"] == [file.name for file in tmp_path.iterdir()]
    lock.close()

    assert not is_alive(path, lock.name)
    assert [] == list(tmp_path.iterdir())


def test_the_next_process_deletes_the_file_of_a_killed_one(tmp_path):
    """Files of living processes and of other journals stay, as do files with other names."""
    path = tmp_path / "journal.db"
    name = in_process(LOCK_AND_DIE, path).strip()
    living, other = LivenessLock(path.with_name("other.db")), path.with_name("journal.db-live-x.txt")
    other.touch()
    assert (True, False) == ((tmp_path / f"journal.db-live-{name}").exists(), is_alive(path, name))

    lock, later = LivenessLock(path), LivenessLock(path)

    files = {f"other.db-live-{living.name}", other.name, *(f"journal.db-live-{each.name}" for each in (lock, later))}
    assert files == {file.name for file in tmp_path.iterdir()}
    for each in (lock, later, living):
        each.close()


LOCK_SLOWLY = """
import pathlib, sqlite3, sys
from batchfsm.journal import liveness

class Slow(sqlite3.Connection):
    def execute(self, sql, *values):
        if sql.startswith("BEGIN"):
            print("created", flush=True)
            sys.stdin.readline()
        return super().execute(sql, *values)

real = sqlite3.connect
sqlite3.connect = lambda path, **words: real(path, factory=Slow, **words)
path = pathlib.Path(sys.argv[1])
lock = liveness.LivenessLock(path)
print("alive" if liveness._file(path, lock.name).exists() else "lost", flush=True)
sys.stdin.readline()
lock.close()
"""


@pytest.mark.parametrize("when", ["before the test", "before the deletion"])
def test_a_file_that_its_owner_locks_during_a_removal_is_not_lost(tmp_path, monkeypatch, when):
    """The owner locks its new file just before another process tests the lock, or between the test and the deletion."""
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", LOCK_SLOWLY, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert "created\n" == owner.stdout.readline()

        def locks(*_: Any, **__: Any) -> None:
            monkeypatch.undo()
            print(file=owner.stdin, flush=True)
            time.sleep(0.2)  # The owner waits for the lock, or has it.

        real_unlink = Path.unlink
        if when == "before the test":
            locks()
        else:
            monkeypatch.setattr(Path, "unlink", lambda file, **words: (locks(), real_unlink(file, **words)))
        lock = LivenessLock(path)
        said = owner.stdout.readline()
        if said == "created\n":  # It lost the first file before it had the lock, and makes a second one.
            print(file=owner.stdin, flush=True)
            said = owner.stdout.readline()
        print(file=owner.stdin, flush=True)
        owner.wait(30)
    lock.close()

    assert "alive\n" == said
    assert [] == list(tmp_path.iterdir())


LOCK_OFTEN = """
import pathlib, sys
from batchfsm.journal import liveness
path, lost = pathlib.Path(sys.argv[1]), 0
for _ in range(int(sys.argv[2])):
    lock = liveness.LivenessLock(path)
    lost += not liveness._file(path, lock.name).exists()
    lock.close()
print(lost)
"""


@pytest.mark.slow
def test_processes_that_start_and_end_at_once_keep_their_files(tmp_path):
    """Each of four processes makes and closes 500 locks."""
    command = [sys.executable, "-c", LOCK_OFTEN, str(tmp_path / "journal.db"), "500"]
    owners = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    assert ["0\n"] * 4 == [owner.communicate(timeout=120)[0] for owner in owners]


def test_a_lost_file_is_replaced_by_another_one(tmp_path, monkeypatch):
    """Another process may remove a new file before it is locked."""
    tested = []

    def removed(path: Path) -> bool:
        tested.append(path)
        if len(tested) == 1:
            path.unlink()
        return real(path)

    real = Path.exists
    monkeypatch.setattr(Path, "exists", removed)
    lock = LivenessLock(tmp_path / "journal.db")
    monkeypatch.undo()

    assert is_alive(tmp_path / "journal.db", lock.name)
    assert tested[0] != tested[-1]
    lock.close()


def test_a_file_that_is_lost_again_and_again_is_an_error(tmp_path, monkeypatch):
    """The error is raised after a few attempts, each with another name."""
    journal = SQLiteJournal(tmp_path / "journal.db")
    monkeypatch.setattr(Path, "exists", lambda _: False)

    with pytest.raises(JournalError, match="no lock file could be kept beside"):
        journal.register_owner(unheard)
    monkeypatch.undo()
    journal.close()


def test_a_file_that_vanishes_during_a_test_is_not_alive(tmp_path, monkeypatch):
    """A file that exists but cannot be opened may belong to another user, and counts as alive."""
    answers = [True, False]
    monkeypatch.setattr(Path, "exists", lambda _: answers.pop(0))
    assert not is_alive(tmp_path / "journal.db", "gone")
    answers += [True, True]

    assert is_alive(tmp_path / "journal.db", "gone")


@pytest.mark.parametrize("refusals, stays", [(1, False), (2, True)], ids=["while it is open", "always"])
def test_a_file_that_may_not_be_deleted_stops_nothing(tmp_path, monkeypatch, refusals, stays):
    """Windows deletes no open file; a file of another user can perhaps never be deleted."""
    path = tmp_path / "journal.db"
    name = in_process(LOCK_AND_DIE, path).strip()
    refused = []

    def unlink(file: Path, **words: Any) -> None:
        if len(refused) < refusals:
            refused.append(file)
            raise PermissionError
        real(file, **words)

    real = Path.unlink
    monkeypatch.setattr(Path, "unlink", unlink)
    lock = LivenessLock(path)
    monkeypatch.undo()

    assert (refusals, stays) == (len(refused), (tmp_path / f"journal.db-live-{name}").exists())
    lock.close()


def test_a_lock_that_is_not_acquired_is_an_error(tmp_path, monkeypatch):
    """A file without a lock does not prove that its owner is alive."""

    class Locked(sqlite3.Connection):
        """A connection to a file that another process keeps locked."""

        def execute(self, sql: str, *values: Any) -> Any:  # type: ignore[override]
            if sql.startswith("BEGIN"):
                msg = "database is locked"
                raise sqlite3.OperationalError(msg)
            return super().execute(sql, *values)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **words: real(path, factory=Locked, **words))

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        LivenessLock(tmp_path / "journal.db")


# ---------------------------------------------------------------- forks

several_processes = pytest.mark.parametrize(
    "desk", ["sqlite", pytest.param("postgres", marks=pytest.mark.server)], indirect=True
)
one_process = pytest.mark.parametrize("desk", ["sqlite", "stand-in"], indirect=True)


def forked(work: Any) -> str:
    """Run a function in a forked child and return its text."""
    readable, writable = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writable, str(work()).encode())
        except BaseException as error:  # noqa: BLE001  # The child must not go on with the parent's tests.
            os.write(writable, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as said:
        text = said.read()
    os.waitpid(pid, 0)
    return text


@several_processes
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_parent_and_child_are_two_owners(desk):
    """The child cannot claim deliveries that the parent has leased, and its end does not release them."""
    if desk.where == "stand-in":
        pytest.skip("the stand-in keeps its locks in one process")
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))

    def child() -> Any:
        she = journal.register_owner(unheard)
        claimed = short(journal.claim("batch_1", she, {"h"}, retry=True, now=None))
        journal.commit(attrs.evolve(change(she, (RUNS, ("h",))), batch_id="batch_2"))
        return she != me, claimed, journal.batch_ids()

    assert "(True, [], ('batch_1', 'batch_2'))" == forked(child)
    assert [("validating", "h", 0)] == short(journal.claim("batch_1", me, {"h"}, retry=False, now=None))
    other = desk.open()
    she = other.register_owner(unheard)
    assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)
    assert [("in_progress", "h", 0)] == short(other.claim("batch_2", she, {"h"}, retry=True, now=None))


@several_processes
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_child_outlives_its_parent(desk):
    """When the parent has ended, the child can claim the deliveries that the parent had leased."""

    def parent() -> Any:
        journal = desk.open()
        journal.commit(change(journal.register_owner(unheard), (BORN, ("h",))))
        if os.fork():
            os._exit(0)
        she = journal.register_owner(unheard)
        for _ in range(1000):  # Until the parent has ended, and a server has noticed that.
            if rows := journal.claim("batch_1", she, {"h"}, retry=True, now=None):
                return short(rows)
            time.sleep(0.01)
        return "nothing"

    assert "[('validating', 'h', 0)]" == forked(parent)


@one_process
def test_a_journal_goes_on_after_the_handlers_of_a_fork(desk):
    """The parent keeps its lease; the child has a new connection and a new owner."""
    journal = desk.open()
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("h",))))
    journal.before_fork()
    journal.after_fork_in_parent()
    assert [("validating", "h", 0)] == short(journal.claim("batch_1", me, {"h"}, retry=False, now=None))
    journal.before_fork()
    journal.after_fork_in_child()

    assert ("batch_1",) == journal.batch_ids()
    assert journal.register_owner(unheard).partition("/")[0] != me.partition("/")[0]
    journal.before_fork()
    journal.after_fork_in_child()
    journal.before_fork()
    journal.after_fork_in_child()
    journal.close()


def test_handlers_are_called_around_a_fork():
    """They are called in the child even if none was called before the fork; a collected object has no handlers."""
    registry, calls = fork._ForkRegistry(), []

    class Handler:
        """An object with handlers."""

        def before_fork(self) -> None:
            calls.append("before")

        def after_fork_in_parent(self) -> None:
            calls.append("parent")

        def after_fork_in_child(self) -> None:
            calls.append("child")

    handler = Handler()
    registry.add(handler)
    registry.before()
    registry.after_in_parent()
    registry.before()
    registry.after_in_child()
    registry.after_in_child()
    del handler
    gc.collect()
    registry.before()
    registry.after_in_parent()

    assert ["before", "parent", "before", "child", "child"] == calls


# ---------------------------------------------------------------- errors


class Deaf:
    """A path-like object that raises when it is converted to a path."""

    def __fspath__(self) -> str:
        """Raise an error, as for a name that no system accepts."""
        return "x" * 5000


def test_a_place_that_cannot_be_looked_at_is_an_error():
    """The error has the operating system's message."""
    with pytest.raises(JournalError, match="File name too long"):
        SQLiteJournal(Deaf())


def test_the_journals_error_survives_pickling():
    """It can be raised in a worker process."""
    error = pickle.loads(pickle.dumps(JournalError("a.db", "it is closed")))  # noqa: S301

    assert ("a.db", "it is closed", "a.db: it is closed") == (error.journal, error.problem, str(error))
