"""Translates objects of other providers into OpenAI's fields, as a `Wire` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from batchfsm.dialects import Paths, Wire
from batchfsm.snapshot import COUNT_FIELDS

_DROPPED: Final = object()

_SHAPES_MAX: Final = 4096  # Healthy logs show a few; a hostile one must not grow the table.
_KEYS_MAX: Final = 64

_Tree = dict[str, Any]
"""By key: a path (the value is read), `_DROPPED`, or the tree of an inner object."""


@attrs.frozen
class _Shape:
    """The parts of a mapping with certain keys."""

    is_marked: bool | None
    """Whether it has the mark; None if that depends on an inner object."""

    fields: tuple[tuple[str, Any], ...]
    """Each field that is read from one key, with the key."""

    read: tuple[tuple[str, Any], ...]
    """Each other path that is a single key, with the key."""

    inner: tuple[tuple[Any, _Tree], ...]
    """Each key whose inner object is read, with its tree."""

    rest: tuple[Any, ...]
    """Each key that no path names."""


class Translator:
    """Translates the objects of one provider."""

    def __init__(self, wire: Wire, canonical_status: Callable[[str], str]) -> None:
        self._wire = wire
        self._canonical_status = canonical_status
        self._mark = [[path.split(".") for path in paths] for paths in wire.mark]
        self._tree: _Tree = {}
        self._shapes: dict[tuple[Any, ...], _Shape] = {}
        read = [path for paths in (*wire.fields.values(), *wire.counts.values()) for path in paths]
        for path, leaf in (*((path, path) for path in read), *((path, _DROPPED) for path in wire.dropped)):
            *outer, last = path.split(".")
            tree = self._tree
            for key in outer:
                tree = tree.setdefault(key, {})
            tree[last] = leaf
        self._several = {name: paths for name, paths in wire.fields.items() if len(paths) > 1 or "." in paths[0]}
        self._single = {name: paths[0] for name, paths in wire.fields.items() if name not in self._several}
        self._counts = [(name, wire.counts.get(name, ())) for name in COUNT_FIELDS] if wire.counts else []

    def is_marked(self, found: Mapping[Any, Any]) -> bool:
        """Return whether an object has every path of the mark."""
        marked = self._shape_of(found).is_marked
        return self._has_mark(found) if marked is None else marked

    def listed(self, found: Mapping[Any, Any]) -> list[Any] | tuple[Any, ...] | None:
        """Return the objects of a page of the provider; None if it is no page."""
        listed = next((found[key] for key in self._wire.pages if key in found), None)
        return listed if isinstance(listed, list | tuple) else None

    def translate(self, found: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return an object under OpenAI's names; keys that no path names are kept, nested ones under their path."""
        shape = self._shape_of(found)
        translated: dict[Any, Any] = {key: found[key] for key in shape.rest}
        values: dict[str, Any] = {path: _enum_text(found[path]) for path, _ in shape.read}
        for key, tree in shape.inner:
            inner = found[key]
            if isinstance(inner, Mapping):
                _walk(inner, tree, f"{key}.", values, translated)
            elif inner is not None:
                translated[key] = inner
        for name, key in shape.fields:
            translated[name] = _enum_text(found[key])
        for name, paths in self._several.items():
            translated[name] = _value_of(paths, values)
        if any(path in values for _, paths in self._counts for path in paths):
            translated["request_counts"] = {name: self._count(paths, values) for name, paths in self._counts}
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

    def _shape_of(self, found: Mapping[Any, Any]) -> _Shape:
        keys = tuple(found)
        shape = self._shapes.get(keys)
        if shape is None:
            shape = self._make_shape(found)
            if len(self._shapes) < _SHAPES_MAX and len(keys) <= _KEYS_MAX:
                self._shapes[keys] = shape
        return shape

    def _make_shape(self, found: Mapping[Any, Any]) -> _Shape:
        nodes = {key: self._tree.get(key) if isinstance(key, str) else None for key in found}
        names = {path: name for name, path in self._single.items()}
        depends = any("." in path for paths in self._wire.mark for path in paths)
        return _Shape(
            is_marked=None if depends else self._has_mark(found),
            fields=tuple((names[key], key) for key, node in nodes.items() if node == key and key in names),
            read=tuple((node, key) for key, node in nodes.items() if node == key and key not in names),
            inner=tuple((key, node) for key, node in nodes.items() if isinstance(node, dict)),
            rest=tuple(key for key, node in nodes.items() if node is None),
        )

    def _has_mark(self, found: Mapping[Any, Any]) -> bool:
        return all(any(_has_path(found, path) for path in paths) for paths in self._mark)

    def _count(self, paths: Paths, values: Mapping[str, Any]) -> Any:
        """Return the sum of some counts, null if one is, or the first value that is no count."""
        total = 0
        for path in paths:
            value = values.get(path, 0 if self._wire.text_counts else None)
            if self._wire.text_counts and isinstance(value, str) and value.isascii() and value.isdecimal():
                value = int(value) if len(value) < 20 else value  # noqa: PLR2004  # 64 bits have 19 digits.
            if type(value) is not int:
                return value
            total += value
        return total if paths else None


def _walk(holder: Mapping[Any, Any], tree: _Tree, prefix: str, values: dict[str, Any], rest: dict[Any, Any]) -> None:
    """Copy the values that the tree names into `values`, by path, and all others into `rest`."""
    for key, value in holder.items():
        node = tree.get(key) if isinstance(key, str) else None
        if node is None:
            rest[f"{prefix}{key}" if prefix else key] = value
        elif isinstance(node, str):
            values[node] = _enum_text(value)
        elif isinstance(node, dict):
            if isinstance(value, Mapping):
                _walk(value, node, f"{prefix}{key}.", values, rest)
            elif value is not None:
                rest[f"{prefix}{key}"] = value


def _enum_text(value: Any) -> Any:
    """Return a member of an SDK's enumeration as its text; any other value unchanged."""
    return str.__str__(value) if type(value) is not str and isinstance(value, str) else value


def _value_of(paths: Paths, values: Mapping[str, Any]) -> Any:
    """Return the value of a field; a tuple, which every reader refuses, if two paths hold different values."""
    given = [values[path] for path in paths if values.get(path) is not None]
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
        if not isinstance(value, Mapping) or key not in value:
            return False
        value = value[key]
    return True
