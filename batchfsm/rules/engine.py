"""The rules as one dialect weighs them, asked of one snapshot at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from batchfsm.dialects import Dialect
from batchfsm.errors import DefinitionError
from batchfsm.finding import Finding
from batchfsm.lifecycle import ALL_STAMP_FIELDS, Severity
from batchfsm.rules.catalog import RULES
from batchfsm.rules.quick_checks import QuickCheck, quick_check
from batchfsm.rules.rule import Rule
from batchfsm.rules.scalar import RuleContext, SnapshotCheck, make_check
from batchfsm.snapshot import Snapshot
from batchfsm.topology import topology

Plan = tuple[tuple[Rule, SnapshotCheck, QuickCheck], ...]
"""The rules that snapshots of one pattern can breach, each with what is to be asked of them, and of their rows."""

_ID_CHARS_MAX: Final = 80

SKEW_S: Final = 60
"""How far a stamp may lie after its observation, by default; seconds. Clocks differ."""

_PATTERN: Final = (
    *ALL_STAMP_FIELDS, "expires_at", "id", "status", "completion_window", "output_file_id", "error_file_id",
    "request_counts", "errors", "metadata", "observed_at", "bad",
)  # fmt: skip
_values = attrgetter(*_PATTERN)
_PATTERNS_MAX: Final = 4096  # A healthy log shows a few dozen; a hostile one shall not grow the table.


class RuleEngine:
    """
    The rules under one dialect.

    Most rules are settled by the status and by which fields are null. So a plan is made
    once for each such pattern, and only what it leaves open is asked of each snapshot.
    """

    def __init__(self, dialect: Dialect, *, skew_s: float = SKEW_S) -> None:
        """Refuse a dialect that weighs a rule which is not there."""
        if unknown := [code for code in dialect.severities if code not in RULES]:
            raise DefinitionError(f"dialect {dialect.name!r}", [f"no rule is called {code}" for code in unknown])
        self._known = frozenset(dialect.lifecycle.statuses)
        self._world = RuleContext(dialect=dialect, topology=topology(dialect.lifecycle), skew_s=skew_s)
        self._severities = {code: dialect.severities.get(code, rule.severity) for code, rule in RULES.items()}
        self._plans: dict[tuple[object, ...], Plan] = {}

    def judge(self, snapshot: Snapshot) -> list[Finding]:
        """Return what one snapshot breaches by itself, in the order of the table."""
        findings = []
        for rule, look, _ in self.plan(snapshot):
            if (breach := look(snapshot)) is not None:
                fields, sentence, severity = breach
                findings.append(self.finding(rule.code, snapshot, fields, sentence, severity))
        return [found for found in findings if found is not None] if findings else []

    def plan(self, snapshot: Snapshot) -> Plan:
        """Return what a snapshot's pattern leaves open, in the order of the table."""
        values = _values(snapshot)
        pattern = (snapshot.status, *map(type, values))
        plan = self._plans.get(pattern) if not snapshot.bad else self._plan(snapshot, values)
        if plan is None:
            plan = self._plan(snapshot, values)
            if len(self._plans) < _PATTERNS_MAX:
                self._plans[pattern] = plan
        return plan

    def finding(
        self,
        code: str,
        snapshot: Snapshot,
        fields: Mapping[str, object],
        sentence: str,
        severity: Severity | None = None,
    ) -> Finding | None:
        """
        Return the finding of a breach; None if the dialect has the rule off.

        Args:
            code: The rule's code.
            snapshot: The guilty one.
            fields: What breaches it, with values.
            sentence: What is wrong; it begins with the batch, which is put before it.
            severity: What the breach weighs at most, where that is less than the rule does.
        """
        weight = self._severities[code]
        if weight == "off":
            return None
        return Finding(
            rule=code,
            name=RULES[code].name,
            severity="warning" if severity == "warning" and weight == "error" else weight,
            batch_id=snapshot.id,
            fields=MappingProxyType(dict(fields)),
            message=f"{who(snapshot.id)} {sentence}",
            observed_at=snapshot.observed_at,
        )

    def _plan(self, snapshot: Snapshot, values: tuple[object, ...]) -> Plan:
        status = snapshot.status if snapshot.status in self._known else None
        fields = frozenset(name for name, value in zip(_PATTERN, values, strict=True) if value not in (None, {}))
        plan = (
            (rule, make_check(rule.kind, self._world, status, fields))
            for code, rule in RULES.items()
            if self._severities[code] != "off"
        )
        return tuple(
            (rule, look, quick_check(rule.kind, self._world, fields)) for rule, look in plan if look is not None
        )


@cache
def engine_for(dialect: Dialect, skew_s: float = SKEW_S) -> RuleEngine:
    """Return the one judge of a dialect and a skew."""
    return RuleEngine(dialect, skew_s=skew_s)


def who(batch_id: str | None) -> str:
    """Return whose snapshot it is, for a message; an id of a megabyte is cut."""
    if batch_id is None:
        return "a batch without id"
    return batch_id if len(batch_id) <= _ID_CHARS_MAX else f"{batch_id[: _ID_CHARS_MAX - 3]}..."
