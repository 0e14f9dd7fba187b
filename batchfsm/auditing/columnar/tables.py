"""The table of a lifecycle and the rows of the rules as arrays, which the kernel looks things up in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from batchfsm.auditing.columnar.columns import COLUMNS, KEPT_FIELDS, LENIENT, SENT
from batchfsm.dialects import Dialect
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.rules import RULES, World, kinds
from batchfsm.topology import Topology, topology

BIT: Final = {code: 1 << place for place, code in enumerate(RULES)}
"""The bit of each rule in a row's mask."""

SAME, STALE, STEP, TOLERATED, ILLEGAL, LEFT, CYCLE = range(7)
_MOVES: Final = {"same": SAME, "stale": STALE, "step": STEP, "tolerated": TOLERATED, "illegal": ILLEGAL, "left": LEFT}

IDENTITY, STAMP, FILE, SUM, DONE = range(5)
"""What may happen to a kept field: nothing, the same but null says something (stamps, files), nothing once above
zero (the total), growth."""

_TIMES: Final = (*STAMP_FIELDS, "expires_at", "observed_at")


class Tables(NamedTuple):
    """One dialect under one skew, as arrays; statuses are codes, the one behind the last stands for none of them."""

    unknown: int
    """The code of a status that the lifecycle does not have."""
    terminal: Any
    """Is the status final? Shape `(codes,)`."""
    completed: int
    """The code of `completed`; -9 if the lifecycle has none."""
    walks: Any
    """The bits of P101, P102 and P103 by status and set stamps; shape `(codes, 2**8)`."""
    nulls: Any
    """Rows `(fields that must be set, statuses, bit)`."""
    sets: Any
    """Rows `(fields that must not be set, statuses, bit)`."""
    pairs: Any
    """Rows `(column of the earlier stamp, column of the later)`."""
    bounds: Any
    """Rows `(column of the time, column of the limit, open only, bit)`; the column behind the last is `observed_at`."""
    slacks_s: Any
    """By how much the time of each bound may be late; seconds."""
    window_slack_s: int
    id_slack_s: int
    moves: Any
    """By known status, status seen, and whether the row is below what is known."""
    kinds: Any
    """What may happen to each kept field."""
    bits: Any
    """The bit of the rule that a change of each kept field breaches."""
    rules: Any
    """The bits of the rules that stand alone, in the order of `ALONE`."""


ALONE: Final = ("S003", "S004", "S006", "T201", "T202", "T206", "C301", "C302", "F402", "H501", "H502", "H507", "H508")
"""The rules whose kind has one row, in the order of `Tables.rules`."""


@cache
def tables(dialect: Dialect, skew_s: float) -> Tables:
    """Return the arrays of a dialect, which nobody writes to."""
    graph = topology(dialect.lifecycle)
    world = World(dialect=dialect, topology=graph, skew_s=skew_s)
    bounds = list(_bounds(world))
    fates = {name: fate for rule in RULES.values() for name, fate in _fates(rule.code, rule.kind)}
    window: Any = RULES["T206"].kind
    return Tables(
        unknown=len(graph.statuses),
        terminal=np.array([*(name in graph.terminal for name in graph.statuses), False]),
        completed=graph.statuses.index("completed") if "completed" in graph.statuses else -9,
        walks=_walks(world),
        nulls=_rows(_scoped(world, kinds.Null), 3),
        sets=_rows(_scoped(world, kinds.Set), 3),
        pairs=_rows(_pairs(graph), 2),
        bounds=_rows((row for row, _ in bounds), 4),
        slacks_s=np.array([slack_s for _, slack_s in bounds], np.float64),
        window_slack_s=dialect.deadline_tolerance_s,
        id_slack_s=window.tolerance_s,
        moves=_move_table(graph),
        kinds=np.array([fates[name][0] for name in KEPT_FIELDS], np.int64),
        bits=np.array([fates[name][1] for name in KEPT_FIELDS], np.int64),
        rules=tuple(BIT[code] for code in ALONE),
    )


def _rows(rows: Iterable[tuple[int, ...]], width: int) -> Any:
    return np.array([*rows], np.int64).reshape(-1, width)


def _walks(world: World) -> Any:
    """Return what the status and the set stamps alone settle, worked out by the scalar reading's own tables."""
    graph, found = world.topology, np.zeros((len(world.topology.statuses) + 1, 2 ** len(STAMP_FIELDS)), np.int64)
    for code, status in enumerate(graph.statuses):
        for present in range(found.shape[1]):
            stamps = [name for place, name in enumerate(STAMP_FIELDS) if present >> place & 1]
            own = graph.stamp[status]
            if own not in (None, "created_at", *stamps) and status not in world.dialect.optional:
                found[code, present] |= BIT["P101"]
            if (severity := graph.forbidden(status, world.stamped(stamps))) is not None:
                found[code, present] |= BIT["P102"] | (LENIENT["P102"] if severity == "warning" else 0)
            if (judged := world.skipped(status, stamps)) is not None:
                found[code, present] |= BIT["P103"] | (LENIENT["P103"] if judged[0] == "warning" else 0)
    return found


def _scoped(world: World, kind: type) -> Iterable[tuple[int, int, int]]:
    statuses = (*world.topology.statuses, None)
    for code, rule in RULES.items():
        if isinstance(rule.kind, kind):
            row: Any = rule.kind
            fields = sum(SENT[name] for name in row.fields)
            scope = world.scope(row)
            yield fields, sum(1 << place for place, name in enumerate(statuses) if name in scope), BIT[code]


def _pairs(graph: Topology) -> Iterable[tuple[int, int]]:
    stamped = [(name, stamp) for name, stamp in graph.stamp.items() if stamp is not None]
    return (
        (COLUMNS.index(earlier), COLUMNS.index(later))
        for first, earlier in stamped
        for second, later in stamped
        if graph.precedes(first, second)
    )


def _bounds(world: World) -> Iterable[tuple[tuple[int, int, int, int], float]]:
    places = {name: COLUMNS.index(name) for name in _TIMES[:-1]} | {"observed_at": len(COLUMNS)}
    for code, rule in RULES.items():
        if isinstance(row := rule.kind, kinds.Bound):
            slack_s = world.skew_s if row.slack_s is None else row.slack_s
            for time in row.times:
                yield (places[time], places[row.limit], row.open_only, BIT[code]), slack_s


def _fates(code: str, kind: kinds.Kind) -> Iterable[tuple[str, tuple[int, int]]]:
    """Yield what may happen to each field that a rule across snapshots speaks of."""
    if isinstance(kind, kinds.Kept):
        fate = IDENTITY if not kind.null_counts else STAMP if code == "H504" else FILE
        yield from ((name, (fate, BIT[code])) for name in kind.fields)
    elif isinstance(kind, kinds.Grown):
        yield "request_counts.total", (SUM, BIT[code])
        yield from ((f"request_counts.{name}", (DONE, BIT[code])) for name in ("completed", "failed"))


def _move_table(graph: Topology) -> Any:
    """Return the automaton of a history; CYCLE where it also takes the statuses entered before."""
    size = len(graph.statuses)
    found = np.zeros((size, size, 2), np.int64)
    for known, before in enumerate(graph.statuses):
        for seen, status in enumerate(graph.statuses):
            is_cycle = before != status and before in graph.reach[status] and status in graph.reach[before]
            for below in (0, 1):
                found[known, seen, below] = CYCLE if is_cycle else _MOVES[graph.moves[before, status, bool(below)]]
    return found
