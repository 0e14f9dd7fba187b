"""State files: two audits, one after the other, find what one audit of both logs finds; and refused states."""

import json
import sqlite3
from contextlib import closing
from random import Random

import pytest

from batchfsm import Dialect, SourceError, audit
from batchfsm.auditing import StateFile, api
from batchfsm.auditing.state_file import VERSION, _pack, _unpack
from batchfsm.errors import DefinitionError, StateError
from batchfsm.history import BatchRecord
from batchfsm.lifecycle import Lifecycle
from support.dialects import DIALECTS
from support.medley import medley
from support.notation import CREATED, DAY_S, seen, snap
from support.recordings import each_server, of_batches

LATE = "observed at {}, before {}, the latest time of its batch in the state file"


def timed(batches, *, since=CREATED + 1000):
    """Return batches in envelopes, each observed a second after the one before."""
    return [{"observed_at": since + at, "batch": batch} for at, batch in enumerate(batches)]


def wires(rows):
    """Return rows of a table as envelopes."""
    return [
        {"observed_at": row["observed_at"], "batch": {k: v for k, v in row.items() if k != "observed_at"}}
        for row in rows
    ]


def written(path, log):
    """Write objects as JSON lines; return the path."""
    path.write_text("".join(json.dumps(each) + "\n" for each in log))
    return path


def told(*reports):
    """Return the listed findings of reports, with their messages."""
    return [(each.message, each.severity, each.to_dict()) for report in reports for each in report.findings]


def numbers(*reports):
    """Return the summed counts and snapshots of reports."""
    total = {}
    for report in reports:
        for code, count in report.counts.items():
            total[code] = total.get(code, 0) + count
    return total, sum(report.snapshots for report in reports)


# ---------------------------------------------------------------- several audits against one


def apart(folder, days, **how):
    """Return the reports of audits of logs one by one with a state, and the report of one audit of all."""
    paths = [written(folder / f"{number}.jsonl", day) for number, day in enumerate(days)]
    each = [audit(path, state=folder / "state.db", max_findings=10_000, **how) for path in paths]
    return each, audit(paths, max_findings=10_000, **how)


def in_order(envelopes):
    """Return envelopes whose times never decrease within a batch."""
    clock = {}
    ordered = []
    for each in envelopes:
        seen_at, batch_id = each["observed_at"], each["batch"]["id"]
        if seen_at is not None and batch_id is not None:
            seen_at = clock[batch_id] = max(seen_at, clock.get(batch_id, 0))
        ordered.append(each | {"observed_at": seen_at})
    return ordered


@pytest.mark.parametrize("server", ["openai", "azure", "compatible", "aibrix"])
@pytest.mark.parametrize("number", range(2))
def test_a_medley_cut_anywhere(server, number, tmp_path):
    """Complete and random histories, cut at two places, give the findings and messages of one audit."""
    dice = Random(f"{server} {number}")  # noqa: S311  # Not cryptography.
    log = in_order(wires(medley(dice, server, lives=40, others=80)))
    cuts = sorted(dice.sample(range(len(log)), 2))
    days = [log[: cuts[0]], log[cuts[0] : cuts[1]], log[cuts[1] :]]
    each, whole = apart(tmp_path, days, dialect=server)

    assert told(whole) == told(*each)
    assert numbers(whole) == numbers(*each)
    assert len(whole.findings) > 100


@pytest.mark.parametrize("number", range(2))
def test_days_that_are_out_of_order_in_themselves(number, tmp_path):
    """Logs of days that are out of order and have rows without time give the findings of one audit."""
    dice = Random(number)  # noqa: S311  # Not cryptography.
    log = wires(medley(dice, "openai", lives=60, others=60))
    days = []
    for day in range(3):
        rows = [
            each | {"observed_at": each["observed_at"] and CREATED + day * DAY_S + dice.randint(0, 3_000)}
            for each in log[day::3]
        ]
        for batch_id in {each["batch"]["id"] for each in rows}:
            # The first row needs a time: without one it would have that of the day before.
            first = next(row for row in rows if row["batch"]["id"] == batch_id)
            first["observed_at"] = CREATED + day * DAY_S + 1_500
        days.append(rows)
    each, whole = apart(tmp_path, days)

    assert told(whole) == told(*each)
    assert numbers(whole) == numbers(*each)


