"""Translates objects of other providers into OpenAI's fields, as a `Wire` says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from types import NoneType
from typing import Any, Final

import attrs

from batchfsm.dialects import Wire
from batchfsm.snapshot import COUNT_FIELDS, SnapshotRow

_DROPPED: Final = object()
_NO_OBJECT: Final = object()
_PLAIN_TYPES: Final = frozenset({str, int, float, bool, NoneType, dict, list})
_NULL: Final = -2
_ZERO: Final = -1

_PLANS_MAX: Final = 4096  # Healthy logs need a few; a hostile one must not grow the table.
_KEYS_MAX: Final = 64

_Tree = dict[str, Any]
"""By key: a path (the value is read), `_DROPPED`, or the tree of an inner object."""

_Objects = tuple[tuple[str, "_Objects"], ...]
"""The keys of the inner objects of a tree, each with its own inner objects."""


@attrs.frozen(eq=False)
class _Plan:
    """
    The translation of all objects with certain keys.

    A selector takes the values of the object and of its inner objects, then None and 0.
    """

    rest_names: tuple[Any, ...]
    """The names of values that no path names: their keys, nested ones with their path."""

    rest: Callable[[SnapshotRow], SnapshotRow]
    """Selects the values of `rest_names`."""

    field_names: tuple[str, ...]
    """The fields that have at most one value."""

    fields: Callable[[SnapshotRow], SnapshotRow]
    """Selects the values of `field_names`."""

    several: tuple[tuple[str, Callable[[SnapshotRow], SnapshotRow]], ...]
    """The fields that are spelled more than once, with the selectors of their values."""

    counts: tuple[tuple[str, Callable[[SnapshotRow], SnapshotRow]], ...]
    """The counts with the selectors of the numbers to add; empty if the object has none of these numbers."""


class Translator:
    """Translates the objects of one provider."""

    def __init__(self, wire: Wire, canonical_status: Callable[[str], str]) -> None:
        self._wire = wire
        self._canonical_status = canonical_status
        self._mark = [[path.split(".") for path in paths] for paths in wire.mark]
        # With a dot at the end, each key of a path is an object: "a.b" and "a.b.c" may both be of the mark.
        outer = [f"{path.rpartition('.')[0]}." for paths in wire.mark for path in paths if "." in path]
        self._mark_objects = _inner_objects(_tree_of((path, _DROPPED) for path in outer))
        self._marked: dict[tuple[Any, ...], bool] = {}
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        read = [path for paths in (*wire.fields.values(), *wire.counts.values()) for path in paths]
        self._tree = _tree_of([*((path, path) for path in read), *((path, _DROPPED) for path in wire.dropped)])
        self._objects = _inner_objects(self._tree)
        self._counts = [(name, wire.counts.get(name, ())) for name in COUNT_FIELDS] if wire.counts else []

    def is_marked(self, found: Mapping[Any, Any]) -> bool:
        """Return whether an object has every path of the mark."""
        keys, _ = _flatten(found, self._mark_objects)
        marked = self._marked.get(keys)
        if marked is None:
            marked = self._has_mark(found)
            if len(self._marked) < _PLANS_MAX and _is_short(keys):
                self._marked[keys] = marked
        return marked

    def listed(self, found: Mapping[Any, Any]) -> list[Any] | tuple[Any, ...] | None:
        """Return the objects of a page of the provider; None if it is no page."""
        listed = next((found[key] for key in self._wire.pages if key in found), None)
        return listed if isinstance(listed, list | tuple) else None

    def translate(self, found: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return an object under OpenAI's names; keys that no path names are kept, nested ones under their path."""
        keys, values = _flatten(found, self._objects)
        plan, row = self._plan_of(keys), (*values, None, 0)
        fields = plan.fields(row)
        if not _PLAIN_TYPES.issuperset(map(type, fields)):
            fields = tuple(map(_enum_text, fields))
        translated: dict[Any, Any] = dict(zip(plan.rest_names, plan.rest(row), strict=True))
        translated.update(zip(plan.field_names, fields, strict=True))
        for name, select in plan.several:
            translated[name] = _value_of(select(row))
        if plan.counts:
            translated["request_counts"] = {name: self._count(select(row)) for name, select in plan.counts}
        if (errors := translated.get("errors")) is not None:
            translated["errors"] = _errors(errors)
        if self._wire.silent:
            self._silence(translated)
        return translated

    def _silence(self, translated: dict[Any, Any]) -> None:
        """Set the fields to null whose values mean nothing in the object's status."""
        status = translated.get("status")
        word = self._canonical_status(status) if isinstance(status, str) else None
        for name, statuses in self._wire.silent.items():
            if word in statuses:
                translated[name] = None

    def _plan_of(self, keys: tuple[Any, ...]) -> _Plan:
        plan = self._plans.get(keys)
        if plan is None:
            plan = self._make_plan(keys)
            if len(self._plans) < _PLANS_MAX and _is_short(keys):
                self._plans[keys] = plan
        return plan

    def _make_plan(self, keys: tuple[Any, ...]) -> _Plan:
        found = _Places()
        found.add(deque(keys), self._tree)
        places, rest = found.read, found.rest
        single: dict[str, int] = {}
        several: dict[str, list[int]] = {}
        for name, paths in self._wire.fields.items():
            given = [places[path] for path in paths if path in places]
            if len(given) > 1:
                several[name] = given
            elif given or len(paths) > 1 or "." in paths[0]:
                single[name] = (*given, _NULL)[0]
        absent = _ZERO if self._wire.text_counts else _NULL
        counts = {name: [places.get(path, absent) for path in paths] for name, paths in self._counts}
        has_counts = any(path in places for _, paths in self._counts for path in paths)
        return _Plan(
            rest_names=tuple(rest),
            rest=_selector(rest.values()),
            field_names=tuple(single),
            fields=_selector(single.values()),
            several=tuple((name, _selector(given)) for name, given in several.items()),
            counts=tuple((name, _selector(given)) for name, given in counts.items()) if has_counts else (),
        )

    def _has_mark(self, found: Mapping[Any, Any]) -> bool:
        if any(key in found for key in self._wire.foreign_keys):
            return False
        return all(any(_has_path(found, path) for path in paths) for paths in self._mark)

    def _count(self, numbers: SnapshotRow) -> Any:
        """Return the sum of some counts, null if one is, or the first value that is no count."""
        total = 0
        for number in numbers:
            if type(number) is int:
                total += number
            elif self._wire.text_counts and _is_count(number):
                total += int(number)
            else:
                return _enum_text(number)
        return total if numbers else None


