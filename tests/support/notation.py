"""
Histories in a notation of one letter for each status: `seen("vpzc")` is a completed batch, polled four times.

    v validating   p in_progress   z finalizing   c completed   f failed
    e expired      g cancelling    x cancelled

Every object is as the real API returns it: timestamps stay, counts never fall, and files come at the end. A
repeated letter is a new entry: it has a new second, and the object loses all statuses after the first entry, so
the only fault of `seen("vpzcp")` is that the batch leaves a final status. Only `v` cannot be entered again,
because `created_at` never changes: `seen("vpv")` ends in a stale read.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final

WORDS: Final = {
    "v": "validating",
    "p": "in_progress",
    "z": "finalizing",
    "c": "completed",
    "f": "failed",
    "e": "expired",
    "g": "cancelling",
    "x": "cancelled",
}
"""The status of each letter."""

CREATED: Final = 1_760_000_000
"""When every batch was created; Unix seconds."""

DAY_S: Final = 86_400
"""The completion window of every batch."""

TOTAL: Final = 8
"""How many requests a batch has, once it has been validated."""

# Requests done by then: (completed, failed). Finalizing leaves one open, because the path may go on to expired.
_DONE: Final = {"p": (3, 0), "z": (6, 1), "c": (7, 1)}


def words(path: str) -> tuple[str, ...]:
    """Return the statuses of a path."""
    return tuple(WORDS[letter] for letter in path)


def seconds(path: str) -> list[int]:
    """Return the second at which each letter is entered, since creation: one a minute; `e` after the deadline."""
    entered: list[int] = []
    for letter in path:
        soonest = entered[-1] + 60 if entered else 0 if letter == "v" else 60
        entered.append(max(soonest, DAY_S + 607) if letter == "e" else soonest)
    return entered


def snap(path: str, *, at: Sequence[int] | None = None, **changes: Any) -> dict[str, Any]:
    """
    Return the object of a batch that went along `path`, in the status of the last letter.

    Args:
        path: The statuses entered; other statuses have no timestamp, so `"vc"` skips some.
        at: The second at which each letter was entered, since creation (ignored for `v`);
            `seconds(path)` by default.
        changes: Fields with other values, by name.
    """
    entered: dict[str, int] = {}
    for letter, second in zip(path, seconds(path) if at is None else at, strict=True):
        before = takewhile(letter.__ne__, entered)
        entered = {earlier: entered[earlier] for earlier in before} | {letter: second}
    status, ran = path[-1], not entered.keys().isdisjoint(_DONE)
    completed, failed = next((_DONE[letter] for letter in reversed(entered) if letter in _DONE), (0, 0))
    stamps = {
        f"{word}_at": CREATED + entered[letter] if letter in entered else None
        for letter, word in WORDS.items()
        if letter != "v"
    }
    ended = ran and status in "cex"
    empty = {"code": "empty_file", "message": "The file is empty.", "param": None, "line": 1}
    errors = {"object": "list", "data": [empty]}
    return {
        "id": "batch_1",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "model": "gpt-5-2025-08-07" if ran else None,
        "errors": errors if status == "f" else None,
        "input_file_id": "file-in",
        "completion_window": "24h",
        "status": WORDS[status],
        "output_file_id": "file-out" if ended else None,
        "error_file_id": "file-err" if ended else None,
        "created_at": CREATED,
        "expires_at": CREATED + DAY_S,
        **stamps,
        "request_counts": {"total": TOTAL if ran else 0, "completed": completed, "failed": failed},
        "metadata": {"team": "search"},
    } | changes


def seen(path: str, *, at: Sequence[int] | None = None, **changes: Any) -> list[dict[str, Any]]:
    """Return one object for each prefix of a path, as a poller observes that misses no status."""
    entered = seconds(path) if at is None else at
    return [snap(path[:length], at=entered[:length], **changes) for length in range(1, len(path) + 1)]
