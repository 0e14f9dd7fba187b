"""What shall become of a batch: a line of text, and the life that it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil
from types import MappingProxyType
from typing import Any, Final, Protocol

import attrs

from batchfsm.dialects import Dialect, find
from batchfsm.spans import parse_span
from batchfsm.testing.clock import BEGINS_AT
from batchfsm.testing.scenario_parser import ScenarioError, Script, counts_problem, script
from batchfsm.testing.timeline import CANCELLING_S, DEADLINE_S, BatchLife, ProgressPoint, Timeline
from batchfsm.topology import topology

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
"""No fields."""

_HALF: Final = frozenset({"expired", "cancelling", "cancelled"})
"""In which statuses half of the work is left undone, where nobody says how much."""

_TOTAL: Final = 10
_DWELLS_S: Final = {"validating": 5, "in_progress": 1800, "finalizing": 60, "cancelling": CANCELLING_S}


class BatchPlan(Protocol):
    """What makes the life of a batch that is created: a scenario, or a recording."""

    @property
    def dialect(self) -> Dialect:
        """Whose table the batch follows."""
        ...

    @property
    def total(self) -> int:
        """How many requests it has, where no file says so."""
        ...

    def outcomes(self, total: int) -> list[bool]:
        """Return which of so many requests end well, where nobody answers them."""
        ...

    def life(
        self,
        created_at: int,
        *,
        number: int = 0,
        identity: Mapping[str, Any] = NOTHING,
        outcomes: Sequence[bool] | None = None,
    ) -> BatchLife:
        """Return the life of a batch born now; see `Scenario.life`."""
        ...


@attrs.frozen(init=False)
class Scenario:
    """
    What shall become of a batch; checked when made.

    Statuses with the time spent in each, and where wanted `completed+failed/total`
    as of the end of that status; between two counts they grow evenly. A last status
    that is not final is never left. Instead of a last status: `expire` (as OpenAI does,
    607 seconds after the deadline) or `fail line 7 invalid_json_line`. After a comma:
    `cancel at 1h`. Each of the three may stand alone.

    Raises:
        ScenarioError: If the table has no such way, or the counts cannot be.

    >>> life = Scenario("validating 5s > in_progress 2h, cancel at 1h").life(1_760_000_000)
    >>> [status for status, at in life.entries]
    ['validating', 'in_progress', 'cancelling', 'cancelled']
    """

    text: str
    """As it was written."""

    dialect: Dialect
    """Whose table it follows."""

    script: Script = attrs.field(repr=False)
    """What the text says."""

    def __init__(self, text: str, *, dialect: str | Dialect = "openai") -> None:
        """Read the text, and try it out."""
        self.__attrs_init__(text, find(dialect), script(text))
        if problem := _problem(self):
            raise ScenarioError(f"scenario {self.text!r}: {problem}")
        self.life(BEGINS_AT)  # What depends on the deadline shows here.

    def life(
        self,
        created_at: int,
        *,
        number: int = 0,
        identity: Mapping[str, Any] = NOTHING,
        outcomes: Sequence[bool] | None = None,
    ) -> Timeline:
        """
        Return the life of a batch born now.

        Args:
            created_at: When it is born; Unix seconds.
            number: Which of the batches of one API it is; makes its id another one.
            identity: Fields that never change, among them `completion_window`.
            outcomes: For each request, in order, whether it ends well. The counts of
                the scenario then say which share of them is done. None: no more is
                known of them than those counts.
        """
        window = str(identity.get("completion_window", "24h"))
        entries, ends = _entries(self, created_at, created_at + int(parse_span(window)))
        total = self.total if outcomes is None else len(outcomes)
        timeline = Timeline(
            entries=entries,
            dialect=self.dialect,
            total=total,
            knots=tuple(_knots(self, entries, ends, outcomes)),
            errors=self.script.errors,
            number=number,
            completion_window=window,
            identity=identity,
        )
        if timeline.walk[-1] == "expired" and timeline.ends_at < timeline.expires_at:
            raise ScenarioError(f"scenario {self.text!r}: it is expired before its deadline; write expire instead")
        if self.script.cancel_s is None:
            return timeline
        cancelled = timeline.cancelled(created_at + self.script.cancel_s)
        if cancelled is None:
            status = timeline.at(created_at + self.script.cancel_s)["status"]
            raise ScenarioError(f"scenario {self.text!r}: it is {status} by then, and cannot be cancelled")
        return cancelled

    @property
    def total(self) -> int:
        """How many requests it has, where no file says so."""
        return next((counts[2] for counts in self._counts), _TOTAL)

    def outcomes(self, total: int) -> list[bool]:
        """Return which of so many requests end well: a share as in the counts, the others spread evenly."""
        completed, failing, _ = self._counts[-1] if self._counts else (1, 0, 1)
        done = completed + failing or 1
        return [(place + 1) * failing // done == place * failing // done for place in range(total)]

    @property
    def _counts(self) -> list[tuple[int, int, int]]:
        return [stay.counts for stay in self.script.stays if stay.counts is not None]


def planned(plan: str | BatchPlan, dialect: str | Dialect = "openai") -> BatchPlan:
    """Return what makes lives, out of a text that follows a dialect's table, or such a thing."""
    return Scenario(plan, dialect=dialect) if isinstance(plan, str) else plan


