"""Statistics of the batches for a report, computed from the state that the compiled rules keep of each batch."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from operator import itemgetter
from typing import Any, Final, Literal

import attrs

from batchfsm.auditing.columns.layout import NULL, TRACKED_FIELDS, UNKNOWN, WARNING_BITS
from batchfsm.auditing.columns.lookup_tables import BIT
from batchfsm.auditing.columns.partition import Partition
from batchfsm.auditing.statistics import CLEAN_MAX, FAILING_MAX, SEVERITIES, StatisticsCollector, rounded, stays
from batchfsm.lifecycle import STAMP_FIELDS, Severity
from batchfsm.route import router
from batchfsm.snapshot import Snapshot
from batchfsm.topology import topology

_REPLAYED_BITS: Final = sum(BIT[code] for code in ("P101", "P102", "P103", "H501", "H502", "H503", "H504"))
STATISTICS_BITS: Final = _REPLAYED_BITS | BIT["S001"]
"""The bits of the rules whose violations `StatisticsReader` needs, even if they are not reported."""
_FIRST_STAMP: Final = TRACKED_FIELDS.index(STAMP_FIELDS[0])
_MINUTE_S: Final = 60
_NO_FINDING: Final = len(SEVERITIES)
"""The rank of a batch without a finding: behind every severity."""

SeverityOrOff = Severity | Literal["off"]
"""The severity of a rule in a dialect, or `off`."""

_ReplayedExample = tuple[int, int, list[int]]
"""A batch that is drawn: its two ranks, and the numbers of its rows."""

_Stamps = tuple[int, ...]
"""The first value of each stamp of a batch, NULL if no row had it."""


@attrs.define(eq=False)
class StatisticsReader:
    """Adds the batches of each partition to the statistics, and selects the rows that the row engine must replay."""

    statistics: StatisticsCollector
    severities: Mapping[str, SeverityOrOff]
    """The severity of each rule, or `off`."""
    replayed: list[list[int]] = attrs.field(init=False, factory=list)
    """The numbers of the rows of each batch whose route only a replay can find."""
    _failing: list[_ReplayedExample] = attrs.field(init=False, factory=list)
    _clean: list[_ReplayedExample] = attrs.field(init=False, factory=list)

    def add(self, partition: Partition) -> None:
        """Add the batches of a partition that the row engine does not check, all rows checked."""
        ranks, first = self._rank_batches(partition)
        replayed = self._replayed_batches(partition)
        self.replayed += [[row.number for row in rows] for rows in partition.histories(replayed)]
        excluded, kept = partition.excluded, list[int]()
        patterns = defaultdict[tuple[int, int], list[_Stamps]](list)
        for slot in range(partition.table.size()):
            if not (excluded[slot] or replayed[slot]):
                kept.append(slot)
                status, stamps = _final_state(partition, slot)
                patterns[status, _pattern(stamps)].append(stamps)
        for (status, _), batches in patterns.items():
            if status != UNKNOWN:
                self._add_routes(self._last_snapshot(status, batches[0]), batches)
        failing = [slot for slot in kept if ranks[slot] < _NO_FINDING]
        clean = [slot for slot in kept if ranks[slot] == _NO_FINDING]
        self.statistics.failing_count += len(failing)
        self._failing = _first_examples(partition, self._failing, failing, (ranks, first), FAILING_MAX)
        self._clean = _first_examples(partition, self._clean, clean, (partition.table.ids(), first), CLEAN_MAX)

    @property
    def examples(self) -> list[list[int]]:
        """The numbers of the rows of each example: a batch whose timeline is drawn, and whose route needs no replay."""
        return [numbers for _, _, numbers in (*self._failing, *self._clean)]

    def _rank_batches(self, partition: Partition) -> tuple[bytearray, Any]:
        """Count the findings; return the rank of each batch's worst one, and the number of the first row with one."""
        found, size = partition.violations, partition.table.size()
        ranks, first = bytearray([_NO_FINDING]) * size, array("q", [2**63 - 1]) * size
        counts = Counter[tuple[str, Severity, int | None]]()
        reported = [
            (code, BIT[code], severity, WARNING_BITS.get(code, 0))
            for code, severity in self.severities.items()
            if severity != "off" and code in self.statistics.enabled_rules
        ]
        rows = zip(found.numbers, found.slots, found.masks, found.observed_at, found.created_at, strict=True)
        for number, slot, mask, observed_at, created_at in rows:
            if partition.excluded[slot]:
                continue
            time = observed_at if observed_at == observed_at else created_at  # noqa: PLR0124  # NaN is not itself.
            minute = int(time // _MINUTE_S) if time >= 0 else None
            for code, bit, severity_max, warning_bit in reported:
                if mask & bit:
                    severity: Severity = "warning" if mask & warning_bit and severity_max == "error" else severity_max
                    counts[code, severity, minute] += 1
                    ranks[slot] = min(ranks[slot], SEVERITIES.index(severity))
                    first[slot] = min(first[slot], number)
        for (code, severity, minute), times in counts.items():
            self.statistics.add_count(code, severity, None if minute is None else minute * _MINUTE_S, times)
        return ranks, first

    def _replayed_batches(self, partition: Partition) -> bytearray:
        """Return 1 for each slot whose batch has a route that depends on the order in which its stamps arrived."""
        found, excluded = bytearray(partition.table.size()), partition.excluded
        late = dict[tuple[int, int], bool]()
        for slot in range(len(found)):
            if not excluded[slot]:
                status, stamps = _final_state(partition, slot)
                key = status, _pattern(stamps)
                if key not in late:
                    late[key] = status != UNKNOWN and self._may_have_late_stamp(self._last_snapshot(status, stamps))
                found[slot] = late[key]
        violations = partition.violations
        for slot, mask, created_at in zip(violations.slots, violations.masks, violations.created_at, strict=True):
            # S001 is a violation wherever `created_at` is missing; a later row may have given it.
            is_late_birth = created_at == NULL and _final_state(partition, slot)[1][0] != NULL
            if not excluded[slot] and (mask & _REPLAYED_BITS or is_late_birth):
                found[slot] = 1
        return found

    def _may_have_late_stamp(self, last: Snapshot) -> bool:
        """
        Return whether a stamp may have arrived after a later status was seen, without violating any rule.

        A batch that was cancelling without `in_progress_at` came from validating. If that stamp comes later, it did
        not: a replay finds another route than the last snapshot shows.
        """
        graph = topology(self.statistics.dialect.lifecycle)
        names = [
            str(stamp)
            for name, stamp in graph.stamp.items()
            if name not in (graph.lifecycle.initial, last.status) and getattr(last, str(stamp)) is not None
        ]
        missing = (each for size in range(1, len(names) + 1) for each in combinations(names, size))
        return any(self._has_whole_route(_without(last, each)) for each in missing)

    def _has_whole_route(self, last: Snapshot) -> bool:
        """Return whether every status on the route of a snapshot is stamped."""
        route = router(self.statistics.dialect).route(last, None, frozenset())
        return all(step.evidence in ("observed", "stamped") for step in route[1:])

    def _last_snapshot(self, status: int, stamps: _Stamps) -> Snapshot:
        """Return a snapshot of a batch's last status and stamps."""
        given: dict[str, Any] = {
            name: None if at == NULL else at for name, at in zip(STAMP_FIELDS, stamps, strict=True)
        }
        return Snapshot("", self.statistics.dialect.lifecycle.statuses[status], **given)

    def _add_routes(self, last: Snapshot, batches: list[_Stamps]) -> None:
        """Add batches that ended in one status with the same stamps set."""
        route = router(self.statistics.dialect).route(last, None, frozenset())
        self.statistics.add_route(route, len(batches))
        self.statistics.add_final_status(last.status, len(batches))
        for left, entered, ended in stays(route):
            begin, end = (self._stamp_index(route[step].target) for step in (entered, ended))
            dwell_times = Counter(
                rounded(stamps[end] - stamps[begin])
                for stamps in batches
                if NULL not in (stamps[begin], stamps[end]) and stamps[end] >= stamps[begin]
            )
            for seconds, times in dwell_times.items():
                self.statistics.add_dwell(left, seconds, times)

    def _stamp_index(self, status: str) -> int:
        return STAMP_FIELDS.index(str(topology(self.statistics.dialect.lifecycle).stamp[status]))


def _final_state(partition: Partition, slot: int) -> tuple[int, _Stamps]:
    """Return the last status of a batch, UNKNOWN if no row had a known one, and its stamps."""
    status, values = partition.table.state(slot)
    return max(status, UNKNOWN), tuple(values[_FIRST_STAMP : _FIRST_STAMP + len(STAMP_FIELDS)])


def _pattern(stamps: _Stamps) -> int:
    """Return the set of the stamps that are not NULL, as bits."""
    return sum(1 << index for index, at in enumerate(stamps) if at != NULL)


def _without(last: Snapshot, names: tuple[str, ...]) -> Snapshot:
    nulls: dict[str, Any] = dict.fromkeys(names)
    return attrs.evolve(last, **nulls)


def _first_examples(
    partition: Partition, before: list[_ReplayedExample], slots: list[int], ranks: tuple[Any, Any], most: int
) -> list[_ReplayedExample]:
    """Return the `most` first examples by their two ranks, of those so far and of some batches of a partition."""
    chosen = sorted(slots, key=lambda slot: (ranks[0][slot], ranks[1][slot]))[:most]
    wanted = bytearray(partition.table.size())
    for slot in chosen:
        wanted[slot] = 1
    fresh: Iterator[_ReplayedExample] = (
        (ranks[0][slot], ranks[1][slot], [row.number for row in rows])
        for slot, rows in zip(sorted(chosen), partition.histories(wanted), strict=True)
    )
    return sorted([*before, *fresh], key=itemgetter(0, 1))[:most]
