"""A scorecard: what was kept, what was broken, with a witness, and what was not seen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs

from batchfsm.escapes import printable
from batchfsm.finding import Verdict
from batchfsm.lifecycle import Severity

Result = Literal["kept", "broken", "not seen"]
"""What became of one thing that is asked of a server."""

_RESULTS: Final[tuple[Result, ...]] = ("kept", "broken", "not seen")


@attrs.frozen
class Check:
    """What became of one thing that is asked of a server."""

    name: str
    """An endpoint, as openai's clients call it, or the code of a rule."""

    asked: str
    """What is asked."""

    result: Result
    """Whether it was kept."""

    witness: str = ""
    """What the server did instead, or why nothing was seen; empty if it was kept."""

    severity: Severity = "error"
    """What a breach weighs."""


@attrs.frozen(kw_only=True)
class Scorecard:
    """What a client could find out of a server."""

    server: str
    """Its address."""

    dialect: str
    """Whose lifecycle its batches were judged by."""

    snapshots: int
    """How many views of batches were judged."""

    endpoints: tuple[Check, ...]
    """What was asked for, and how it was answered."""

    rules: tuple[Check, ...]
    """Each rule, in the order of the rules."""

    @property
    def verdict(self) -> Verdict:
        """`inconsistent`: something of severity error was broken; `undetermined`: not, and no batch was seen."""
        if any(each.result == "broken" and each.severity == "error" for each in (*self.endpoints, *self.rules)):
            return "inconsistent"
        return "consistent" if self.snapshots else "undetermined"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "verdict": self.verdict,
            "server": self.server,
            "dialect": self.dialect,
            "snapshots": self.snapshots,
            "endpoints": [attrs.asdict(score) for score in self.endpoints],
            "rules": [attrs.asdict(score) for score in self.rules],
        }

    def to_json(self) -> str:
        """Return it as one JSON document, pure ASCII."""
        return json.dumps(self.to_dict(), indent=2)

    def to_text(self) -> str:
        """Return it for people at a terminal; nothing that a server said acts on it."""
        lines = [
            f"{self.verdict}: {printable(self.server)} as {self.dialect}, {self.snapshots:,} snapshots",
            "",
            *_section("endpoints", self.endpoints),
            "",
            *_section("rules", self.rules),
        ]
        return "\n".join(lines) + "\n"


def _section(title: str, scores: Iterable[Check]) -> list[str]:
    """Return the numbers of a section, and its rows: what is broken first, what was not seen last."""
    found = Counter(score.result for score in scores)
    lines = [f"{title}: {', '.join(f'{found[result]} {result}' for result in _RESULTS)}"]
    for result in ("broken", "kept", "not seen"):
        for score in scores:
            if score.result == result:
                weight = f" ({score.severity})" if result == "broken" else ""
                lines.append(f"  {result:<8}  {score.name:<16}  {score.asked}{weight}")
                if score.witness:
                    lines.append(f"{'':30}{printable(score.witness)}")
    return lines
