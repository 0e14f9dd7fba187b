"""What watching raises: batches that were dropped, and time that is up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from batchfsm.errors import BatchfsmError

_NAMED_MAX: Final = 5


class WatchError(BatchfsmError):
    """A batch that cannot be watched: the server knows none of that id, or refuses to tell."""

    batch_id: str | None
    """Whose it is; None if the server refused to list."""

    kind: Literal["gone", "fatal"]
    """`gone` after three 404 in a row; `fatal` where no later look could do better."""

    reason: str
    """What the server said, in a few words."""

    def __init__(self, batch_id: str | None, kind: Literal["gone", "fatal"], reason: str) -> None:
        """Hold what a handler needs."""
        self.batch_id, self.kind, self.reason = batch_id, kind, reason
        what = "the list of batches" if batch_id is None else batch_id
        why = "the server knows it no more" if kind == "gone" else "no later look could do better"
        super().__init__(f"{what} cannot be watched: {reason}; {why}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.batch_id, self.kind, self.reason)


class WatchTimeoutError(BatchfsmError, TimeoutError):
    """The time is up, and some batches are still open."""

    timeout_s: float
    """How long was to be watched; seconds."""

    open: Mapping[str, str | None]
    """The batches still open, each with its known status; None if it was never seen."""

    errors: tuple[Exception, ...]
    """What would have been raised at the end, had there been one: dropped batches, hooks that raised."""

    def __init__(self, timeout_s: float, still: Mapping[str, str | None], errors: Iterable[Exception] = ()) -> None:
        """Hold what a handler needs."""
        self.timeout_s, self.open, self.errors = timeout_s, MappingProxyType(dict(still)), tuple(errors)
        named = [f"{batch_id} ({status or 'never seen'})" for batch_id, status in list(still.items())[:_NAMED_MAX]]
        if len(still) > _NAMED_MAX:
            named.append(f"and {len(still) - _NAMED_MAX} more")
        what = f"still open: {', '.join(named)}" if named else "no list of batches was to be had"
        super().__init__(f"the {timeout_s:g} s are up, {what}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.timeout_s, dict(self.open), self.errors)
