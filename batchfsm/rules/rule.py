"""What a rule is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from batchfsm.lifecycle import Severity
from batchfsm.rules.kinds import Kind


@attrs.frozen(kw_only=True)
class Rule:
    """One named invariant."""

    code: str
    """Stable: letter for the family, number for the row."""

    name: str
    """Stable, for people."""

    severity: Severity
    """What a breach weighs under the strict dialect; a dialect may say otherwise."""

    kind: Kind
    """How it is read, with the row's parameters."""

    means: str
    """What is a breach, in one sentence."""

    evidence: str
    """Why that is so: who says it, or where it was seen."""

    remedy: str
    """What to do about a breach."""

    example: tuple[Mapping[str, Any], ...]
    """Changes to the healthy batch, one for each snapshot of a history; the last one breaches the rule."""


def row(
    code: str, name: str, severity: Severity, kind: Kind, means: str, *, because: str, do: str,
    example: Mapping[str, Any] | tuple[Mapping[str, Any], ...],
) -> Rule:  # fmt: skip
    """Return a rule; `because` is its evidence, `do` its remedy."""
    examples = example if isinstance(example, tuple) else (example,)
    return Rule(
        code=code,
        name=name,
        severity=severity,
        kind=kind,
        means=means,
        evidence=because,
        remedy=do,
        example=examples,
    )
