"""Rules that report once for each status: columns find and explain the same rows as the row engine."""

import json

import pytest

from batchfsm import Monitor, audit
from support.columns import enable_columns
from support.notation import CREATED, DAY_S, snap

LATE = CREATED + 3 * DAY_S
OTHER_ID = "batch_" + "6" * 32  # The time inside the id is not that of creation: T206 on every row.


def log_of(*histories):
    """Return a log of batches, each an id and its snapshots, which are an hour apart, in order of time."""
    rows = [
        {"observed_at": LATE + 3600 * number, "batch": wire | {"id": batch_id}}
        for batch_id, history in histories
        for number, wire in enumerate(history)
    ]
    rows.sort(key=lambda row: row["observed_at"])
    return "".join(json.dumps(row) + "\n" for row in rows)


LOGS = {
    "unchanged rows, the last one changed": [
        ("b1", [*[snap("vg")] * 6, snap("vg", endpoint="/v1/other")]),
        ("b2", [snap("vpz"), *[snap("vpzc")] * 4, snap("vpzc", endpoint="/v1/other")]),
    ],
    "rows that explain themselves": [(OTHER_ID, [snap("vg")] * 5), ("b2", [snap("vp")] * 5)],
    "several statuses, an earlier view among them": [
        ("b1", [snap("vp"), snap("vp"), snap("vpg"), snap("vp"), snap("vpg")]),
        (OTHER_ID, [snap("v"), snap("vpz"), snap("vpz"), snap("v"), snap("vpzc")]),
    ],
    "statuses that only earlier views show": [
        ("b1", [snap("vpz"), snap("v"), snap("vp"), snap("vpz"), snap("vpzc"), snap("vpz")]),
        (OTHER_ID, [snap("vpzc"), snap("v", endpoint="/v1/other"), snap("vpz")]),
    ],
    "a batch that the row engine checks": [("b1", [snap("vg"), snap("vg", endpoint=5), snap("vg")])],
}


@pytest.mark.parametrize("max_findings", [0, 1, 2, 3, 100])
@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("is_ordered", [True, False])
def test_columns_tell_what_the_row_engine_tells(name, max_findings, is_ordered, tmp_path, monkeypatch):
    """Counts, findings and places are the same, for any number of listed findings and any order of rows."""
    lines = log_of(*LOGS[name]).splitlines(keepends=True)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(lines if is_ordered else reversed(lines)))
    expected = audit(path, max_findings=max_findings, engine="rows")

    enable_columns(monkeypatch)
    found = audit(path, max_findings=max_findings)

    assert expected.counts == found.counts
    assert [each.to_dict() for each in expected.findings] == [each.to_dict() for each in found.findings]


def test_the_counts_are_those_of_the_contract(tmp_path, monkeypatch):
    """T207 and T208 are counted once for each batch and status."""
    path = tmp_path / "log.jsonl"
    path.write_text(log_of(*LOGS["several statuses, an earlier view among them"]))
    enable_columns(monkeypatch)

    assert {"T207": 4, "T208": 3} == {
        code: count for code, count in audit(path).counts.items() if code in ("T207", "T208")
    }


def test_stale_rows_are_neither_overdue_nor_stuck(tmp_path, monkeypatch):
    """A status that only stale rows show has no T207 and no T208; the live finalizing row has both, once."""
    path = tmp_path / "log.jsonl"
    path.write_text(log_of(*LOGS["statuses that only earlier views show"]))
    enable_columns(monkeypatch)
    report = audit(path)

    assert (1, 1, 5) == tuple(report.counts[code] for code in ("T207", "T208", "H507"))
    assert {1} == {finding.where[-1].line for finding in report.findings if finding.rule in ("T207", "T208")}


KEPT_S = 30 * DAY_S
ENDED_AT = snap("vpzc")["completed_at"]


@pytest.mark.parametrize(
    "after_s, expected",
    [(KEPT_S, {"F402": 1, "H506": 1}), (KEPT_S + 1, {}), (None, {"F402": 1, "H506": 1})],
    ids=["in time", "too late", "unknown"],
)
def test_files_that_may_have_expired(after_s, expected, tmp_path, monkeypatch):
    """An output file that is gone is a finding up to 30 days after the end, and if the time is unknown."""
    gone = snap("vpzc", output_file_id=None)
    times = [None, None, None] if after_s is None else [ENDED_AT + 60, ENDED_AT + after_s, ENDED_AT + after_s]
    rows = [snap("vpzc"), gone, gone]
    path = tmp_path / "log.jsonl"
    path.write_text(
        "".join(json.dumps({"observed_at": at, "batch": wire}) + "\n" for at, wire in zip(times, rows, strict=True))
    )
    by_rows = audit(path, engine="rows")
    enable_columns(monkeypatch)
    in_columns = audit(path)

    expected = {code: 2 if code == "F402" else count for code, count in expected.items()}
    assert expected == {**by_rows.counts} == {**in_columns.counts}
    assert [each.to_dict() for each in by_rows.findings] == [each.to_dict() for each in in_columns.findings]


def test_a_file_of_an_open_batch_does_not_expire(tmp_path, monkeypatch):
    """Only an end starts the 30 days: a file that is gone 40 days after `in_progress_at` is a finding."""
    seen_at = snap("vp")["in_progress_at"] + 40 * DAY_S
    rows = [snap("vp", output_file_id="file-1"), snap("vp", output_file_id=None)]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"observed_at": seen_at, "batch": wire}) + "\n" for wire in rows))
    by_rows = audit(path, engine="rows", select="H")
    enable_columns(monkeypatch)
    in_columns = audit(path, select="H")

    assert {"H506": 1} == {**by_rows.counts} == {**in_columns.counts}


def test_a_file_that_changes_after_30_days_is_a_finding():
    """Only a null may mean that a file has expired."""
    log = [
        {"observed_at": ENDED_AT + KEPT_S + number, "batch": snap("vpzc", output_file_id=f"file-{number}")}
        for number in range(2)
    ]

    assert {"H506": 1} == audit(log).counts


@pytest.mark.parametrize(
    "second, seen_at, reason",
    [
        (snap("v"), LATE + 1, "an earlier view that came late, or a server that was reset to an earlier state"),
        (snap("v"), None, "an earlier view that came late, or a server that was reset to an earlier state"),
        (snap("v"), LATE - 1, "an earlier view that came late"),
        (
            snap("v", created_at=CREATED + 9),
            LATE + 1,
            f"with created_at {CREATED + 9} instead of {CREATED}: "
            "no earlier view of it, but a server that was reset, or used the id again",
        ),
    ],
)
def test_a_stale_read_names_the_signs_of_a_reset(second, seen_at, reason):
    """The clock proves an earlier view, another created_at proves a reset; else both are possible."""
    monitor = Monitor()
    monitor.observe(snap("vpzc"), observed_at=LATE)
    (found,) = (each for each in monitor.observe(second, observed_at=seen_at).findings if each.rule == "H507")

    assert found.message.startswith("batch_1 was seen validating after completed")
    assert found.message.removeprefix("batch_1 was seen validating after completed").lstrip(":, ") == reason