@each_server
@pytest.mark.parametrize("number", range(2))
def test_a_recording_cut_anywhere(server, number, tmp_path):
    """A recording of a real server, cut in two, gives the findings of one audit, in its dialect and OpenAI's."""
    log = of_batches(server)
    cut = Random(number).randrange(1, len(log))  # noqa: S311  # Not cryptography.
    for dialect in {server.dialect, "openai"}:
        (tmp_path / dialect).mkdir()
        each, whole = apart(tmp_path / dialect, [log[:cut], log[cut:]], dialect=dialect)

        assert told(whole) == told(*each)
        assert numbers(whole) == numbers(*each)


def test_a_finding_names_yesterdays_place(tmp_path):
    """The first place of a finding may be in the log of the previous audit."""
    days = [timed(seen("vpzc")), timed(seen("vpzcp")[-1:], since=CREATED + DAY_S)]
    (_, today), _ = apart(tmp_path, days)

    assert ["H502"] == [each.rule for each in today.findings]
    assert [("0.jsonl", 4), ("1.jsonl", 1)] == [
        (place.source.rpartition("/")[2], place.line) for place in today.findings[0].where
    ]


def test_a_history_rule_can_look_back(tmp_path):
    """A rule across snapshots is checked in the second of two audits of one snapshot each."""
    state = tmp_path / "state.db"
    reports = [audit(batch, state=state, select=["H501"]) for batch in (snap("v"), snap("vp"))]

    assert [("H501",), ()] == [report.not_looked for report in reports]


def test_an_id_of_any_letters(tmp_path):
    """A batch whose id has NUL and letters beyond ASCII is found in the state."""
    state = tmp_path / "state.db"
    audit(seen("vpzc", id="b\0é中"), state=state)

    assert {"H502": 1} == audit(seen("vpzcp", id="b\0é中")[-1], state=state).counts


def test_a_number_that_is_huge(tmp_path):
    """A count beyond the integers of SQLite is stored and compared as any other."""
    state = tmp_path / "state.db"
    audit(snap("vp", request_counts={"total": 10**30, "completed": 10**30, "failed": 0}), state=state)
    report = audit(snap("vp", request_counts={"total": 10**30, "completed": 5, "failed": 0}), state=state)

    assert {"H505": 1} == report.counts


# ---------------------------------------------------------------- late rows


def test_a_row_of_before_is_named_and_not_judged(tmp_path):
    """A row earlier than the state is reported as unreadable; later rows are checked."""
    state = tmp_path / "state.db"
    audit(timed(seen("vpzc")[1:]), state=state)
    report = audit([*timed(seen("vpzc")[:1]), *timed(seen("vpzc")[-1:], since=CREATED + 2000)], state=state)

    assert [(1, LATE.format(CREATED + 1000, CREATED + 1002))] == [(e.place.line, e.problem) for e in report.unreadable]
    assert (1, {}, 1) == (report.snapshots, report.counts, report.unreadable_count)


def test_who_does_not_say_when_is_as_late_as_the_one_before(tmp_path):
    """A row without time is late behind a late row, also in the next audit, and else in time."""
    state, (_, first, then, last) = tmp_path / "state.db", seen("vpzc")
    audit(timed([first]), state=state)
    late = {"observed_at": CREATED, "batch": first}
    assert [1, 2] == [e.place.line for e in audit([late, then], state=state).unreadable]
    assert [1] == [e.place.line for e in audit([then], state=state).unreadable]

    report = audit([*timed([then], since=CREATED + 3000), last], state=state)
    assert (2, 0, {}) == (report.snapshots, report.unreadable_count, report.counts)
    assert (1, 0) == ((again := audit([last], state=state)).snapshots, again.unreadable_count)


@pytest.mark.parametrize("is_repeatable", [True, False])
def test_late_rows_of_a_log_that_is_sorted(is_repeatable, tmp_path):
    """A late row is reported once, although a log out of order is read again."""
    state = tmp_path / "state.db"
    audit(timed(seen("vpzc")[:2]), state=state)
    log = [*timed(seen("vpzc")[:1]), *timed(seen("vpzc")[2:], since=CREATED + 3000)[::-1]]
    report = audit(log if is_repeatable else iter(log), state=state)

    assert (2, 1, {}) == (report.snapshots, report.unreadable_count, report.counts)


