"""Histories of one batch for Hypothesis: healthy snapshots in which a few fields are changed."""

from typing import Any

from hypothesis import strategies as st

from support.notation import CREATED, DAY_S, WORDS, snap

Row = dict[str, Any]


def counts(total: object, completed: object, failed: object = 0) -> Row:
    """Return a `request_counts`."""
    return {"total": total, "completed": completed, "failed": failed}


# fmt: off
T = CREATED
TIMES = [None, T + 60, T + 60, T + 61, T + 120, "soon", {}, True, 0, "0", "", T + 60.0, T + 60.5, (T + 60) * 1000,
         "2025-10-09T08:54:20Z", str(T + 60)]
FIELDS: dict[str, list[Any]] = {
    "status": [*WORDS.values(), "scheduling", "canceled", "created", "complete", "running", "paused", "", None, 5],
    "created_at": [T, T + 1, None, "soon", str(T)],
    "in_progress_at": TIMES, "finalizing_at": TIMES, "completed_at": TIMES, "failed_at": TIMES,
    "expired_at": [*TIMES, T + DAY_S + 1], "cancelling_at": TIMES, "cancelled_at": TIMES,
    "expires_at": [T + DAY_S, T + DAY_S + 4, T + 5, None, "never"],
    "request_counts": [None, {}, 5, counts(0, 0), counts(8, 8), counts(8, 3), counts(8, 2), counts(9, 3), counts(-1, 0),
                       counts(8, None), counts(None, 3, None), counts("8", 3), counts(8, 7, 2), {"total": 8}],
    "output_file_id": [None, "", "file-out", "file-2", 5], "error_file_id": [None, "", "file-err", 5],
    "endpoint": ["/v1/chat/completions", "/v1/other", None, "", 5],
    "input_file_id": ["file-in", "file-2", None, ""],
    "completion_window": ["24h", "1d", "7d", "soon", None, 24],
    "errors": [None, [], {}, {"data": []}, {"data": [{"code": "a"}]}, ["a"], ["b"], 5, [5], {"data": None}],
    "metadata": [None, {}, [], {"a": "b"}, {"a": 1}, {"a": "b" * 513}, 5, {str(key): "" for key in range(17)}],
    "usage": [None, {}, {"total_tokens": 5}, 5], "model": [None, "gpt", 5], "object": ["batch", None, "file", "", 5],
    "id": ["batch_1", "batch_1", None, 5, "batch_" + "6" * 32],
}
PATHS = ["v", "vp", "vpz", "vpzc", "vpze", "vf", "vg", "vgx", "vpg", "vpgx", "vpf", "vpc", "vpzg", "vpzgx", "vgz",
         "vgzc", "vpgzx", "vgc", "ve", "vpx"]
# fmt: on

changes = st.lists(
    st.sampled_from(list(FIELDS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(FIELDS[name]))),
    max_size=4,
).map(dict)
clocks = st.sampled_from([None, None, 50.0, 100.0, 150.0, 200.0, 5.0 * DAY_S])
logs = st.lists(st.tuples(st.sampled_from([None, *PATHS]), changes, clocks), min_size=1, max_size=7)
"""Rows: a healthy snapshot or the row before (None), a few fields otherwise, and when it was seen."""


def written(log: list[tuple[str | None, Row, float | None]]) -> list[tuple[Row, float | None]]:
    """Return the rows of a log as the server sent them."""
    rows: list[tuple[Row, float | None]] = []
    for path, changed, clock in log:
        before = rows[-1][0] if rows else snap("v")
        rows.append(((before if path is None else snap(path)) | changed, clock and T + clock))
    return rows
