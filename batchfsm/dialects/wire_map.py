"""`Wire`: where a provider's objects hold the fields of a batch, as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from types import MappingProxyType
from typing import Final

import attrs

MAPPED_FIELDS: Final = frozenset({
    "id", "status", "created_at", "in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
    "cancelling_at", "cancelled_at", "ended_at", "expires_at", "endpoint", "model", "input_file_id", "output_file_id",
    "error_file_id", "completion_window", "errors", "usage", "metadata",
})  # fmt: skip
"""The fields of a snapshot that a map can fill; `request_counts` is filled from `Wire.counts`."""

_COUNTS: Final = ("total", "completed", "failed")

Paths = tuple[str, ...]
"""Paths to one value or to one sum, as the attribute says that holds them. A path is keys joined by dots:
`metadata.state`."""


def _paths(paths: str | Iterable[str]) -> Paths:
    return (paths,) if isinstance(paths, str) else tuple(paths)


def _path_lists(mapping: Mapping[str, str | Iterable[str]]) -> Mapping[str, Paths]:
    return MappingProxyType({name: _paths(paths) for name, paths in mapping.items()})


def _mark(mark: Iterable[str | Iterable[str]]) -> tuple[Paths, ...]:
    return tuple(map(_paths, mark))


def _statuses(mapping: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({name: frozenset(statuses) for name, statuses in mapping.items()})


@attrs.frozen(kw_only=True, eq=False)
class Wire:
    """
    A map from a provider's objects to the fields of a batch.

    A path is keys joined by dots. Keys that no path names are kept in `Snapshot.extra`, nested ones under their path.
    """

    mark: tuple[Paths, ...] = attrs.field(converter=_mark)
    """Paths that every object of the provider has, and no object of another one: one of each entry."""

    foreign_keys: tuple[str, ...] = attrs.field(default=(), converter=_paths)
    """Keys that similar objects of other providers have: an object with one of them has no mark."""

    fields: Mapping[str, Paths] = attrs.field(converter=_path_lists)
    """The paths of each field of a snapshot: spellings of one value. If two of them hold different values, the field
    is bad."""

    counts: Mapping[str, Paths] = attrs.field(factory=dict, converter=_path_lists)
    """For `total`, `completed` and `failed`: the paths whose numbers are added."""

    text_counts: bool = False
    """True if counts are decimal text, and zeros are left out, as protocol buffers write 64-bit numbers in JSON."""

    pages: tuple[str, ...] = ()
    """Keys of a page that hold a list of objects."""

    dropped: tuple[str, ...] = ()
    """Paths that are never kept, such as answers inside a status object."""

    silent: Mapping[str, frozenset[str]] = attrs.field(factory=dict, converter=_statuses)
    """For a field: the statuses of the lifecycle in which its value says nothing, and is read as null."""


def wire_problems(wire: Wire, statuses: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each fault of a map, given the statuses of its lifecycle."""
    known = set(statuses)
    if not wire.mark:
        yield "the map has no mark"
    for name in wire.fields.keys() - MAPPED_FIELDS:
        yield f"the map fills {name!r}, which is no field of a snapshot"
    for name in sorted({"id", "status", "created_at"} - wire.fields.keys()):
        yield f"the map does not fill {name!r}"
    for name in wire.counts.keys() - {*_COUNTS}:
        yield f"the map counts {name!r}, which is none of {', '.join(_COUNTS)}"
    for name, silent in wire.silent.items():
        if name not in wire.fields:
            yield f"{name!r} is silent, but the map does not fill it"
        for status in sorted(silent - known):
            yield f"{name!r} is silent in {status!r}, which is not a status"
    yield from _path_problems(wire)


def _path_problems(wire: Wire) -> Iterator[str]:
    read = [path for paths in wire.fields.values() for path in paths]
    counted = sorted({path for paths in wire.counts.values() for path in paths})
    every = [*read, *counted, *wire.dropped]
    for key in wire.foreign_keys:
        if own := [path for path in every if path.partition(".")[0] == key]:
            yield f"{key!r} is a foreign key, but the map reads {', '.join(own)}"
    if not any(set(paths) <= {*read, *counted} for paths in wire.mark):
        yield "no path of the mark is read: a snapshot that is written back would bear the mark"
    for path in [*every, *(path for paths in wire.mark for path in paths)]:
        if not all(path.split(".")):
            yield f"{path!r} is not a path: keys joined by dots"
    for one, other in combinations(every, 2):
        if one == other:
            yield f"the path {one!r} is read twice"
        elif one.startswith(f"{other}.") or other.startswith(f"{one}."):
            yield f"the paths {one!r} and {other!r} lie inside each other"
