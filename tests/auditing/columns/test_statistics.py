"""Statistics in columns: as row by row, except for which of many clean batches are drawn."""

import json
import random
from itertools import product

import attrs
import pytest
from click.testing import CliRunner

from batchfsm import audit, write_report
from batchfsm.auditing.statistics import CLEAN_MAX, FAILING_MAX, has_provable_routes
from batchfsm.cli import app
from batchfsm.lifecycle import STAMP_FIELDS
from support.both_readings import any_log, both, written
from support.dialects import DIALECTS
from support.medley import medley
from support.notation import CREATED, seen, snap
from support.paths import SHARED

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

BY_STAMPS = [name for name, dialect in DIALECTS.items() if has_provable_routes(dialect)]
by_stamps = pytest.mark.parametrize(
    "dialect", [BY_STAMPS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in BY_STAMPS[1:])]
)
"""Their lifecycles are equal, so the default run tries one of them."""


def drawn(report):
    """Return the statistics of a report; of more clean batches than are drawn, only the number."""
    whole = attrs.asdict(report.statistics, recurse=False)
    clean = whole.pop("clean_examples")
    return whole, len(clean) if len(clean) == CLEAN_MAX else sorted(clean, key=lambda life: life.batch_id)


def lines(log):
    """Return a log as JSON lines."""
    return "".join(json.dumps(each) + "\n" for each in log)


def test_dialects_whose_stamps_give_the_route():
    """Columns give no route if a stamp is optional, or if a cycle hides an entry."""
    assert ["openai", "zhipu", "dashscope"] == BY_STAMPS


# ---------------------------------------------------------------- any log


@by_stamps
@pytest.mark.parametrize("is_sorted", [True, False])
def test_any_log(dialect, is_sorted, tmp_path, column_runs):
    """Routes, dwell times, severities and timelines are equal, for logs in order and out of order."""
    for seed in range(12):
        path = written(tmp_path, any_log(random.Random(f"{dialect} {is_sorted} {seed}"), dialect, is_sorted=is_sorted))  # noqa: S311
        options = [{}, {"select": "T,H5"}, {"ignore": "P"}, {"memory": 1}, {"max_findings": 0}][seed % 5]

        row_by_row, in_columns = both(path, dialect=dialect, statistics=True, **options)

        assert drawn(row_by_row) == drawn(in_columns), seed


def sent(row):
    """Return a row of a table as a line of a log sends it."""
    batch = {name: value for name, value in row.items() if not name.startswith("request_counts_")}
    del batch["place"]
    seen_at = batch.pop("observed_at")
    counts = {name: row[f"request_counts_{name}"] for name in ("total", "completed", "failed")}
    batch |= {"errors": json.loads(row["errors"] or "null"), "request_counts": counts}
    return {"batch": batch} if seen_at is None else {"observed_at": seen_at, "batch": batch}


@by_stamps
def test_many_batches(dialect, tmp_path, column_runs):
    """Complete and damaged histories of many batches, mixed, give equal statistics."""
    rows = medley(random.Random(dialect), dialect, 120, 120)  # noqa: S311
    row_by_row, in_columns = both(written(tmp_path, lines(map(sent, rows))), dialect=dialect, statistics=True)

    assert 1 == len(column_runs)
    assert drawn(row_by_row) == drawn(in_columns)


