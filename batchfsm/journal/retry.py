"""When a hook that raised is tried again, and what is kept of what it raised."""

from __future__ import annotations

from typing import Final

TRIES_MAX: Final = 10
"""After so many tries that raised, a hook is not called again for its transition unless somebody asks for it."""

BACKOFF_S: Final = 10.0
"""How long a hook that raised once is left alone; each further time it is twice as long."""

BACKOFF_S_MAX: Final = 3600.0
"""How long it is left alone at the most. All in all a hook is tried for a good hour before it is given up."""


ERROR_CHARS_MAX: Final = 1000
"""How much of an error's text is kept in a journal."""


def backoff_s(tries: int) -> float:
    """Return how long a hook that raised so often is left alone."""
    return min(BACKOFF_S * 2.0 ** (tries - 1), BACKOFF_S_MAX)


def error_text(error: Exception) -> str:
    """Return what an error says, as any database keeps it: a hook must not be able to stop its own journal."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # Whatever its `__str__` does, it has raised already, and is raised as it is.
        text = "its text cannot be had"
    plain = f"{type(error).__name__}: {text}"[:ERROR_CHARS_MAX].replace("\0", "\\x00")
    return plain.encode("utf-8", "backslashreplace").decode()
