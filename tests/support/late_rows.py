"""Batches seen long after a limit: overdue or stuck ones with stale reads, and ended ones whose files are gone."""

from support.notation import CREATED, DAY_S, snap

LATE = CREATED + 3 * DAY_S
"""More than a day after the deadline of a batch."""
KEPT_S = 30 * DAY_S
"""How long after the end files are kept."""
ENDED_AT = snap("vpzc")["completed_at"]
EXPIRED_AT = snap("vpze")["expired_at"]
GONE = {"output_file_id": None}

HISTORIES = {
    "finalizing, stale rows of earlier statuses": [
        (LATE, snap("vpz"), {"T207", "T208"}),
        (LATE + 1, snap("v"), {"H507"}),
        (LATE + 2, snap("vp"), {"H507"}),
        (LATE + 3, snap("vpz"), set()),
    ],
    "cancelling, a stale row between two statuses": [
        (LATE, snap("vp"), {"T207"}),
        (LATE + 1, snap("vpg"), {"T207", "T208"}),
        (LATE + 2, snap("vp"), {"H507"}),
        (LATE + 3, snap("vpg"), set()),
    ],
    "ended, a stale row": [(LATE, snap("vpzc"), set()), (LATE + 1, snap("vpz"), {"H507"})],
    "file gone on the last second": [
        (ENDED_AT + 60, snap("vpzc"), set()),
        (ENDED_AT + KEPT_S, snap("vpzc", **GONE), {"F402", "H506"}),
        (ENDED_AT + KEPT_S, snap("vpzc", **GONE), {"F402"}),
    ],
    "file gone a second later": [
        (ENDED_AT + 60, snap("vpzc"), set()),
        (ENDED_AT + KEPT_S + 1, snap("vpzc", **GONE), set()),
    ],
    "file gone at an unknown time": [
        (None, snap("vpzc"), set()),
        (None, snap("vpzc", **GONE), {"F402", "H506"}),
    ],
    "another file a second later": [
        (ENDED_AT + 60, snap("vpzc"), set()),
        (ENDED_AT + KEPT_S + 1, snap("vpzc", output_file_id="file-2"), {"H506"}),
    ],
    "file of an expired batch gone on the last second": [
        (EXPIRED_AT + 60, snap("vpze"), set()),
        (EXPIRED_AT + KEPT_S, snap("vpze", **GONE), {"H506"}),
    ],
    "file of an expired batch gone a second later": [
        (EXPIRED_AT + 60, snap("vpze"), set()),
        (EXPIRED_AT + KEPT_S + 1, snap("vpze", **GONE), set()),
    ],
}
"""By name, the history of one batch: when each row was seen, the row, and the rules that it breaches."""

LOG = [
    (seen_at, wire | {"id": f"b{number}"})
    for number, rows in enumerate(HISTORIES.values())
    for seen_at, wire, _ in rows
]
"""All histories as one log; each has its own batch."""
EXPECTED = [codes for rows in HISTORIES.values() for *_, codes in rows]
"""The rules that each row of the log breaches."""
