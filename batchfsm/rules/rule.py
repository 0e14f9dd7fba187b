"""A rule: one row of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from batchfsm.lifecycle import Severity
from batchfsm.rules.kinds import RuleKind


@attrs.frozen(kw_only=True)
class Rule:
    """One named invariant."""

    code: str
    """Stable: a letter for the family, a number for the row."""

    name: str
    """Stable, for people."""

    severity: Severity | Literal["off"]
    """The severity of a violation in the strict dialect; another dialect may have another, or switch on a rule that
    is `off` here."""

    kind: RuleKind
    """The kind of check, with its parameters."""

    description: str
    """When the rule is violated, in one sentence."""

    evidence: str
    """The evidence for the rule: a source, or a count of real objects."""

    remedy: str
    """The action to take after a violation."""

    example: tuple[Mapping[str, Any], ...]
    """Changes to the healthy batch, one for each snapshot of a history; the last one violates the rule."""


def rule(
    code: str, name: str, severity: Severity | Literal["off"], kind: RuleKind, description: str, *, evidence: str,
    remedy: str, example: Mapping[str, Any] | tuple[Mapping[str, Any], ...],
) -> Rule:  # fmt: skip
    """Return a rule; an example of one snapshot need not be a tuple."""
    examples = example if isinstance(example, tuple) else (example,)
    return Rule(
        code=code,
        name=name,
        severity=severity,
        kind=kind,
        description=description,
        evidence=evidence,
        remedy=remedy,
        example=examples,
    )
