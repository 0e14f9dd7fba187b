"""The back-off of hooks that raise, and the text of their errors in a journal."""

from __future__ import annotations

from typing import Final

import attrs

TRIES_MAX: Final = 10
"""Number of tries after which a hook is not called again for a transition, until a user asks for it."""

BACKOFF_S: Final = 10.0
"""Time from the first failure to the second try. Each further time it is twice as long."""

BACKOFF_S_MAX: Final = 3600.0
"""Longest time between two tries. Ten tries take 85 minutes at the least."""

ERROR_CHARS_MAX: Final = 1000
"""Length of an error's text in a journal."""


def backoff_s(tries: int) -> float:
    """Return the time between a failed try and the next one."""
    return min(BACKOFF_S * 2.0 ** (tries - 1), BACKOFF_S_MAX)


@attrs.frozen
class RetryState:
    """The failed tries of one delivery, and the time of the next one."""

    tries: int = 0
    """Number of failed tries. A try before its time is not counted, or ten restarts would use up all tries at once."""

    failed_at: float = 0
    """Time of the last counted try, Unix seconds; 0 if none was given."""

    due_at: float = 0
    """Earliest time of the next try, Unix seconds; 0 for any time."""

    @property
    def is_dead(self) -> bool:
        """True if no further try is made."""
        return self.tries >= TRIES_MAX

    def is_due(self, now: float) -> bool:
        """Return True if a try may be made."""
        # After the clock was set back `now` is before the failure. Then a try is due, or it could wait for years.
        return not self.is_dead and not self.failed_at <= now < self.due_at

    def after_failure(self, now: float | None) -> RetryState:
        """
        Return the state after one more failed try.

        Args:
            now: The time of the try, Unix seconds. Without a time only the first try is counted.
        """
        if self.tries and (now is None or not self.is_due(now)):
            return self
        tries = self.tries + 1
        return RetryState(tries, now, now + backoff_s(tries)) if now else RetryState(tries)


NEVER_TRIED: Final = RetryState()
"""The state of a delivery before its first failure."""


def error_text(error: Exception) -> str:
    """Return the type and message of an error, in characters that every database accepts."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # The error itself is raised all the same, whatever its `__str__` does.
        text = "its text cannot be had"
    plain = f"{type(error).__name__}: {text}"[:ERROR_CHARS_MAX].replace("\0", "\\x00")
    return plain.encode("utf-8", "backslashreplace").decode()
