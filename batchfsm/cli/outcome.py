"""The outcome of a batch in plain lines: why it failed, and how many of its requests did."""

from __future__ import annotations

from typing import Final

from batchfsm.escapes import printable
from batchfsm.snapshot import BatchErrorEntry, Snapshot

ERRORS_MAX: Final = 3
"""How many of a batch's errors are shown."""


def outcome_lines(snapshot: Snapshot) -> list[str]:
    """Return the first errors of a batch, with code, line and message, and the number of its failed requests."""
    errors = snapshot.errors or ()
    lines = [_error_line(error) for error in errors[:ERRORS_MAX]]
    if len(errors) > ERRORS_MAX:
        lines.append(f"and {len(errors) - ERRORS_MAX:,} more errors")
    failed = failed_requests(snapshot)
    if failed:
        total = getattr(snapshot.request_counts, "total", None) or 0
        share = f"all {failed:,}" if failed == total else f"{failed:,} of {total:,}"
        noun = "request" if max(failed, total) == 1 else "requests"
        file = f", see {printable(snapshot.error_file_id)}" if snapshot.error_file_id else ""
        lines.append(f"{share} {noun} failed{file}")
    return lines


def failed_requests(snapshot: Snapshot) -> int:
    """Return the number of failed requests; 0 if the server gave none."""
    return max(getattr(snapshot.request_counts, "failed", None) or 0, 0)


def _error_line(error: BatchErrorEntry) -> str:
    place = "" if error.line is None else f" (line {error.line})"
    return printable(f"{error.code or 'error'}{place}: {error.message or 'no message'}")
