"""
Damage to a row that breaks exactly one rule, and has no effect on later rows.

Some kinds apply to any row; others need the rows before, and apply only to the last row of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

Row = dict[str, Any]

TERMINAL: Final = ("completed", "failed", "expired", "cancelled")
STAMPS: Final = (
    "in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"
)  # fmt: skip

ANY: Final[Mapping[str, tuple[Callable[[Row], bool], Row]]] = {
    "S003": (lambda _: True, {"object": "file"}),
    "S006": (lambda _: True, {"metadata": {"note": "x" * 513}}),
    "P104": (lambda _: True, {"expires_at": None}),
    "C304": (lambda row: row["status"] in ("in_progress", "finalizing", "cancelling"), {"request_counts": None}),
    "F403": (lambda row: row["status"] not in TERMINAL, {"errors": [{"code": "odd", "message": "a warning"}]}),
}
"""By rule: which rows it may befall, and what is other then."""


def any_row(dice: Random, row: Row) -> tuple[str, Row]:
    """Return the code of a rule, and the row damaged so that it breaches only that rule."""
    code = dice.choice([code for code, (fits, _) in ANY.items() if fits(row)])
    return code, row | ANY[code][1]


def last_row(dice: Random, row: Row, before: Row, first: Row, at: int) -> tuple[str, Row] | None:
    """
    Return the code of a rule, and a last row damaged so that it breaks only that rule.

    Args:
        dice: The generator of random numbers.
        row: The last row of a batch.
        before: The row before it.
        first: The first row, undamaged.
        at: The time of observation of the last row; Unix seconds.

    Returns:
        None if no damage applies to the row.
    """
    counts, known = row["request_counts"], before["request_counts"]
    is_news = row["status"] != before["status"]
    found: dict[str, Row] = {"H503": {"endpoint": "/v1/other"}}
    if before["in_progress_at"] is not None:
        found["H504"] = {"in_progress_at": before["in_progress_at"] - 1}
    if row["status"] == "in_progress":
        found["P102"] = {"failed_at": at}
        found["C301"] = {"request_counts": counts | {"failed": counts["total"] + 1}}
        if known is not None and known["completed"] > 0:
            found["H505"] = {"request_counts": counts | {"completed": known["completed"] - 1}}
    if row["status"] == "completed" and is_news:
        found["P101"] = {"completed_at": None}
        found["T201"] = {"completed_at": row["finalizing_at"] - 1}
        if before["finalizing_at"] is None:
            found["P103"] = {"finalizing_at": None}
    if before["output_file_id"] is not None:
        found["H506"] = {"output_file_id": "file-other"}
    if before["status"] == "completed":
        blank = dict.fromkeys((*STAMPS, "output_file_id", "error_file_id"))
        counts_none = {"total": 0, "completed": 0, "failed": 0}
        found["H502"] = blank | {
            "status": "failed", "failed_at": at, "errors": [{"code": "late"}], "request_counts": counts_none,
        }  # fmt: skip
    if first["status"] != before["status"] and (known is not None or not first["request_counts"]["total"]):
        found["H507"] = first  # A row is stale only if it has no new values; unknown counts would be new.
    code = dice.choice(list(found))
    return code, row | found[code]
