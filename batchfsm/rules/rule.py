"""What a rule is made of, and the healthy batch that the rules' examples are changes of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from batchfsm.lifecycle import Severity
from batchfsm.rules.kinds import Kind

DAY_S: Final = 86_400
"""A day in seconds."""

BORN_AT: Final = 1_711_471_533
"""When the healthy batch was created; Unix seconds."""

HEALTHY: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "id": "batch_abc123",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": "file-abc123",
        "completion_window": "24h",
        "status": "completed",
        "output_file_id": "file-cvaTdG",
        "created_at": BORN_AT,
        "in_progress_at": BORN_AT + 5,
        "expires_at": BORN_AT + DAY_S,
        "finalizing_at": BORN_AT + 21_600,
        "completed_at": BORN_AT + 21_630,
        "request_counts": {"total": 100, "completed": 95, "failed": 5},
    }
)
"""The healthy batch that the rules' examples are changes of."""


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
    """Changes to a healthy completed batch, one for each snapshot of a history, of which the last breaches the rule."""


def row(
    code: str, name: str, severity: Severity, kind: Kind, means: str, *, because: str, do: str,
    example: Mapping[str, Any] | tuple[Mapping[str, Any], ...],
) -> Rule:  # fmt: skip
    """Return a rule; `because` is its evidence, `do` its remedy."""
    examples = example if isinstance(example, tuple) else (example,)
    return Rule(
        code=code, name=name, severity=severity, kind=kind, means=means, evidence=because, remedy=do, example=examples
    )
