"""Translates objects of other providers into OpenAI's fields, as a `Wire` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from batchfsm.dialects import Paths, Wire
from batchfsm.snapshot import COUNT_FIELDS

_DROPPED: Final = object()

_Tree = dict[str, Any]
"""By key: a path (the value is read), `_DROPPED`, or the tree of an inner object."""


class Translator:
    """Translates the objects of one provider."""

    def __init__(self, wire: Wire, canonical_status: Callable[[str], str]) -> None:
        self._wire = wire
        self._canonical_status = canonical_status
        self._mark = [[path.split(".") for path in paths] for paths in wire.mark]
        self._tree: _Tree = {}
        read = [path for paths in (*wire.fields.values(), *wire.counts.values()) for path in paths]
        for path, leaf in (*((path, path) for path in read), *((path, _DROPPED) for path in wire.dropped)):
            *outer, last = path.split(".")
            tree = self._tree
            for key in outer:
                tree = tree.setdefault(key, {})
            tree[last] = leaf

    def is_marked(self, found: Mapping[Any, Any]) -> bool:
        """Tell whether an object has every path of the mark."""
        return all(any(_has_path(found, path) for path in paths) for paths in self._mark)

    def listed(self, found: Mapping[Any, Any]) -> list[Any] | tuple[Any, ...] | None:
        """Return the objects of a page of the provider; None if it is no page."""
        listed = next((found[key] for key in self._wire.pages if key in found), None)
        return listed if isinstance(listed, list | tuple) else None

    def translate(self, found: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return an object under OpenAI's names; keys that no path names are kept, nested ones under their path."""
        values: dict[str, Any] = {}
        translated: dict[Any, Any] = {}
        _walk(found, self._tree, "", values, translated)
        for name, paths in self._wire.fields.items():
            translated[name] = _value_of(paths, values)
        if self._wire.counts and any(path in values for paths in self._wire.counts.values() for path in paths):
            translated["request_counts"] = {
                name: self._count(self._wire.counts.get(name, ()), values) for name in COUNT_FIELDS
            }
        translated["errors"] = _errors(translated.get("errors"))
        status = translated["status"]
        word = self._canonical_status(status) if isinstance(status, str) else None
        for name, statuses in self._wire.silent.items():
            if word in statuses:
                translated[name] = None
        return translated

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
    """Sort the values of an object: those of the tree into `values`, by path, all others into `rest`."""
    for key, value in holder.items():
        node = tree.get(key) if isinstance(key, str) else None
        if node is None:
            rest[f"{prefix}{key}" if prefix else key] = value
        elif isinstance(node, str):
            # An enumeration of an SDK is text whose type is its own.
            values[node] = str.__str__(value) if isinstance(value, str) and type(value) is not str else value
        elif isinstance(node, dict):
            if isinstance(value, Mapping):
                _walk(value, node, f"{prefix}{key}.", values, rest)
            elif value is not None:
                rest[f"{prefix}{key}"] = value


def _value_of(paths: Paths, values: Mapping[str, Any]) -> Any:
    """Return the value of a field; a pair, which no reader takes, if two spellings disagree."""
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