# ---------------------------------------------------------------- the same log again


def test_the_same_log_again_is_passed_over(tmp_path):
    """A log of the same path and bytes is skipped; if all are, the verdict is undetermined."""
    path, state = written(tmp_path / "log.jsonl", seen("vpzcp")), tmp_path / "state.db"
    audit(path, state=state)
    report = audit([path, written(tmp_path / "new.jsonl", seen("vp", id="batch_2"))], state=state)
    again = audit(path, state=state)

    assert ((f"skipped {path}: already in the state file",), 2, "consistent") == (
        report.remarks, report.snapshots, report.verdict,
    )  # fmt: skip
    assert (1, 0, "undetermined") == (len(again.remarks), again.snapshots, again.verdict)


def test_a_log_that_has_grown_is_another(tmp_path):
    """Earlier rows of a log that has grown are late or repeat the known one; its new rows are checked."""
    path, state = written(tmp_path / "log.jsonl", timed(seen("vp"))), tmp_path / "state.db"
    audit(path, state=state)
    report = audit(written(path, timed(seen("vpzcp"))), state=state)

    assert ((), 4, 1, {"H502": 1}) == (report.remarks, report.snapshots, report.unreadable_count, report.counts)


def test_a_log_of_another_name_or_other_bytes_is_judged(tmp_path):
    """A log of another path is checked, even if it repeats the bytes of an earlier one."""
    state = tmp_path / "state.db"
    for number, name in enumerate(["v", "vpzc", "v"]):
        report = audit(written(tmp_path / f"{number}.jsonl", [snap(name)]), state=state)

    assert {"H507": 1} == report.counts


def test_standard_input_is_always_new(tmp_path, monkeypatch):
    """Standard input is checked again, even if it has the same bytes."""
    log = written(tmp_path / "log.jsonl", [snap("v")])
    for _ in range(2):
        with log.open() as piped:
            monkeypatch.setattr("sys.stdin", piped)

            assert 1 == audit("-", state=tmp_path / "state.db").snapshots


def test_a_log_that_cannot_be_read_leaves_the_state(tmp_path):
    """A log that cannot be opened is a SourceError that names it."""
    (tmp_path / "log.jsonl").symlink_to("log.jsonl")
    with pytest.raises(SourceError, match=r"log.jsonl: "):
        audit(tmp_path / "log.jsonl", state=tmp_path / "state.db")


def test_a_log_that_goes_while_it_is_looked_at(tmp_path, monkeypatch):
    """A log that cannot be hashed is a SourceError that names it."""
    path = written(tmp_path / "log.jsonl", [snap("v")])
    monkeypatch.setattr("hashlib.file_digest", lambda *_: (_ for _ in ()).throw(OSError(5, "gone")))
    with pytest.raises(SourceError, match=r"log\.jsonl: gone"):
        audit(path, state=tmp_path / "state.db")


# ---------------------------------------------------------------- all or nothing


def broken_off(folder):
    """Yield four snapshots, then raise."""
    yield from seen("vpz")
    yield snap("v", id="batch_2")
    raise RuntimeError(folder)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_run_that_failed_changes_nothing(is_new, tmp_path):
    """An audit that raises leaves the state unchanged; a file that it created is gone."""
    state = tmp_path / "state.db"
    if not is_new:
        audit(snap("v"), state=state)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RuntimeError):
        audit(broken_off(tmp_path), state=state)

    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {} == audit(seen("vpzc"), state=state, ignore=["H507"]).counts


def test_nothing_is_written_before_the_block_has_ended(tmp_path):
    """If the block raises, the state is unchanged, and the next audit has the same findings."""
    state, log = tmp_path / "state.db", written(tmp_path / "log.jsonl", seen("vpzcp"))
    with pytest.raises(OSError, match="no such"), StateFile(state) as kept:
        assert {"H502": 1} == audit(log, state=kept).counts
        raise OSError("no such channel")

    with StateFile(state) as kept:
        assert {"H502": 1} == audit(log, state=kept).counts
        with pytest.raises(RuntimeError):
            audit(broken_off(tmp_path), state=kept)
        assert {} == audit(snap("v", id="batch_2"), state=kept).counts
    assert 0 == audit(log, state=state).snapshots


