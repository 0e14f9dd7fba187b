"""The walks of a lifecycle: which statuses reach which, and which sets of stamps a batch can have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Literal

from batchfsm.lifecycle import ENDED_AT, Lifecycle, Severity, Step

Mask = int
"""A set of statuses, one bit each, in table order."""

Move = Literal["same", "stale", "legal", "tolerated", "illegal", "exit_from_final"]
"""The move from a known status to the one of a row: none, an earlier view (H507), by documented steps, by tolerated
steps (H501, a warning), by no walk (H501), or out of a final status (H502)."""

Walk = tuple[str, ...]
"""Statuses in order, both ends included."""


class Topology:
    """A lifecycle with its walks."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.statuses = lifecycle.statuses
        self.terminal = lifecycle.terminal
        self.bit_of: dict[str, Mask] = {name: 1 << code for code, name in enumerate(self.statuses)}
        self.steps: dict[tuple[str, str], Step] = {(step.source, step.target): step for step in lifecycle.steps}
        self.stamp = {state.name: state.stamp for state in lifecycle.states}
        strict = [pair for pair, step in self.steps.items() if step.evidence == "documented"]
        self._next_any = self._successors(list(self.steps))
        self._next_strict = self._successors(strict)
        self.reach = {name: self._reached(name, self._next_any) for name in self.statuses}
        """The statuses that some walk leads to, by source; not the source itself, unless it is on a cycle."""
        self.reach_strict = {name: self._reached(name, self._next_strict) for name in self.statuses}
        self.rank = {
            name: sum(name in self.reach[before] and before not in self.reach[name] for before in self.statuses)
            for name in self.statuses
        }
        """How many statuses come before and not after; neighbours of one cycle share theirs."""
        self._visits_any = self._visits(self._next_any)
        self._visits_strict = self._visits(self._next_strict)
        self.moves: dict[tuple[str, str, bool], Move] = {
            (known, status, is_stale_row): self._move(known, status, is_stale_row=is_stale_row)
            for known in self.statuses
            for status in self.statuses
            for is_stale_row in (False, True)
        }
        """The automaton of a history: from (known status, status of the row, is it a stale row) to the move."""

    def _successors(self, pairs: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
        return {name: tuple(target for source, target in pairs if source == name) for name in self.statuses}

    def _reached(self, source: str, following: dict[str, tuple[str, ...]]) -> frozenset[str]:
        reached: set[str] = set()
        pending = [source]
        while pending:
            new = set(following[pending.pop()]) - reached
            reached |= new
            pending.extend(new)
        return frozenset(reached)

    def _visits(self, following: dict[str, tuple[str, ...]]) -> dict[str, tuple[Mask, ...]]:
        """Return, for each status, the sets of statuses that a batch in it can have visited."""
        # Searched over (status, passed), so that a cycle ends by itself: passed only grows.
        initial = self.lifecycle.initial
        found = {(initial, self.bit_of[initial])}
        pending = list(found)
        while pending:
            status, passed = pending.pop()
            for target in following[status]:
                if (state := (target, passed | self.bit_of[target])) not in found:
                    found.add(state)
                    pending.append(state)
        return {name: tuple(sorted(mask for status, mask in found if status == name)) for name in self.statuses}

    def _move(self, known: str, status: str, *, is_stale_row: bool) -> Move:
        if status == known:
            return "same"
        if is_stale_row and known in self.reach[status]:
            return "stale"
        if known in self.terminal:
            return "exit_from_final"
        if status in self.reach_strict[known]:
            return "legal"
        return "tolerated" if status in self.reach[known] else "illegal"

    def precedes(self, first: str, second: str) -> bool:
        """Return whether `first` comes before `second` on every walk that has both."""
        return second in self.reach[first] and first not in self.reach[second]

    def stamped_statuses(self, status: str, stamps: Collection[str]) -> Iterator[str]:
        """
        Yield the statuses whose stamp is among the set ones.

        A stamp that final statuses share is that of the present status; if that is none of them, of the first one.
        """
        shared = [name for name in self.statuses if self.stamp[name] == ENDED_AT]
        others = {*shared} - {status if status in shared else next(iter(shared), status)}
        for name in self.statuses:
            if self.stamp[name] in stamps and name not in others:
                yield name

    def mask(self, statuses: Iterable[str]) -> Mask:
        """Return a set of statuses as bits."""
        return sum(self.bit_of[name] for name in set(statuses))

    def names(self, mask: Mask) -> tuple[str, ...]:
        """Return the statuses of a mask, in table order."""
        return tuple(name for name, bit in self.bit_of.items() if mask & bit)

    def visited_sets(self, status: str, *, strict: bool) -> tuple[Mask, ...]:
        """Return the sets of statuses that walks to a status visit, the status included."""
        return (self._visits_strict if strict else self._visits_any)[status]

    def check_stamp_set(self, status: str, stamped: Mask) -> Severity | None:
        """
        Judge P102: can a batch in `status` have passed all that is stamped?

        Args:
            status: The present status.
            stamped: The initial status and all with a set stamp.

        Returns:
            None if a strict walk passes them all, or if there is no stamp but the first and the present one; else
            what it weighs.
        """
        if not stamped & ~(self.bit_of[self.lifecycle.initial] | self.bit_of[status]):
            return None  # Every status is reached somehow: no stamp is at fault, however rare the step is.
        if any(not stamped & ~passed for passed in self._visits_strict[status]):
            return None
        return "warning" if any(not stamped & ~passed for passed in self._visits_any[status]) else "error"

    def check_missing_stamps(self, status: str, stamped: Mask, nullable: Mask) -> tuple[Severity, Mask] | None:
        """
        Judge P103: has every walk through the stamps also passed a status that should be stamped?

        Args:
            status: The present status.
            stamped: As for `check_stamp_set`.
            nullable: The statuses whose stamp may be null: the present one, the
                optional ones, and those whose stamp is bad.

        Returns:
            None if some walk explains it, else what it weighs, and the statuses
            that the most lenient walk misses a stamp of.
        """
        here = self.bit_of[status]
        stamped &= here | self.mask(tuple(name for name in self.statuses if status in self.reach[name]))
        strict, tolerated = (
            [passed & ~stamped & ~nullable for passed in visits[status] if not stamped & ~passed]
            for visits in (self._visits_strict, self._visits_any)
        )
        if 0 in strict or (not strict and 0 in tolerated):
            return None  # Where no strict walk passes the stamps, P102 has warned already.
        missing = min(strict or tolerated, key=lambda mask: (mask.bit_count(), mask), default=0)
        return ("warning" if 0 in tolerated else "error"), missing

    def walks(self, source: str, target: str, through: frozenset[str], *, strict: bool) -> list[Walk]:
        """Return every simple walk from one status to another whose inner statuses are all in `through`."""
        following = self._next_strict if strict else self._next_any
        found: list[Walk] = []
        pending: list[Walk] = [(source,)]
        while pending:
            walk = pending.pop()
            for status in following[walk[-1]]:
                if status == target:
                    found.append((*walk, status))
                elif status in through and status not in walk:
                    pending.append((*walk, status))
        return found

    def common_steps(self, walks: list[Walk]) -> Iterator[tuple[str, str, Step | None]]:
        """
        Return the steps that all walks between two statuses have in common.

        Yields:
            `(source, target, step)` for each neighbouring pair of the statuses
            that every walk passes; None for a step that not every walk takes.
        """
        shared = [status for status in walks[0] if all(status in walk for walk in walks)]
        taken = [set(pairwise(walk)) for walk in walks]
        for pair in pairwise(shared):
            yield *pair, self.steps[pair] if all(pair in steps for steps in taken) else None


@cache
def topology(lifecycle: Lifecycle) -> Topology:
    """Return the one topology of a lifecycle."""
    return Topology(lifecycle)
