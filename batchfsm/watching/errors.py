"""Exceptions of `watch` and `awatch`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from batchfsm.errors import BatchfsmError
from batchfsm.monitor import HookError

_NAMED_MAX: Final = 5


class WatchError(BatchfsmError):
    """A batch cannot be watched: the server does not have it, or refuses the request."""

    __module__ = "batchfsm"

    batch_id: str | None
    """The batch's id; None if the server refused to list batches."""

    kind: Literal["gone", "fatal"]
    """`gone` after three 404 in a row; `fatal` if a retry cannot succeed."""

    reason: str
    """The server's refusal, in a few words."""

    def __init__(self, batch_id: str | None, kind: Literal["gone", "fatal"], reason: str) -> None:
        self.batch_id, self.kind, self.reason = batch_id, kind, reason
        subject = "the list of batches" if batch_id is None else batch_id
        outcome = "the server does not have it" if kind == "gone" else "a retry cannot succeed"
        super().__init__(f"{subject} cannot be watched: {reason}; {outcome}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.batch_id, self.kind, self.reason)


class WatchTimeoutError(BatchfsmError, TimeoutError):
    """The time of the watch is up, and some batches are still open."""

    __module__ = "batchfsm"

    timeout_s: float
    """The time that the watch was given; seconds."""

    open: Mapping[str, str | None]
    """The batches still open, each with its known status; None if no request for it succeeded."""

    errors: tuple[Exception, ...]
    """Errors that the end of the watch would have raised: of dropped batches and of hooks."""

    list_problem: str | None
    """The reason why the list of batches could not be read to its end; None if it could, or was not needed."""

    def __init__(
        self,
        timeout_s: float,
        still_open: Mapping[str, str | None],
        errors: Iterable[Exception] = (),
        list_problem: str | None = None,
    ) -> None:
        self.timeout_s, self.open, self.errors = timeout_s, MappingProxyType(dict(still_open)), tuple(errors)
        self.list_problem = list_problem
        named = [f"{batch_id} ({status or 'never seen'})" for batch_id, status in list(still_open.items())[:_NAMED_MAX]]
        if len(still_open) > _NAMED_MAX:
            named.append(f"and {len(still_open) - _NAMED_MAX} more")
        parts = [f"still open: {', '.join(named)}"] if named else []
        if list_problem is not None:
            parts.append(f"the list of batches is incomplete: {list_problem}")
        super().__init__(f"the watch timed out after {timeout_s:g} s, {'; '.join(parts) or 'no list of batches came'}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.timeout_s, dict(self.open), self.errors, self.list_problem)


def flatten(errors: Iterable[Exception]) -> Iterator[Exception]:
    """Yield errors, with the exceptions of hooks in place of each `HookError`."""
    for error in errors:
        if isinstance(error, HookError):
            yield from error.exceptions
        else:
            yield error