def test_one_audit_at_a_time(tmp_path, monkeypatch):
    """A state file that is open cannot be opened again."""
    monkeypatch.setattr("batchfsm.auditing.state_file._TIMEOUT_S", 0.0)
    with StateFile(tmp_path / "state.db"), pytest.raises(StateError, match=r"state\.db: another audit uses it$"):
        StateFile(tmp_path / "state.db")


def test_an_empty_file_stays(tmp_path):
    """A file that was there before an audit that raises is not deleted, though it holds nothing."""
    state = tmp_path / "state.db"
    state.touch()
    with pytest.raises(RuntimeError):
        audit(broken_off(tmp_path), state=state)

    assert b"" == state.read_bytes()


def test_a_new_file_that_another_audit_has_locked_stays(tmp_path):
    """Between the end of a failed audit and its deletion of the file, another audit may begin to use the file."""
    state = tmp_path / "state.db"
    failed = StateFile(state)
    failed._db.execute("ROLLBACK")
    with StateFile(state) as other:
        failed.__exit__(RuntimeError, None, None)
        assert 1 == audit(snap("v"), state=other).snapshots

    assert {} == audit(seen("vpzc"), state=state, ignore=["H507"]).counts


def test_a_new_file_that_another_audit_has_filled_stays(tmp_path):
    """A file with the records of another audit is not deleted."""
    state = tmp_path / "state.db"
    failed = StateFile(state)
    failed._db.execute("ROLLBACK")
    audit(snap("v"), state=state)
    failed.__exit__(RuntimeError, None, None)

    assert {"H503": 1} == audit(snap("v", expires_at=1), state=state, select="H503").counts


@pytest.mark.parametrize(
    "is_replaced, problem",
    [
        (False, "disk I/O error|No such file or directory"),
        (True, "another audit has replaced it: run this audit again"),
    ],
)
def test_no_record_is_written_into_a_deleted_file(is_replaced, problem, tmp_path, monkeypatch):
    """An audit that fails may delete the file that it created, after this one has opened it: the error is loud."""
    state, connect = tmp_path / "state.db", StateFile._connect

    def connect_and_lose(self):
        opened = connect(self)
        state.unlink()
        if is_replaced:
            state.touch()
        return opened

    monkeypatch.setattr(StateFile, "_connect", connect_and_lose)
    with pytest.raises(StateError, match=rf"state\.db: ({problem})$"):
        audit(snap("v"), state=state)
    assert is_replaced == state.exists()  # The other file stays.


def test_a_full_disk_is_one_sentence(tmp_path):
    """If the disk is full, the error is one sentence, and the state is unchanged."""
    state = tmp_path / "state.db"
    audit(snap("v"), state=state)
    before = state.read_bytes()
    with StateFile(state) as kept:
        kept._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StateError, match=r"state\.db: database or disk is full$"):
            audit((snap("v", id=f"batch_{number}") for number in range(2_000)), state=kept)

    assert before == state.read_bytes()


# ---------------------------------------------------------------- refused states


@pytest.fixture
def kept(tmp_path):
    """Return the path of a state under OpenAI's dialect."""
    audit(seen("vp"), state=tmp_path / "state.db")
    return tmp_path / "state.db"


@pytest.mark.parametrize(
    "how, problem",
    [
        ({"dialect": "azure"}, "it was made under the dialect openai, not azure"),
        ({"skew_s": 5}, "it was made with a skew of 60 s, not 5 s"),
        (
            {"dialect": Dialect(name="openai", dropped_steps=(("finalizing", "expired"),))},
            "it was made under another lifecycle of the dialect openai",
        ),
    ],
)
def test_what_was_kept_otherwise_is_refused(how, problem, kept):
    """A state made under another dialect, skew or lifecycle is refused and unchanged."""
    before = kept.read_bytes()
    with pytest.raises(StateError) as caught:
        audit(seen("vp"), state=kept, **how)

    assert (f"{kept}: {problem}", str(kept), problem) == (str(caught.value), caught.value.state, caught.value.problem)
    assert before == kept.read_bytes()