@pytest.mark.parametrize("name", ["data/observed_snapshots.jsonl", "recordings/server_aibrix_dryrun.jsonl", "recordings/server_ogx.jsonl", "recordings/server_llmock.jsonl"])  # fmt: skip
@by_stamps
def test_real_logs(name, dialect, column_runs):
    """The corpus and the recordings give equal statistics."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not there; BATCHFSM_SHARED says where else to look")

    row_by_row, in_columns = both(str(path), dialect=dialect, statistics=True)

    assert drawn(row_by_row) == drawn(in_columns)


# ---------------------------------------------------------------- all routes


def stamped(dialect):
    """Return each status with each set of stamps."""
    times = {name: CREATED + 1_111 * place for place, name in enumerate(STAMP_FIELDS)}
    for status, given in product(DIALECTS[dialect].lifecycle.statuses, product([True, False], repeat=len(times))):
        stamps = {name: at if is_given else None for is_given, (name, at) in zip(given, times.items(), strict=True)}
        yield snap("v", output_file_id="file-out", error_file_id="file-err") | {"status": status} | stamps


@by_stamps
def test_every_set_of_stamps(dialect, tmp_path, column_runs):
    """Each status with each set of stamps, in a batch of its own, gives equal statistics."""
    log = [batch | {"id": f"b{number}"} for number, batch in enumerate(stamped(dialect))]
    row_by_row, in_columns = both(written(tmp_path, lines(log)), dialect=dialect, statistics=True)

    assert drawn(row_by_row) == drawn(in_columns)


@by_stamps
def test_every_pair_of_sound_rows(dialect, tmp_path, column_runs):
    """The route of two rows is that of the stamps of the second, or a rule is violated and the batch is replayed."""
    sound = sound_rows(dialect)
    pairs = [[batch | {"id": f"b{number}"} for batch in pair] for number, pair in enumerate(product(sound, repeat=2))]
    row_by_row, in_columns = both(
        written(tmp_path, lines(batch for pair in pairs for batch in pair)), dialect=dialect, statistics=True
    )

    assert drawn(row_by_row) == drawn(in_columns)


def sound_rows(dialect):
    """Return the rows that violate no rule about set and missing stamps."""
    rows = [batch | {"id": f"s{number}"} for number, batch in enumerate(stamped(dialect))]
    found = audit(rows, dialect=dialect, select="P101,P102,P103", max_findings=100_000).by_batch()
    return [row for row in rows if row["id"] not in found]


# ---------------------------------------------------------------- which rows are read again


@pytest.mark.parametrize("memory", ["1GB", 1])
def test_healthy_batches(memory, tmp_path, column_runs):
    """Routes of healthy batches are read off columns, in one partition and in many."""
    log = [batch for number in range(60) for batch in seen("vpzc", id=f"b{number}", at=(0, 5, 1_234, 9_999))]
    row_by_row, in_columns = both(written(tmp_path, lines(log)), statistics=True, memory=memory)

    assert drawn(row_by_row) == drawn(in_columns)
    assert {
        "validating": {5: 60},
        "in_progress": {1_220: 60},
        "finalizing": {8_760: 60},
    } == in_columns.statistics.dwell_times
    assert CLEAN_MAX == len(in_columns.statistics.clean_examples)


def test_a_status_that_the_lifecycle_does_not_have(tmp_path, column_runs):
    """A batch with no other status has a timeline and no route."""
    row_by_row, in_columns = both(written(tmp_path, lines([snap("v") | {"status": "paused"}])), statistics=True)

    assert drawn(row_by_row) == drawn(in_columns)
    assert ((), {}, 1) == (
        in_columns.statistics.step_counts,
        in_columns.statistics.final_statuses,
        len(in_columns.statistics.failing_examples),
    )


def test_more_failing_batches_than_are_drawn(tmp_path, column_runs):
    """The first ones with the worst findings are drawn, whichever engine checked them."""
    log = [snap("v", id=f"noted{number}", expires_at=None) for number in range(FAILING_MAX + 9)]
    log += [snap("vpzc", id="wrong", request_counts={"total": 8, "completed": 1, "failed": 1})]
    log += [snap("v", id=f"odd{number}", completed_at=1.5) for number in range(FAILING_MAX)]
    row_by_row, in_columns = both(written(tmp_path, lines(log)), statistics=True)

    assert drawn(row_by_row) == drawn(in_columns)
    assert ["wrong", "odd0", "odd1"] == [life.batch_id for life in in_columns.statistics.failing_examples[:3]]


def test_the_sample_of_clean_batches(tmp_path, column_runs):
    """The sample does not depend on which batches the row engine checked."""
    clean = [snap("vp", id=f"c{number}") for number in range(3 * CLEAN_MAX)]
    spelled = [json.dumps(batch, indent=None).replace('"id"', '"\\u0069d"') for batch in clean]
    _, plain = both(written(tmp_path, lines(clean)), statistics=True)
    _, other = both(written(tmp_path, lines(clean[:30]) + "\n".join(spelled[30:])), statistics=True)

    assert [life.batch_id for life in plain.statistics.clean_examples] == [
        life.batch_id for life in other.statistics.clean_examples
    ]


# ---------------------------------------------------------------- reports


def test_an_audit_without_a_report(tmp_path, column_runs):
    """Without `statistics`, columns collect none."""
    _, in_columns = both(written(tmp_path, lines(seen("vpzc"))))

    assert in_columns.statistics is None


def test_a_dialect_whose_stamps_may_be_null(tmp_path, column_runs):
    """If such a dialect needs statistics, the row engine reads the log."""
    row_by_row, other = both(written(tmp_path, lines(seen("vpzc"))), dialect="groq", statistics=True)

    assert [] == column_runs
    assert drawn(row_by_row) == drawn(other)


def test_the_command(tmp_path, column_runs):
    """`--report` reads a large log in columns, and prints no remark."""
    path, page = written(tmp_path, lines(seen("vpzc"))), tmp_path / "report.html"
    result = CliRunner().invoke(app, ["audit", path, "--report", str(page)])

    assert (0, "", 1) == (result.exit_code, result.stderr, len(column_runs))
    assert "The lifecycle" in page.read_text()


def test_a_report_without_statistics(tmp_path, column_runs):
    """A report of an audit without statistics has no charts."""
    page = tmp_path / "report.html"
    write_report(audit(written(tmp_path, lines(seen("vpzc")))), page)

    assert 1 == len(column_runs)
    assert "The lifecycle" not in page.read_text()
