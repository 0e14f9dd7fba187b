"""Rules that report once for each status: columns find and explain the same rows as the row engine."""

import json

import pytest

from batchfsm import audit
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