def test_a_newer_state_is_refused(kept):
    """A state of a newer version is refused and unchanged."""
    with closing(sqlite3.connect(kept)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = kept.read_bytes()
    with pytest.raises(StateError, match=rf"it has version {VERSION + 1}, and this batchfsm reads version {VERSION}$"):
        audit(seen("vp"), state=kept)

    assert before == kept.read_bytes()


def other_database(path):
    """Make an unrelated SQLite file; return the expected problem."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
    return "not a state of an audit, but some other SQLite file"


def text(path):
    """Make a file of text; return the expected problem."""
    path.write_text("precious, and longer than the hundred bytes of a header" * 3)
    return "not a state of an audit, nor any other SQLite file"


def folder(path):
    """Make a directory; return the expected problem."""
    path.mkdir()
    return "not a file"


def too_short(path):
    """Make a file that is shorter than a header; return the expected problem."""
    path.write_text("precious")
    return "not a state of an audit, nor any other SQLite file"


@pytest.mark.parametrize("make", [other_database, text, folder, too_short])
def test_what_is_no_state_is_never_touched(make, tmp_path):
    """A file or directory that is not a state is refused and unchanged."""
    path = tmp_path / "mine"
    problem = make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StateError) as caught:
        audit(seen("vp"), state=path)

    assert problem == caught.value.problem
    assert before == (path.read_bytes() if path.is_file() else None)


def test_no_directory_for_it(tmp_path):
    """If the directory does not exist, the error has the message of the operating system."""
    with pytest.raises(StateError, match=r"state\.db: No such file or directory$"):
        audit(seen("vp"), state=tmp_path / "no" / "state.db")


@pytest.mark.parametrize("length", [100, 600, 5000])
def test_a_file_that_was_cut_off(length, kept):
    """If the file is truncated, the error has SQLite's message."""
    kept.write_bytes(kept.read_bytes()[:length])
    with pytest.raises(StateError, match=r"state\.db: database disk image is malformed$"):
        audit(seen("vp"), state=kept)


@pytest.mark.parametrize("known", [b"", b"nonsense"])
def test_a_damaged_batch(known, kept):
    """A record that cannot be decoded is an error that names the state."""
    with closing(sqlite3.connect(kept)) as db, db:
        db.execute("UPDATE batches SET known = ?", (known,))
    with pytest.raises(StateError, match=r"state\.db: it is damaged: "):
        audit(seen("vp"), state=kept)


def test_an_empty_track_is_packed_too():
    """An empty record has no status and no places after it was packed and unpacked."""
    assert (None, {}) == ((track := _unpack(_pack(BatchRecord()))).status, track.places)


def test_spark_keeps_no_state(tmp_path):
    """The engine `spark` refuses a state before it starts Spark."""
    with pytest.raises(DefinitionError, match="invalid audit in Spark: it keeps no state"):
        audit("log.jsonl", engine="spark", state=tmp_path / "state.db")


def test_columns_keep_no_state(tmp_path, monkeypatch):
    """With a state a large log is read row by row, with a remark unless `engine` is `rows`."""
    monkeypatch.setattr(api, "COLUMNS_BYTES_MIN", 1)
    log = written(tmp_path / "log.jsonl", seen("vp"))
    remarks = [audit(log, state=tmp_path / engine, engine=engine).remarks for engine in ("auto", "rows")]

    assert [("read row by row, because of the state file",), ()] == remarks


def test_the_file_is_small(tmp_path):
    """A completed batch takes less than 400 bytes."""
    state = tmp_path / "state.db"
    audit((batch for number in range(1_000) for batch in seen("vpzc", id=f"batch_{number:032x}")), state=state)

    assert 400 > state.stat().st_size / 1_000


def test_the_same_lifecycle_under_its_own_name(tmp_path):
    """A state made under a custom lifecycle is accepted under the same lifecycle."""
    openai = DIALECTS["openai"].lifecycle
    own = Lifecycle(name="own", states=openai.states, steps=openai.steps, initial=openai.initial)
    for _ in range(2):
        assert "consistent" == audit(snap("vp"), dialect=own, state=tmp_path / "state.db").verdict