def _tree_of(leaves: Iterable[tuple[str, Any]]) -> _Tree:
    """Return the tree of some paths, each with its leaf."""
    root: _Tree = {}
    for path, leaf in leaves:
        *outer, last = path.split(".")
        tree = root
        for key in outer:
            tree = tree.setdefault(key, {})
        tree[last] = leaf
    return root


def _inner_objects(tree: _Tree) -> _Objects:
    """Return the objects of a tree, each with its own inner objects."""
    return tuple((key, _inner_objects(node)) for key, node in tree.items() if type(node) is dict)


def _flatten(found: Mapping[Any, Any], objects: _Objects) -> tuple[tuple[Any, ...], list[Any]]:
    """
    Return the keys of an object and of some of its inner objects, each as a tuple, and all their values.

    In place of the keys of an inner object stands None if it is null or absent, `_NO_OBJECT` if it is another value.
    """
    keys: tuple[Any, ...] = (tuple(found),)
    values = [*found.values()]
    for key, inner_objects in objects:
        inner = found.get(key)
        if type(inner) is dict or isinstance(inner, Mapping):
            inner_keys, inner_values = _flatten(inner, inner_objects)
            keys += inner_keys
            values += inner_values
        else:
            keys += (None if inner is None else _NO_OBJECT,)
    return keys, values


def _is_short(keys: tuple[Any, ...]) -> bool:
    """Return whether keys that `_flatten` returned are as few as those of real objects."""
    return sum(len(each) for each in keys if type(each) is tuple) <= _KEYS_MAX


@attrs.frozen(eq=False)
class _Places:
    """The places of values among those that `_flatten` appends."""

    read: dict[str, int] = attrs.field(factory=dict)
    """The places of the values that are read, by path."""

    rest: dict[Any, int] = attrs.field(factory=dict)
    """The places of all other values except dropped ones, by name: a key, with its path if it is nested."""

    def add(self, keys: deque[Any], tree: _Tree, prefix: str = "", start: int = 0) -> int:
        """
        Add the values of an object; return the place after them.

        Args:
            keys: The keys that `_flatten` appends, from this object on; they are removed.
            tree: The tree of the object.
            prefix: Its path, with a dot at the end; empty for the outermost object.
            start: The place of its first value.
        """
        own = keys.popleft()
        for place, key in enumerate(own, start):
            node = tree.get(key) if isinstance(key, str) else None
            if node is None:
                self.rest[f"{prefix}{key}" if prefix else key] = place
            elif isinstance(node, str):
                self.read[node] = place
        end: int = start + len(own)
        for key, node in tree.items():
            if type(node) is dict:
                if type(keys[0]) is tuple:
                    end = self.add(keys, node, f"{prefix}{key}.", end)
                elif keys.popleft() is _NO_OBJECT:
                    self.rest[f"{prefix}{key}"] = start + own.index(key)
        return end


def _selector(places: Iterable[int]) -> Callable[[SnapshotRow], SnapshotRow]:
    """Return a function that selects the values at some places of a row, as a tuple."""
    chosen = [*places]
    if len(chosen) > 1:
        return itemgetter(*chosen)
    return itemgetter(slice(chosen[0], chosen[0] + 1 or None) if chosen else slice(0))


def _is_count(value: Any) -> bool:
    """Return whether a value is the decimal text of a number of 64 bits, which has 19 digits at most."""
    return isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19  # noqa: PLR2004


def _enum_text(value: Any) -> Any:
    """Return a member of an SDK's enumeration as its text; any other value unchanged."""
    return str.__str__(value) if type(value) is not str and isinstance(value, str) else value


def _value_of(values: SnapshotRow) -> Any:
    """Return the value of a field; a tuple, which every reader refuses, if two paths hold different values."""
    given = [_enum_text(value) for value in values if value is not None]
    if not given:
        return None
    return given[0] if all(each == given[0] for each in given) else tuple(given)


def _errors(found: Any) -> Any:
    """Return errors as a list: a text or an object is one entry, whose code may be a number."""
    if found is None or found == "":
        return None
    if isinstance(found, Mapping):
        code = found.get("code")
        return [{**found, "code": str(code) if type(code) is int else code}]
    return [found] if isinstance(found, str) else found


def _has_path(found: Mapping[Any, Any], path: list[str]) -> bool:
    value: Any = found
    for key in path:
        if not (type(value) is dict or isinstance(value, Mapping)) or key not in value:
            return False
        value = value[key]
    return True
