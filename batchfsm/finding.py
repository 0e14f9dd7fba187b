"""Findings, which are breaches of rules, and the verdict on a set of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final, Literal

import attrs

from batchfsm.lifecycle import Severity

Verdict = Literal["consistent", "inconsistent", "undetermined"]
"""`undetermined`: no error was found, but something could not be checked. Never report it as clean."""

_BITS_MAX: Final = 4096


@attrs.frozen
class LogPosition:
    """The position of a snapshot in a log."""

    source: str
    """The file's name as it was given; `-` for standard input, `iterable` for objects."""

    line: int
    """From 1; lines end at a line feed only. For objects: their number."""

    def __getitem__(self, name: Literal["source", "line"]) -> str | int:
        """Return a part by its name, as in the report's JSON: `finding.where[0]["line"]`."""
        parts: dict[str, str | int] = {"source": self.source, "line": self.line}
        return parts[name]

    def __str__(self) -> str:
        """Return `file:line`."""
        return f"{self.source}:{self.line}"


@attrs.frozen(kw_only=True)
class Finding:
    """One breach of one rule, with the one or two positions that prove it."""

    rule: str
    """The rule's code; stable."""

    name: str
    """The rule's name."""

    severity: Severity
    """The severity of the breach under the dialect."""

    batch_id: str | None
    """The id of the batch; None if the snapshot has no readable id."""

    fields: Mapping[str, object]
    """The fields that breach the rule, with their values; a read-only view."""

    message: str = attrs.field(eq=False)
    """One sentence: the fault, its position, and what was expected. `==` ignores it, since it names positions."""

    where: tuple[LogPosition, ...] = attrs.field(default=(), eq=False)
    """The one or two positions that prove it, the known one first; empty from a monitor. `==` ignores it."""

    observed_at: float | None = attrs.field(default=None, eq=False)
    """The time of the snapshot that breaches the rule; Unix seconds, None if unknown. `==` and `to_dict` ignore it."""

    __hash__ = None  # type: ignore[assignment]  # `fields` is a mapping: findings compare by value and have no hash.

    def to_dict(self) -> dict[str, object]:
        """Return the finding as JSON values."""
        return {
            "rule": self.rule,
            "name": self.name,
            "severity": self.severity,
            "batch_id": self.batch_id,
            "message": self.message,
            "fields": to_json_value(self.fields),
            "where": [{"source": place.source, "line": place.line} for place in self.where],
        }


def to_json_value(value: Any) -> Any:
    """Return a value as JSON values: views as objects, tuples as lists, NaN and the like as text."""
    if isinstance(value, Mapping):
        return {str(key): to_json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(inner) for inner in value]
    if isinstance(value, int) and value.bit_length() > _BITS_MAX:
        return "a huge number"  # Python would not write its digits.
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    return repr(value)


def verdict_of(findings: Iterable[Finding], *, judged: bool) -> Verdict:
    """
    Return the verdict on findings.

    Args:
        findings: The findings.
        judged: True if at least one snapshot had a readable id and a status of
            the lifecycle; otherwise no finding does not mean consistent.
    """
    if any(finding.severity == "error" for finding in findings):
        return "inconsistent"
    return "consistent" if judged else "undetermined"
