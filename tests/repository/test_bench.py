"""The benchmark logs have known findings, and the compared programs count alike."""

import pytest

from batchfsm import audit
from bench import eleven
from bench.snapshot_log import to_parquet, write


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"order": "shuffled", "rows_per_batch": 3, "share": 0.1},
        {"share": 1.0, "rows_per_batch": 5},
        {"share": 0.0},
    ],
    ids=str,
)
def test_an_audit_finds_what_was_damaged(shape, tmp_path):
    """The audit has exactly the damages as findings, in any order and at any share."""
    path = tmp_path / "log.jsonl"
    truth = write(path, rows=1_500, **shape)
    report = audit(str(path))

    assert truth == report.counts
    assert 1_500 <= report.snapshots < 1_520
    assert (0 if shape.get("share") == 0.0 else 5) <= sum(truth.values())


def test_the_same_seed_makes_the_same_log(tmp_path):
    """The logs are equal byte for byte; another seed makes another log."""
    logs = []
    for number, seed in enumerate((7, 7, 8)):
        write(tmp_path / f"{number}.jsonl", rows=200, seed=seed)
        logs.append((tmp_path / f"{number}.jsonl").read_bytes())

    assert logs[0] == logs[1]
    assert logs[1] != logs[2]


def test_the_log_is_in_order_of_observation(tmp_path):
    """The benchmark log has the order of a log that a poller appends to."""
    path = tmp_path / "log.jsonl"
    write(path, rows=500)
    seen = [line.split(",", 1)[0] for line in path.read_text().splitlines()]

    assert sorted(seen) == seen


def test_peers_count_alike(tmp_path):
    """DuckDB on JSON and Parquet, Python, and Polars if it is installed have the same counts."""
    path = tmp_path / "log.jsonl"
    write(path, rows=1_500, share=0.3)
    to_parquet(path, path.with_suffix(".parquet"))
    expected = eleven.python_loop(path)
    found = [eleven.duckdb_window(path), eleven.duckdb_window(path.with_suffix(".parquet"))]
    try:
        found += [eleven.polars_shift(path), eleven.polars_shift(path.with_suffix(".parquet"))]
    except ImportError as error:
        assert "polars" == error.name

    assert {expected} == set(found)
    assert 9 <= sum(count > 0 for count in expected)
