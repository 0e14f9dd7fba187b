"""The engine for large logs: which rows the row engine reads, and the comparison of the two engines."""

import json
import subprocess
import sys

import attrs
import pytest

from batchfsm import audit
from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.errors import DisagreementError, UnknownNameError
from support.both_readings import both, everything, written
from support.columns import COLLIDING
from support.dialects import DIALECTS
from support.notation import CREATED, snap

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm.auditing.columns import (
    HASH_SEED,
    PAD,
    ColumnEngine,
    ParsedLinesSource,
    ParserPool,
    engine,
    partition,
)
from batchfsm.auditing.columns.lookup_tables import BIT


def test_a_log_of_which_few_rows_can_be_decoded(tmp_path, column_runs, monkeypatch):
    """The row engine reads a log with too many rows that cannot be decoded."""
    monkeypatch.setattr(engine, "_UNDECODED_MAX", 3)

    row_by_row, report = both(written(tmp_path, '{"id":1,"status":"x"}\n' * 9))

    assert ([], 9) == (column_runs, report.counts["S001"])
    assert everything(row_by_row) == everything(report)


def test_unknown_codes(tmp_path, column_runs):
    """A code that names no rule is refused before the log is read."""
    with pytest.raises(UnknownNameError, match="no rule is called 'Z9'"):
        audit(written(tmp_path, "x"), select="Z9")


@pytest.mark.parametrize("select", ["H5", "H501,T2", "T203", "S001", "C3", "P"])
@pytest.mark.parametrize(
    "log",
    [
        [snap("v"), snap("vp")],
        [snap("v") | {"request_counts": None}, snap("vp") | {"request_counts": None}],
        [snap("v"), snap("vp", id="batch_2")],
        [snap("v"), snap("vp"), snap("v", id="batch_2") | {"created_at": float(CREATED)}],
        [snap("v") | {"created_at": float(CREATED)}, snap("vp") | {"created_at": float(CREATED)}],
        [snap("v") | {"created_at": float(CREATED)}, snap("vp")],
        [{"observed_at": CREATED + 5, "batch": snap("v")}],
        [snap("v", expires_at=None), snap("v", completion_window=None, id="batch_2")],
        [snap("v") | {"request_counts": None, "id": None}],
    ],
    ids=[
        "two rows",
        "no counts",
        "two batches",
        "another not decoded",
        "not decoded",
        "one decoded",
        "time",
        "nulls",
        "no id",
    ],
)
@pytest.mark.parametrize("memory", ["1GB", 1])
def test_which_selected_rules_could_not_be_checked(select, log, memory, tmp_path, column_runs):
    """A rule that needs a field or a history that the log does not have is named, and no other rule."""
    row_by_row, in_columns = both(written(tmp_path, "\n".join(map(json.dumps, log))), select=select, memory=memory)

    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(column_runs)


def test_engines_that_disagree(tmp_path, column_runs, monkeypatch):
    """A violation that only the compiled rules find is an error, and there is no report."""

    class Rules:
        def __init__(self, tables):
            self.real = partition_rules(tables)
            self.bit = BIT["T201"]

        def check(self, rows, observed_at, masks):
            self.real.check(rows, observed_at, masks)
            masks[0] |= self.bit

    partition_rules = partition.SnapshotRules
    monkeypatch.setattr(partition, "SnapshotRules", Rules)

    with pytest.raises(DisagreementError, match=r"the two readings of T201 disagree at .*log\.jsonl:1: please report"):
        audit(written(tmp_path, json.dumps(snap("v"))))


def test_null_times_of_a_dialect_that_hold_a_bool(tmp_path, column_runs):
    """In both engines `false` and 7 are null as the dialect defines; 0 and `true` are invalid times."""
    dialect = attrs.evolve(DIALECTS["openai"], name="own", null_time_values=(False, 7))
    rows = [snap("v", id=f"batch_{value}") | {"in_progress_at": value} for value in (False, 0, True, 7)]
    row_by_row, report = both(written(tmp_path, "".join(json.dumps(row) + "\n" for row in rows)), dialect=dialect)

    assert everything(row_by_row) == everything(report)
    assert ["batch_0", "batch_True"] == [each.batch_id for each in report.findings if each.rule == "S005"]
    assert 1 == len(column_runs)


def run_with_seed(rows, seed):
    """Return the counts of rows that columns check under a seed."""
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    dialect = DIALECTS["openai"]
    parsed = ParserPool(dialect, seed).parse(bytearray(text + b"\n" * PAD))
    source = ParsedLinesSource(parsed.values, parsed.observed_at, parsed.decoded, None, dialect)
    template = FindingsAccumulator(select=None, ignore=("P104", "T206"), listed_max=0)
    return dict(ColumnEngine(dialect, template, 60.0, 10**9, seed=seed).run([source]).report().counts)


def test_texts_that_collide_under_a_known_seed():
    """Two endpoints of equal hashes under a known seed hide a change; under other seeds H503 finds it."""
    changed = [snap("v", endpoint=endpoint) for endpoint in COLLIDING]

    assert [{}, {"H503": 1}, {"H503": 1}] == [run_with_seed(changed, seed) for seed in (0, 1, HASH_SEED)]


def test_every_process_has_a_seed_of_its_own():
    """Two processes have different seeds."""
    code = "from batchfsm.auditing.columns import HASH_SEED; print(HASH_SEED)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout

    assert int(other) != HASH_SEED


def test_ids_that_collide_under_a_known_seed():
    """Two ids with equal hashes under one seed are distinguished by their second hash."""
    batches = [snap("v", id=batch_id) for batch_id in COLLIDING]

    assert [{}, {}] == [run_with_seed(batches, seed) for seed in (0, HASH_SEED)]
