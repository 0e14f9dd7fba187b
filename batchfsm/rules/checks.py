"""A check of one rule on one snapshot: its types, the context that it depends on, and words for its messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Severity
from batchfsm.rules import kinds
from batchfsm.snapshot import Snapshot
from batchfsm.topology import Mask, Topology

_NUMBER_MAX: Final = 10**40
_UNITS_S: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))

BreachDetails = tuple[Mapping[str, object], str, Severity | None]
"""The fields that violate a rule, a sentence without its subject, the batch, and the highest severity."""

SnapshotCheck = Callable[[Snapshot], BreachDetails | None]
"""Returns the details if a snapshot violates a rule, else None."""

SetFields = frozenset[str]
"""The fields of a snapshot that are set, neither null nor invalid; and `bad`, if any is invalid."""


@attrs.frozen(kw_only=True, eq=False)
class RuleContext:
    """The dialect and the allowance for clocks that checks depend on, beside their rules."""

    dialect: Dialect
    topology: Topology
    skew_s: float
    """How far a stamp may lie after its observation; seconds."""

    def scope(self, kind: kinds.MustBeSet | kinds.MustBeNull) -> frozenset[str | None]:
        """Return the statuses in which a rule of a kind checks its fields; None stands for an unknown status."""
        return kind.scope(self.topology.lifecycle)

    def stamped(self, status: str, fields: Iterable[str]) -> Mask:
        """Return the initial status and every status whose stamp is among the set fields of a batch in `status`."""
        found = self.topology.stamped_statuses(status, set(fields))
        return self.topology.mask((self.topology.lifecycle.initial, *found))

    def nullable(self, status: str, bad: Iterable[str] = ()) -> Mask:
        """
        Return the statuses whose stamp may be null in a batch in `status`.

        They are the present one, the optional ones, those without a stamp, and those whose stamp is in `bad`.
        """
        excused = {None, *bad}
        others = (name for name, stamp in self.topology.stamp.items() if stamp in excused)
        return self.topology.mask((status, *self.dialect.optional_stamps, *others))

    def skipped(self, status: str, fields: Iterable[str], bad: Iterable[str] = ()) -> tuple[Severity, Mask] | None:
        """Return the severity of P103 and the statuses whose stamps are missing; None if P103 holds."""
        return self.topology.check_missing_stamps(status, self.stamped(status, fields), self.nullable(status, bad))

    def observation_limits(self, kind: kinds.RuleKind) -> dict[str, tuple[str, float]]:
        """
        Return, by status, the time after which an observation in that status violates a rule of a kind.

        The time is a field and the seconds that are added to it.
        """
        open_statuses = [name for name in self.topology.statuses if name not in self.topology.terminal]
        if isinstance(kind, kinds.OpenAfterDeadline):
            return dict.fromkeys(open_statuses, ("expires_at", kind.slack_s))
        if isinstance(kind, kinds.StuckInStatus):
            bounds_s, stamps = self.dialect.stuck_after_s, self.topology.stamp
            return {
                name: (stamp, bounds_s[name])
                for name in open_statuses
                if name in bounds_s and (stamp := stamps[name]) is not None
            }
        return {}


def join_names(names: Iterable[object]) -> str:
    """Return names as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    *most, last = map(str, names)
    return f"{', '.join(most)} and {last}" if most else last


def value_of(snapshot: Snapshot, name: str) -> Any:
    """Return the value of a field, such as `status` or `request_counts.total`."""
    name, _, inner = name.partition(".")
    value = getattr(snapshot, name)
    return getattr(value, inner) if inner and value is not None else value


def format_count(number: int) -> str:
    """Return a number with commas; one of over 40 digits as words."""
    return f"{number:,}" if abs(number) < _NUMBER_MAX else "hugely many"


def format_span(seconds: float) -> str:
    """Return a span of time in its largest unit, with one decimal at most: `25 hours`, `1.5 days`."""
    unit, length_s = next((unit for unit in _UNITS_S if seconds >= 2 * unit[1] or seconds == unit[1]), _UNITS_S[-1])
    number = f"{seconds / length_s:,.1f}".removesuffix(".0")
    return f"{number} {unit}" + ("" if number == "1" else "s")


def format_time(seconds: float) -> str:
    """Return Unix seconds as a date and a time in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
