"""Scenarios: the life of a batch, written as a line of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil
from types import MappingProxyType
from typing import Any, Final, Protocol

import attrs

from batchfsm.dialects import Dialect, get_dialect, require_openai_fields
from batchfsm.spans import parse_span
from batchfsm.testing.clock import BEGINS_AT
from batchfsm.testing.scenario_parser import ScenarioError, Script, counts_problem, parse_script
from batchfsm.testing.timeline import CANCELLING_S, DEADLINE_S, BatchLife, ProgressPoint, Timeline
from batchfsm.topology import topology

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
"""No fields."""

_HALF: Final = frozenset({"failed", "expired", "cancelling", "cancelled"})
"""Last statuses in which half of the requests are not done, if the scenario has no counts."""

_VALIDATION: Final = frozenset({"scheduling", "validating"})
"""Statuses in which a server validates the input file."""

_TOTAL: Final = 10
_DWELLS_S: Final = {"validating": 5, "in_progress": 1800, "finalizing": 60, "cancelling": CANCELLING_S}


class BatchPlan(Protocol):
    """Returns the life of each batch that is created: a scenario, or a recording."""

    @property
    def dialect(self) -> Dialect:
        """The dialect of its batches."""
        ...

    @property
    def total(self) -> int:
        """Number of requests of a batch without an input file."""
        ...

    def outcomes(self, total: int) -> list[bool]:
        """Return for each of `total` requests whether it succeeds."""
        ...

    def life(
        self,
        created_at: int,
        *,
        number: int = 0,
        identity: Mapping[str, Any] = NOTHING,
        outcomes: Sequence[bool] | None = None,
    ) -> BatchLife:
        """Return the life of a batch created at a time; see `Scenario.life`."""
        ...


@attrs.frozen(init=False)
class Scenario:
    """
    The life of a batch as text; checked when it is made.

    Statuses with the time spent in each, and optionally `completed+failed/total`
    at the end of that status; between two counts they grow evenly. A last status
    that is not final lasts for ever. Instead of a last status: `expire` (as OpenAI does,
    607 seconds after the deadline) or `fail line 7 invalid_json_line`, with `fail at 15m`
    for its time. After a comma: `cancel at 1h`, with `for 8h` if the status `cancelling`
    is to last longer. Each of the three may stand alone.

    Raises:
        ScenarioError: If the lifecycle has no such walk, or the counts are invalid.

    >>> life = Scenario("validating 5s > in_progress 2h, cancel at 1h").life(1_760_000_000)
    >>> [status for status, at in life.entries]
    ['validating', 'in_progress', 'cancelling', 'cancelled']
    """

    text: str
    """The text."""

    dialect: Dialect = attrs.field(repr=lambda dialect: repr(dialect.name))
    """The dialect of its batches."""

    script: Script = attrs.field(repr=False)
    """The parsed text."""

    def __init__(self, text: str, *, dialect: str | Dialect = "openai") -> None:
        named = get_dialect(dialect)
        require_openai_fields(named, "scenario")
        self.__attrs_init__(text, named, parse_script(text))
        if problem := _problem(self):
            raise ScenarioError(f"scenario {self.text!r}: {problem}")
        self.life(BEGINS_AT)  # Raises if the scenario contradicts its deadline.

    def life(
        self,
        created_at: int,
        *,
        number: int = 0,
        identity: Mapping[str, Any] = NOTHING,
        outcomes: Sequence[bool] | None = None,
    ) -> Timeline:
        """
        Return the life of a batch created at a time.

        Args:
            created_at: Time of its creation; Unix seconds.
            number: Number of the batch within its API; part of its id.
            identity: Fields that never change, `completion_window` among them.
            outcomes: For each request, in order, whether it succeeds. The counts of
                the scenario then say which share of them is done. None: the counts
                are those of the scenario.
        """
        window = str(identity.get("completion_window", "24h"))
        entries, ends = _entries(self, created_at, created_at + int(parse_span(window)))
        total = self.total if outcomes is None else len(outcomes)
        timeline = Timeline(
            entries=entries,
            dialect=self.dialect,
            total=total,
            progress=tuple(_progress(self, entries, ends, outcomes)),
            errors=self.script.errors,
            number=number,
            completion_window=window,
            identity=identity,
        )
        if timeline.walk[-1] == "expired" and timeline.ends_at < timeline.expires_at:
            raise ScenarioError(f"scenario {self.text!r}: it expires before its deadline; write expire instead")
        if self.script.cancel_s is None:
            return timeline
        cancelled = timeline.cancelled(created_at + self.script.cancel_s, cancelling_s=self.script.cancelling_s)
        if cancelled is None:
            status = timeline.at(created_at + self.script.cancel_s)["status"]
            raise ScenarioError(f"scenario {self.text!r}: it is {status} by then, and cannot be cancelled")
        return cancelled

    @property
    def total(self) -> int:
        """Number of requests of a batch without an input file."""
        return next((counts[2] for counts in self._counts), _TOTAL)

    def outcomes(self, total: int) -> list[bool]:
        """Return for each of `total` requests whether it succeeds; the share of failures is that of the counts."""
        completed, failing, _ = self._counts[-1] if self._counts else (1, 0, 1)
        done = completed + failing or 1
        return [(place + 1) * failing // done == place * failing // done for place in range(total)]

    @property
    def _counts(self) -> list[tuple[int, int, int]]:
        return [stay.counts for stay in self.script.stays if stay.counts is not None]


def to_plan(plan: str | BatchPlan, dialect: str | Dialect = "openai") -> BatchPlan:
    """Return a text as a scenario of a dialect; a plan as it is; TypeError for anything else."""
    if not isinstance(plan, str) and not callable(getattr(plan, "life", None)):
        raise TypeError(f"a scenario is text such as 'validating 5s > completed', or a BatchPlan, not {plan!r}")
    return Scenario(plan, dialect=dialect) if isinstance(plan, str) else plan


def _problem(scenario: Scenario) -> str | None:
    """Return why a scenario is invalid whatever its deadline; None if it is valid."""
    graph, statuses = topology(scenario.dialect.lifecycle), [stay.status for stay in scenario.script.stays]
    walk = [*statuses, "finalizing", "expired"] if scenario.script.expires else statuses
    if scenario.script.expires and statuses[-1] == "finalizing":
        walk = [*statuses, "expired"]
    if unknown := [status for status in walk if status not in graph.bit_of]:
        return f"{scenario.dialect.name} has no status {unknown[0]!r}; it has {', '.join(graph.statuses)}"
    if walk[0] != scenario.dialect.lifecycle.initial:
        return f"a batch begins in {scenario.dialect.lifecycle.initial}, not in {walk[0]}"
    for source, target in pairwise(walk):
        if (source, target) not in graph.steps:
            after = ", ".join(after for before, after in graph.steps if before == source)
            return f"{target} cannot follow {source}; {f'what can: {after}' if after else 'it is final'}"
    return counts_problem(scenario.script.stays)


def _entries(scenario: Scenario, created_at: int, expires_at: int) -> tuple[tuple[tuple[str, int], ...], list[int]]:
    """Return the time of each status, and the end of each stay."""
    second, entries, ends = created_at, [], []
    for stay in scenario.script.stays:
        entries.append((stay.status, second))
        second += ceil(_DWELLS_S.get(stay.status, 1) if stay.span_s is None else stay.span_s)
        ends.append(second)
    if scenario.script.expires:
        finalizing_at = max(entries[-1][1], expires_at + 1)
        if scenario.script.stays[-1].span_s is None:
            ends[-1] = finalizing_at
        if entries[-1][0] != "finalizing":
            entries.append(("finalizing", finalizing_at))
        entries.append(("expired", max(entries[-1][1], expires_at + DEADLINE_S)))
    return tuple(entries), ends


def _progress(
    scenario: Scenario, entries: Sequence[tuple[str, int]], ends: Sequence[int], outcomes: Sequence[bool] | None
) -> Iterator[ProgressPoint]:
    """Yield the points between which the counts of a batch grow."""
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


def fail_validation(
    plan: BatchPlan, life: BatchLife, errors: Sequence[Mapping[str, Any]], identity: Mapping[str, Any]
) -> BatchLife:
    """
    Return the life of a batch whose input file is invalid.

    It fails when its scenario ends the validation. If the scenario never does, or cancels the batch
    before, the life stays as it is. A recording has no scenario: the batch fails after the usual time.
    """
    if not isinstance(life, Timeline):
        born_at = int(life.begins_at)
        return Timeline(
            entries=((plan.dialect.lifecycle.initial, born_at), ("failed", born_at + _DWELLS_S["validating"])),
            dialect=plan.dialect,
            errors=tuple(errors),
            identity={**identity, "id": life.batch_id},
        )
    place = next((place for place, entry in enumerate(life.entries) if place and entry[0] not in _VALIDATION), None)
    if place is None or life.walk[place] == "cancelling":
        return life
    failed = (*life.entries[:place], ("failed", life.entries[place][1]))
    return attrs.evolve(life, entries=failed, errors=tuple(errors), total=0, progress=())
