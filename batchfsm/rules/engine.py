"""The row engine's reading of the rules: checks of one snapshot at a time, with the severities of one dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, Literal

from batchfsm.dialects import Dialect
from batchfsm.finding import Finding
from batchfsm.lifecycle import ALL_STAMP_FIELDS, Severity
from batchfsm.rules import kinds, presence_checks, value_checks
from batchfsm.rules.catalog import RULES
from batchfsm.rules.checks import RuleContext, SetFields, SnapshotCheck
from batchfsm.rules.quick_checks import QuickCheck, quick_check
from batchfsm.rules.rule import Rule
from batchfsm.rules.selection import check_severities, severity_in
from batchfsm.snapshot import ROW_FIELDS, Snapshot, SnapshotRow
from batchfsm.topology import topology

CheckPlan = tuple[tuple[Rule, SnapshotCheck, QuickCheck], ...]
"""The rules that snapshots of one pattern can violate, each with its check of a snapshot and of a parsed row."""

_ID_CHARS_MAX: Final = 80

SKEW_S: Final = 60
"""How far a stamp may lie after its observation, by default; seconds. Clocks differ."""

_PATTERN: Final = (
    *ALL_STAMP_FIELDS, "expires_at", "id", "status", "completion_window", "output_file_id", "error_file_id",
    "request_counts", "errors", "metadata", "observed_at", "bad",
)  # fmt: skip
_values = attrgetter(*_PATTERN)
_PATTERNS_MAX: Final = 4096  # A healthy log shows a few dozen; a hostile one must not grow the table.

_CHECK_FACTORIES: Final[dict[type, Callable[[Any, RuleContext, str | None, SetFields], SnapshotCheck | None]]] = {
    kinds.InvalidField: presence_checks.invalid_field,
    kinds.MustBeSet: presence_checks.must_be_set,
    kinds.MustBeNull: presence_checks.must_be_null,
    kinds.UnknownStatus: presence_checks.unknown_status,
    kinds.Limit: presence_checks.limit,
    kinds.OwnStampMissing: presence_checks.own_stamp_missing,
    kinds.ImpossibleStamps: presence_checks.impossible_stamps,
    kinds.SkippedStamp: presence_checks.skipped_stamp,
    kinds.StampOrder: value_checks.stamp_order,
    kinds.TimeLimit: value_checks.time_limit,
    kinds.OpenAfterDeadline: value_checks.open_after_deadline,
    kinds.StuckInStatus: value_checks.stuck_in_status,
    kinds.DeadlineWindow: value_checks.deadline_window,
    kinds.IdTime: value_checks.id_time,
    kinds.CountsOverflow: value_checks.counts_overflow,
    kinds.CountsUnfinished: value_checks.counts_unfinished,
    kinds.OutputMissing: presence_checks.output_missing,
    kinds.UnexpectedErrorFile: presence_checks.unexpected_error_file,
}


class RuleEngine:
    """
    The rules with the severities of one dialect.

    For most rules the status and the set of null fields decide. So the checks are chosen once for each such pattern,
    and a snapshot goes only through those that its pattern leaves open.
    """

    def __init__(self, dialect: Dialect, *, skew_s: float = SKEW_S) -> None:
        check_severities(dialect)
        self._known = frozenset(dialect.lifecycle.statuses)
        self._context = RuleContext(dialect=dialect, topology=topology(dialect.lifecycle), skew_s=skew_s)
        self._severities: dict[str, Severity | Literal["off"]] = {
            code: severity_in(dialect, rule) for code, rule in RULES.items()
        }
        self._plans: dict[tuple[object, ...], CheckPlan] = {}
        self._limits = self._observation_limits()

    def check(self, snapshot: Snapshot) -> list[Finding]:
        """Return the findings of one snapshot without its history, in the order of the catalog."""
        findings = []
        for rule, check, _ in self.checks_for(snapshot):
            if (breach := check(snapshot)) is not None:
                fields, sentence, severity_max = breach
                findings.append(self.finding(rule.code, snapshot, fields, sentence, severity_max))
        return [found for found in findings if found is not None] if findings else []

    def checks_for(self, snapshot: Snapshot) -> CheckPlan:
        """Return the checks that a snapshot's pattern leaves open, in the order of the catalog."""
        values = _values(snapshot)
        pattern = (snapshot.status, *map(type, values))
        plan = self._plans.get(pattern) if not snapshot.bad else self._new_plan(snapshot, values)
        if plan is None:
            plan = self._new_plan(snapshot, values)
            if len(self._plans) < _PATTERNS_MAX:
                self._plans[pattern] = plan
        return plan

    def is_past_limit(self, row: SnapshotRow, observed_at: float) -> bool:
        """Return True if a row was observed after a limit of its status: such a row violates T207 or T208."""
        return any(
            row[index] is not None and observed_at > row[index] + slack_s
            for index, slack_s in self._limits.get(row[0], ())
        )

    def finding(
        self,
        code: str,
        snapshot: Snapshot,
        fields: Mapping[str, object],
        sentence: str,
        severity_max: Severity | None = None,
    ) -> Finding | None:
        """
        Return the finding of a violation; None if the rule is off in the dialect.

        Args:
            code: The rule's code.
            snapshot: The snapshot that violates the rule.
            fields: The fields that violate it, with their values.
            sentence: The message without its subject, the batch.
            severity_max: The highest severity, if it is less than the rule's.
        """
        severity = self._severities[code]
        if severity == "off":
            return None
        return Finding(
            rule=code,
            name=RULES[code].name,
            severity="warning" if severity_max == "warning" and severity == "error" else severity,
            batch_id=snapshot.id,
            fields=MappingProxyType(dict(fields)),
            message=f"{batch_label(snapshot.id)} {sentence}",
            observed_at=snapshot.observed_at,
        )

    def _new_plan(self, snapshot: Snapshot, values: tuple[object, ...]) -> CheckPlan:
        status = snapshot.status if snapshot.status in self._known else None
        fields = frozenset(name for name, value in zip(_PATTERN, values, strict=True) if value not in (None, {}))
        plan = (
            (rule, make_check(rule.kind, self._context, status, fields))
            for code, rule in RULES.items()
            if self._severities[code] != "off"
        )
        return tuple(
            (rule, check, quick_check(rule.kind, self._context, status, fields))
            for rule, check in plan
            if check is not None
        )

    def _observation_limits(self) -> dict[str, list[tuple[int, float]]]:
        found: dict[str, list[tuple[int, float]]] = {}
        for code, rule in RULES.items():
            if self._severities[code] != "off":
                for status, (field, slack_s) in self._context.observation_limits(rule.kind).items():
                    found.setdefault(status, []).append((ROW_FIELDS.index(field), slack_s))
        return found


def make_check(
    kind: kinds.RuleKind, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """
    Return the check of a rule for snapshots of one pattern.

    Args:
        kind: The rule's kind, with its parameters.
        context: The dialect.
        status: The status of the snapshots; None if the lifecycle does not have it.
        fields: The fields that are set in them.

    Returns:
        None if no snapshot of the pattern violates the rule, or if the rule needs the history.
    """
    factory = _CHECK_FACTORIES.get(type(kind))
    return None if factory is None else factory(kind, context, status, fields)


@cache
def engine_for(dialect: Dialect, skew_s: float = SKEW_S) -> RuleEngine:
    """Return the rule engine of a dialect and a skew; each call with the same ones returns the same object."""
    return RuleEngine(dialect, skew_s=skew_s)


def batch_label(batch_id: str | None) -> str:
    """Return the subject of a message: the id of the batch, cut to 80 characters."""
    if batch_id is None:
        return "a batch without id"
    return batch_id if len(batch_id) <= _ID_CHARS_MAX else f"{batch_id[: _ID_CHARS_MAX - 3]}..."
