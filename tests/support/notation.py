"""
Histories written in one letter a status: `seen("vpzc")` is a batch polled four times until it was completed.

    v validating   p in_progress   z finalizing   c completed   f failed
    e expired      g cancelling    x cancelled

Every object is what the real API gives (facts: stamps are kept, counts never fall, files come at the end). A
letter met again is entered anew: at a new second, and all that came after its first entry is gone from the
object, so `seen("vpzcp")` ends in a batch that left a final status, and in nothing else that is wrong. Only
`v` cannot be new, for `created_at` never changes: `seen("vpv")` ends in a stale read.
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

# What is done by then: (completed, failed). Finalizing leaves one open, for the path may go on to expired.
_DONE: Final = {"p": (3, 0), "z": (6, 1), "c": (7, 1)}


def words(path: str) -> tuple[str, ...]:
    """Return the statuses of a path."""
    return tuple(WORDS[letter] for letter in path)


def seconds(path: str) -> list[int]:
    """Return when each letter is entered, in seconds since creation: every minute; `e` after the deadline."""
    entered: list[int] = []
    for letter in path:
        soonest = entered[-1] + 60 if entered else 0 if letter == "v" else 60
        entered.append(max(soonest, DAY_S + 607) if letter == "e" else soonest)
    return entered


def snap(path: str, *, at: Sequence[int] | None = None, **changes: Any) -> dict[str, Any]:
    """
    Return the object of a batch that went along `path` and is seen in its last letter.

    Args:
        path: The statuses entered; what is not in it has no stamp, so `"vc"` is a jump.
        at: When each letter was entered, in seconds since creation (for `v` it says nothing);
            `seconds(path)` by default.
        changes: Fields that read otherwise, by name.
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
    """Return one object for each prefix of a path: what a poller saw who missed nothing."""
    entered = seconds(path) if at is None else at
    return [snap(path[:length], at=entered[:length], **changes) for length in range(1, len(path) + 1)]
