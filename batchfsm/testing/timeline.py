"""One life of a batch: what its object says at any second, whoever asks, and however often."""

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

Wire = dict[str, Any]
"""A batch object as the server sends it."""

FAILURE: Final[Mapping[str, Any]] = {
    "code": "invalid_json_line", "message": "This line is not parseable as valid JSON.", "param": None, "line": 1,
}  # fmt: skip
"""Why a batch failed, where nobody says why."""

CANCELLING_S: Final = 605
"""How long a batch is cancelling; 97 % of the real ones took 605 to 607 seconds."""

DEADLINE_S: Final = 607
"""How long after its deadline a batch is expired, finalizing for 606 seconds of them; so were the real ones."""

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
    """What the engine asks of a batch's life, be it made up or recorded."""

    @property
    def batch_id(self) -> str:
        """Whose life it is."""
        ...

    @property
    def begins_at(self) -> float:
        """From when on the batch is there; Unix seconds."""
        ...

    @property
    def ends_at(self) -> float:
        """From when on nothing changes any more; Unix seconds."""
        ...

    def at(self, second: float) -> Wire:
        """Return the object as it is at a time; Unix seconds. The caller may change it."""
        ...

    def cancelled(self, second: float) -> BatchLife | None:
        """Return the life after somebody asked for a cancel; None if that is refused."""
        ...


def made_id(kind: str, created_at: int, *parts: object) -> str:
    """Return an id as OpenAI makes them: the second of creation, then digits without a meaning."""
    tail = blake2b(repr(parts).encode(), digest_size=12).hexdigest()
    return f"{kind}{created_at:08x}{tail}"


@attrs.frozen(kw_only=True)
class ProgressPoint:
    """How many requests are done by a second; between two knots they grow evenly."""

    at: int
    completed: int
    failed: int


@attrs.frozen(kw_only=True)
class Timeline:
    """
    A life along the table: which statuses were entered when, and how the work went on.

    >>> timeline = Timeline(entries=(("validating", 1_760_000_000), ("in_progress", 1_760_000_005)))
    >>> timeline.at(1_760_000_004)["status"], timeline.at(1_760_000_005)["status"]
    ('validating', 'in_progress')
    """

    entries: tuple[tuple[str, int], ...]
    """Each status with the second it was entered, in order; the first is the birth."""

    dialect: Dialect = DIALECTS["openai"]
    """Whose table it follows."""

    total: int = 0
    """How many requests it has; shown once it is in progress."""

    knots: tuple[ProgressPoint, ...] = ()
    """How they get done, in order of time."""

    errors: tuple[Mapping[str, Any], ...] = (FAILURE,)
    """Why it failed; shown if it does."""

    silent: frozenset[str] = frozenset()
    """Statuses that leave no stamp; only a dialect makes that legal."""

    number: int = 0
    """Which of the batches born in that second it is."""

    completion_window: str = "24h"
    """How long it may take: `24h`."""

    identity: Mapping[str, Any] = attrs.field(factory=dict)
    """Fields that never change: `endpoint`, `input_file_id`, `metadata`, and `id` where it is not to be made up."""

    model: str | None = "gpt-5-2025-08-07"
    """The model, shown once the batch is in progress."""

    usage: Mapping[str, Any] | None = None
    """Tokens used, shown at the end; None for zeros."""

    @property
    def begins_at(self) -> int:
        """When it was born; Unix seconds."""
        return self.entries[0][1]

    @property
    def ends_at(self) -> int:
        """When it entered its last status; Unix seconds."""
        return self.entries[-1][1]

    @property
    def expires_at(self) -> int:
        """Its deadline; Unix seconds."""
        return self.begins_at + int(parse_span(self.completion_window))

    @property
    def batch_id(self) -> str:
        """Whose life it is."""
        return str(self.identity.get("id") or made_id("batch_", self.begins_at, self.number))

    @property
    def walk(self) -> tuple[str, ...]:
        """The statuses entered, in order."""
        return tuple(status for status, _ in self.entries)

    @property
    def _graph(self) -> Topology:
        return topology(self.dialect.lifecycle)

    def at(self, second: float) -> Wire:
        """Return the object as it is at a time; Unix seconds. Before its birth it is as it was born."""
        passed = self.entries[: max(1, bisect_right(self.entries, second, key=lambda entry: entry[1]))]
        return self._seen(passed, second)

    def history(self) -> list[Wire]:
        """Return one object for each status entered, equal seconds included; the work done is as at its end."""
        ends = [*(at for _, at in self.entries[1:]), self.ends_at]
        return [self._seen(self.entries[: length + 1], end) for length, end in enumerate(ends)]

    def done_at(self, second: float) -> tuple[int, int]:
        """Return how many requests have ended well, and badly, by a time."""
        if not self.knots or second < self.knots[0].at:
            return 0, 0
        for before, after in pairwise(self.knots):
            if before.at <= second < after.at:
                share = (second - before.at) / (after.at - before.at)
                return (
                    before.completed + int((after.completed - before.completed) * share),
                    before.failed + int((after.failed - before.failed) * share),
                )
        return self.knots[-1].completed, self.knots[-1].failed

    def cancelled(self, second: float) -> Timeline | None:
        """
        Return the life after a cancel was asked for; None if it is refused.

        Asked again, it changes nothing; OpenAI answers a second cancel with the batch
        as it is. Only a documented step is taken: its table has none from `finalizing`.
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
        knots = (
            *(knot for knot in self.knots if knot.at < now),
            ProgressPoint(at=now, completed=completed, failed=failed),
        )
        ending = [("cancelling", now), ("cancelled", now + CANCELLING_S)]
        return attrs.evolve(self, entries=(*entered, *ending), knots=knots if self.knots else ())

    def files(self) -> tuple[str | None, str | None]:
        """Return the ids of the output and the error file that it has in the end."""
        completed, failed = self.done_at(self.ends_at)
        rest = self.total - completed - failed
        is_partial = self.entries[-1][0] in _PARTIAL and _RAN in self.walk and rest > 0
        return (
            made_id("file-", self.begins_at, self.batch_id, "output") if completed else None,
            made_id("file-", self.begins_at, self.batch_id, "error") if failed or is_partial else None,
        )

    def _seen(self, passed: Iterable[tuple[str, int]], second: float) -> Wire:
        entered = dict(passed)
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