def _problem(scenario: Scenario) -> str | None:
    """Return what is wrong with a scenario whatever its deadline; None if nothing is."""
    graph, statuses = topology(scenario.dialect.lifecycle), [stay.status for stay in scenario.script.stays]
    walk = [*statuses, "finalizing", "expired"] if scenario.script.expires else statuses
    if scenario.script.expires and statuses[-1] == "finalizing":
        walk = [*statuses, "expired"]
    if unknown := [status for status in walk if status not in graph.bit]:
        return f"{scenario.dialect.name} has no status {unknown[0]!r}; it has {', '.join(graph.statuses)}"
    if walk[0] != scenario.dialect.lifecycle.initial:
        return f"a batch is born in {scenario.dialect.lifecycle.initial}, not in {walk[0]}"
    for source, target in pairwise(walk):
        if (source, target) not in graph.steps:
            after = ", ".join(after for before, after in graph.steps if before == source)
            return f"{target} cannot follow {source}; {f'what can: {after}' if after else 'it is final'}"
    return counts_problem(scenario.script.stays)


def _entries(scenario: Scenario, created_at: int, expires_at: int) -> tuple[tuple[tuple[str, int], ...], list[int]]:
    """Return when each status is entered, and when each stay is over."""
    second, entries, ends = created_at, [], []
    for stay in scenario.script.stays:
        entries.append((stay.status, second))
        second += ceil(_DWELLS_S.get(stay.status, 1) if stay.span_s is None else stay.span_s)
        ends.append(second)
    if scenario.script.expires:
        out_of_time = max(entries[-1][1], expires_at + 1)
        if scenario.script.stays[-1].span_s is None:
            ends[-1] = out_of_time
        if entries[-1][0] != "finalizing":
            entries.append(("finalizing", out_of_time))
        entries.append(("expired", max(entries[-1][1], expires_at + DEADLINE_S)))
    return tuple(entries), ends


def _knots(
    scenario: Scenario, entries: Sequence[tuple[str, int]], ends: Sequence[int], outcomes: Sequence[bool] | None
) -> Iterator[ProgressPoint]:
    """Yield how many requests are done by when."""
    begun = [at for status, at in entries if status == "in_progress"]
    if not begun:
        return
    yield ProgressPoint(at=begun[0], completed=0, failed=0)
    counted = [
        (end, stay.counts) for stay, end in zip(scenario.script.stays, ends, strict=True) if stay.counts is not None
    ]
    if not counted:
        end = ends[[stay.status for stay in scenario.script.stays].index("in_progress")]
        total = scenario.total
        counted = [(end, (total // 2 if entries[-1][0] in _HALF else total, 0, total))]
    for at, (completed, failed, total) in counted:
        if outcomes is None:
            yield ProgressPoint(at=at, completed=completed, failed=failed)
            continue
        done = (completed + failed) * len(outcomes) // total
        well = sum(outcomes[:done])
        yield ProgressPoint(at=at, completed=well, failed=done - well)


def failed(
    plan: BatchPlan, errors: Sequence[Mapping[str, Any]], created_at: int, *, number: int, identity: Mapping[str, Any]
) -> Timeline:
    """Return the life of a batch whose input file cannot be used, whatever else was planned."""
    born = plan.dialect.lifecycle.initial
    return Timeline(
        entries=((born, created_at), ("failed", created_at + _DWELLS_S["validating"])),
        dialect=plan.dialect,
        errors=tuple(errors),
        number=number,
        completion_window=identity["completion_window"],
        identity=identity,
    )
