"""The life of a batch: its object at any second."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final, Protocol

import attrs

from batchfsm.dialects import DIALECTS, Dialect
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.spans import parse_span
from batchfsm.topology import Topology, topology

WireObject = dict[str, Any]
"""A batch object as the server sends it."""

FAILURE: Final[Mapping[str, Any]] = {
    "code": "invalid_json_line", "message": "This line is not parseable as valid JSON.", "param": None, "line": 1,
}  # fmt: skip
"""The default error of a failed batch."""

CANCELLING_S: Final = 605
"""Seconds in `cancelling`; 97 % of the real batches took 605 to 607."""

DEADLINE_S: Final = 607
"""Seconds from the deadline to `expired`, as of real batches; all but the first in `finalizing`."""

_RAN: Final = "in_progress"
_PARTIAL: Final = frozenset({"expired", "cancelled"})
_NO_USAGE: Final = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


class BatchLife(Protocol):
    """The object of a batch as a function of time: simulated or recorded."""

    @property
    def batch_id(self) -> str:
        """Id of the batch."""
        ...

    @property
    def begins_at(self) -> float:
        """Time from which the batch exists; Unix seconds."""
        ...

    @property
    def ends_at(self) -> float:
        """Time from which nothing changes any more; Unix seconds."""
        ...

    def at(self, second: float) -> WireObject:
        """Return the batch object at a time in Unix seconds; a new object each time."""
        ...

    def cancelled(self, second: float) -> BatchLife | None:
        """Return the life after a cancel at a time in Unix seconds; None if the cancel is refused."""
        ...


def made_id(kind: str, created_at: int, *parts: object) -> str:
    """Return an id in OpenAI's form: the second of creation, then a hash of the parts."""
    tail = blake2b(repr(parts).encode(), digest_size=12).hexdigest()
    return f"{kind}{created_at:08x}{tail}"


@attrs.frozen(kw_only=True)
class ProgressPoint:
    """Counts of a batch at a second; between two points they grow evenly."""

    at: int
    """Time; Unix seconds."""
    completed: int
    """Requests that have succeeded by then."""
    failed: int
    """Requests that have failed by then."""


