"""Logs of a few batches for Hypothesis: each row changes the previous one of its batch, or is new."""

from hypothesis import strategies as st

from support import oracle
from support.notation import CREATED, DAY_S

STAMPS = oracle.LATER_STAMPS
seconds = st.sampled_from([CREATED, CREATED + 1, CREATED + 2, CREATED + 3])
odd_times = st.sampled_from(
    ["x", {}, True, 1.5, 0, -1, "0", "", 10**12, 946684800, "2025-10-09T08:53:22Z", "1760000002"]
)
few = st.integers(-1, 4)
fields = {
    "status": st.sampled_from(
        [*oracle.STATUSES, "scheduling", "canceled", "running", "complete", "paused", "", None, 5]
    ),
    **dict.fromkeys(STAMPS, st.none() | seconds | seconds | odd_times),
    "created_at": st.none() | seconds | odd_times,
    "expires_at": st.none() | st.sampled_from([CREATED + 2, CREATED + DAY_S, CREATED + DAY_S + 3]) | odd_times,
    "completion_window": st.sampled_from([None, "", "24h", "1d", "7d", "soon", 24]),
    "endpoint": st.sampled_from([None, "", "/v1/x", "/v1/y", 5]),
    "input_file_id": st.sampled_from([None, "", "f", "g", {}]),
    "output_file_id": st.sampled_from([None, "", "o", "p", 5]),
    "error_file_id": st.sampled_from([None, "", "o", "p"]),
    "request_counts": st.none()
    | st.fixed_dictionaries({"total": few, "completed": few, "failed": few})
    | st.fixed_dictionaries(
        {}, optional={"total": st.none() | few, "completed": st.none() | few, "failed": st.just("x")}
    ),
    "errors": st.sampled_from([None, [], {"data": [{"code": "a"}]}, {"data": None}, ["b"], {}, 5]),
    "metadata": st.sampled_from([None, {}, [], {"a": "b"}, {"a": 1}, {"a" * 65: ""}, 7]),
    "object": st.sampled_from(["batch", None, "file", 5]),
}
changes = st.fixed_dictionaries({}, optional=fields)
ids = st.sampled_from(["b", "b", "b", "c", "batch_" + "6" * 32, None, 5])
times = st.none() | st.sampled_from([CREATED + 1, CREATED + 100, CREATED + 200.5, CREATED + 400_000, CREATED + 400_060])
steps = st.lists(st.tuples(ids, st.booleans(), changes, times), min_size=1, max_size=8)
NEW = {
    "status": "validating",
    "created_at": CREATED,
    "expires_at": CREATED + DAY_S,
    "completion_window": "24h",
}


def made(steps, *, in_order=False):
    """Return the rows of some steps: each changes the last row of its batch, or is new."""
    last: dict[object, dict[str, object]] = {}
    log, latest = [], {}
    for batch_id, goes_on, changed, seen_at in steps:
        wire = (last.get(batch_id, NEW) if goes_on else NEW) | {"id": batch_id} | changed
        last[batch_id] = wire
        if seen_at is not None:
            latest[batch_id] = max(seen_at, latest.get(batch_id, 0))
        log.append((wire, latest[batch_id] if in_order and seen_at is not None else seen_at))
    return log


def enveloped(log):
    """Return rows in envelopes."""
    return [{"observed_at": seen_at, "snapshot": wire} for wire, seen_at in log]
