"""A scorecard: the checks of a server, each kept, broken with a witness, or not seen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, Final, Literal

import attrs

from batchfsm.escapes import printable
from batchfsm.finding import Verdict
from batchfsm.lifecycle import Severity

Result = Literal["kept", "broken", "not seen"]
"""Outcome of one check."""

_RESULTS: Final[tuple[Result, ...]] = ("kept", "broken", "not seen")
_WIDTH: Final = 80
_INDENT: Final = 30
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"


@attrs.frozen
class Check:
    """One check of a server: of an endpoint, or of a rule."""

    name: str
    """An endpoint, named as openai's clients name it, or the code of a rule."""

    asked: str
    """The expectation: a sentence that must hold, or the name of the rule."""

    result: Result
    """The outcome."""

    witness: str = ""
    """The server's answer if the check is broken, or the reason why it was not seen; empty if it is kept."""

    severity: Severity = "error"
    """Severity of the breach."""


@attrs.frozen(kw_only=True)
class Scorecard:
    """The checks of one server."""

    server: str
    """The address."""

    dialect: str
    """The dialect of the check."""

    snapshots: int
    """Number of snapshots that were checked."""

    endpoints: tuple[Check, ...]
    """The checks of endpoints, in order of the requests."""

    rules: tuple[Check, ...]
    """The checks of rules, in order of the rules."""

    @property
    def verdict(self) -> Verdict:
        """`inconsistent` if a check of severity error is broken; else `undetermined` if no batch was seen."""
        if any(check.result == "broken" and check.severity == "error" for check in (*self.endpoints, *self.rules)):
            return "inconsistent"
        return "consistent" if self.snapshots else "undetermined"

    def to_dict(self) -> dict[str, Any]:
        """Return the scorecard as plain JSON values."""
        return {
            "verdict": self.verdict,
            "server": self.server,
            "dialect": self.dialect,
            "snapshots": self.snapshots,
            "endpoints": [attrs.asdict(check) for check in self.endpoints],
            "rules": [attrs.asdict(check) for check in self.rules],
        }

    def to_json(self) -> str:
        """Return the scorecard as one JSON document in ASCII."""
        return json.dumps(self.to_dict(), indent=2)

    def to_text(self, *, full: bool = False) -> str:
        """
        Return the scorecard for a terminal, the verdict last; control characters are escaped.

        Args:
            full: True to list each check that is kept; else one line names them.
        """
        lines = [
            *_section("endpoints", self.endpoints, full=full),
            "",
            *_section("rules", self.rules, full=full),
            "",
            self._summary(),
        ]
        return "\n".join(lines) + "\n"

    def _summary(self) -> str:
        """Return two lines that fit a terminal: the numbers of broken checks, then the verdict."""
        broken = [sum(check.result == "broken" for check in checks) for checks in (self.endpoints, self.rules)]
        return (
            f"broken: {broken[0]} of {len(self.endpoints)} endpoint checks, {broken[1]} of {len(self.rules)} rules\n"
            f"{self.verdict}: {printable(self.server)} as {self.dialect}; {self.snapshots:,} snapshots"
        )


def _section(title: str, checks: Sequence[Check], *, full: bool) -> Iterator[str]:
    """Yield the lines of a section: the numbers of its checks, then the checks: broken, not seen, kept."""
    results = Counter(check.result for check in checks)
    yield f"{title}: {', '.join(f'{results[result]} {result}' for result in _RESULTS)}"
    for result in ("broken", "not seen", "kept"):
        found = [check for check in checks if check.result == result]
        if result == "kept" and found and not full:
            names = Counter(check.name for check in found)
            text = ", ".join(name if times == 1 else f"{name}{_NO_BREAK}x{times}" for name, times in names.items())
            lines = wrap(
                text, _WIDTH, initial_indent="  kept      ", subsequent_indent=" " * 12, break_on_hyphens=False
            )
            yield from (line.replace(_NO_BREAK, " ") for line in lines)
            continue
        for check in found:
            severity = f" ({check.severity})" if result == "broken" else ""
            yield f"  {result:<8}  {check.name:<16}  {check.asked}{severity}"
            if check.witness:
                yield f"{'':{_INDENT}}{printable(check.witness)}"
