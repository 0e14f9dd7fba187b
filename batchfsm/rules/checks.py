"""What the scalar reading of a rule depends on beside its row, and what it is: a question to a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Severity
from batchfsm.rules import kinds
from batchfsm.snapshot import Snapshot
from batchfsm.topology import Mask, Topology

_NUMBER_MAX: Final = 10**40

BreachDetails = tuple[Mapping[str, object], str, Severity | None]
"""The fields that breach a rule, the rest of a sentence that begins with the batch, and what it weighs at most."""

SnapshotCheck = Callable[[Snapshot], BreachDetails | None]
"""A question to a snapshot: does it breach the rule?"""

SetFields = frozenset[str]
"""The fields that are set, neither null nor bad; and `bad`, if any is."""


@attrs.frozen(kw_only=True, eq=False)
class RuleContext:
    """What a reading may depend on beside its row."""

    dialect: Dialect
    topology: Topology
    skew_s: float
    """How far a stamp may lie after its observation; seconds."""

    def scope(self, kind: kinds.MustBeSet | kinds.MustBeNull) -> frozenset[str | None]:
        """Return the statuses that a row speaks of; None among them stands for an unknown one."""
        known = frozenset(self.topology.statuses)
        if kind.statuses:
            return known & {*kind.statuses}
        if kind.unless:
            return known - {*kind.unless}
        return known - self.topology.terminal if isinstance(kind, kinds.MustBeNull) else known | {None}

    def stamped(self, status: str, fields: Iterable[str]) -> Mask:
        """Return the initial status and all whose stamp is among the set fields of a batch in `status`."""
        found = self.topology.stamped_statuses(status, set(fields))
        return self.topology.mask((self.topology.lifecycle.initial, *found))

    def skipped(self, status: str, fields: Iterable[str], bad: Iterable[str] = ()) -> tuple[Severity, Mask] | None:
        """Judge P103; the stamp of this status, an optional, an unstamped and a bad one may be null."""
        excused = {None, *bad}
        nullable = (name for name, stamp in self.topology.stamp.items() if stamp in excused)
        mask = self.topology.mask((status, *self.dialect.optional, *nullable))
        return self.topology.check_missing_stamps(status, self.stamped(status, fields), mask)


def listed(names: Iterable[object]) -> str:
    """Return names as people list them: `a`, `a and b`, `a, b and c`."""
    *most, last = map(str, names)
    return f"{', '.join(most)} and {last}" if most else last


def value_of(snapshot: Snapshot, name: str) -> Any:
    """Return a field, `request_counts.total` and its like included."""
    name, _, inner = name.partition(".")
    value = getattr(snapshot, name)
    return getattr(value, inner) if inner and value is not None else value


def many(number: int) -> str:
    """Return a number for a message; one too large to be written as a word."""
    return f"{number:,}" if abs(number) < _NUMBER_MAX else "hugely many"