@attrs.frozen(kw_only=True)
class Timeline:
    """
    The life of a batch along its lifecycle: the time of each status, and the counts.

    >>> timeline = Timeline(entries=(("validating", 1_760_000_000), ("in_progress", 1_760_000_005)))
    >>> timeline.at(1_760_000_004)["status"], timeline.at(1_760_000_005)["status"]
    ('validating', 'in_progress')
    """

    entries: tuple[tuple[str, int], ...]
    """Each status with the second it was entered, in order; the first is the creation."""

    dialect: Dialect = DIALECTS["openai"]
    """The dialect of the batch."""

    total: int = 0
    """Number of requests; shown once the batch is in progress."""

    progress: tuple[ProgressPoint, ...] = ()
    """Points between which the counts grow, in order of time."""

    errors: tuple[Mapping[str, Any], ...] = (FAILURE,)
    """The errors of the batch if it fails."""

    silent: frozenset[str] = frozenset()
    """Statuses without a stamp; legal only for the optional stamps of a dialect."""

    number: int = 0
    """Number of the batch among those created in its second; part of its id."""

    completion_window: str = "24h"
    """Time from creation to the deadline: `24h`."""

    identity: Mapping[str, Any] = attrs.field(factory=dict)
    """Fields that never change: `endpoint`, `input_file_id`, `metadata`, and optionally `id`."""

    model: str | None = "gpt-5-2025-08-07"
    """The model, shown once the batch is in progress."""

    usage: Mapping[str, Any] | None = None
    """Tokens used, shown at the end; None for zeros."""

    @property
    def begins_at(self) -> int:
        """Time of creation; Unix seconds."""
        return self.entries[0][1]

    @property
    def ends_at(self) -> int:
        """Time of the last status; Unix seconds."""
        return self.entries[-1][1]

    @property
    def expires_at(self) -> int:
        """The deadline; Unix seconds."""
        return self.begins_at + int(parse_span(self.completion_window))

    @property
    def batch_id(self) -> str:
        """Id of the batch."""
        return str(self.identity.get("id") or made_id("batch_", self.begins_at, self.number))

    @property
    def walk(self) -> tuple[str, ...]:
        """The statuses entered, in order."""
        return tuple(status for status, _ in self.entries)

    @property
    def _graph(self) -> Topology:
        return topology(self.dialect.lifecycle)

    def at(self, second: float) -> WireObject:
        """Return the batch object at a time in Unix seconds; before its creation, as it is created."""
        passed = self.entries[: max(1, bisect_right(self.entries, second, key=lambda entry: entry[1]))]
        return self._object_at(passed, second)

    def history(self) -> list[WireObject]:
        """Return one object for each status, equal seconds included, with the counts at the end of the status."""
        ends = [*(at for _, at in self.entries[1:]), self.ends_at]
        return [self._object_at(self.entries[: length + 1], end) for length, end in enumerate(ends)]

    def done_at(self, second: float) -> tuple[int, int]:
        """Return the completed and failed requests at a time in Unix seconds."""
        if not self.progress or second < self.progress[0].at:
            return 0, 0
        for before, after in pairwise(self.progress):
            if before.at <= second < after.at:
                share = (second - before.at) / (after.at - before.at)
                return (
                    before.completed + int((after.completed - before.completed) * share),
                    before.failed + int((after.failed - before.failed) * share),
                )
        return self.progress[-1].completed, self.progress[-1].failed

    def cancelled(self, second: float, *, cancelling_s: float | None = None) -> Timeline | None:
        """
        Return the life after a cancel; None if the cancel is refused.

        A second cancel changes nothing, as on OpenAI. Only a documented step is taken: the
        lifecycle has none from `finalizing`.

        Args:
            second: Time of the cancel; Unix seconds.
            cancelling_s: Seconds from there to `cancelled`; None: as long as real batches took.
        """
        now = int(second)
        entered = [entry for entry in self.entries if entry[1] <= second]
        status = entered[-1][0]
        if status in ("cancelling", "cancelled"):
            return self
        step = self._graph.steps.get((status, "cancelling"))
        if step is None or step.evidence != "documented":
            return None
        completed, failed = self.done_at(now)
        progress = (
            *(point for point in self.progress if point.at < now),
            ProgressPoint(at=now, completed=completed, failed=failed),
        )
        ending = [("cancelling", now), ("cancelled", now + int(CANCELLING_S if cancelling_s is None else cancelling_s))]
        return attrs.evolve(self, entries=(*entered, *ending), progress=progress if self.progress else ())

    def files(self) -> tuple[str | None, str | None]:
        """Return the ids of the output and the error file at the end of the batch."""
        completed, failed = self.done_at(self.ends_at)
        rest = self.total - completed - failed
        is_partial = self.entries[-1][0] in _PARTIAL and _RAN in self.walk and rest > 0
        return (
            made_id("file-", self.begins_at, self.batch_id, "output") if completed else None,
            made_id("file-", self.begins_at, self.batch_id, "error") if failed or is_partial else None,
        )

    def _object_at(self, entries: Iterable[tuple[str, int]], second: float) -> WireObject:
        entered = dict(entries)
        status = [*entered][-1]
        ran, ended = _RAN in entered, status in self._graph.terminal
        completed, failed = self.done_at(second) if ran else (0, 0)
        output, error = self.files() if ended and status != "failed" else (None, None)
        stamps = dict.fromkeys(STAMP_FIELDS)
        for name, at in entered.items():
            stamp = self._graph.stamp[name]
            if stamp is not None and name not in self.silent:
                stamps[stamp] = at
        errors = [dict(error) for error in self.errors] if status == "failed" else None
        return {
            "id": self.batch_id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "model": self.model if ran else None,
            "errors": errors and {"object": "list", "data": errors},
            "input_file_id": "file-input",
            "completion_window": self.completion_window,
            "status": status,
            "output_file_id": output,
            "error_file_id": error,
            "expires_at": self.expires_at,
            **stamps,
            "request_counts": {"total": self.total if ran else 0, "completed": completed, "failed": failed},
            "usage": dict(self.usage) if ended and self.usage is not None else dict(_NO_USAGE),
            "metadata": None,
            **self.identity,
        }
