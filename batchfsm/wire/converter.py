"""
A cattrs converter for each dialect that parses every field without coercion.

It reads what the fast path leaves. Most programs meet no such object, so cattrs is loaded with the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
from cattrs import ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn, override

from batchfsm.dialects import Dialect
from batchfsm.snapshot import (
    COUNT_FIELDS,
    FILE_FIELDS,
    TEXT_FIELDS,
    TIME_FIELDS,
    BatchErrorEntry,
    RequestCounts,
    Snapshot,
)
from batchfsm.wire.values import StructureHook, time_hook, to_read_only


class SnapshotConverter:
    """Reads snapshots from mappings with canonical keys, as one dialect writes their values."""

    def __init__(self, dialect: Dialect) -> None:
        """Build the converter; that takes a millisecond."""
        self._converter = _converter(dialect)
        self.read_errors = _errors_hook(self._converter)
        """Reads `errors`, whose keys are canonical."""

    def read(self, named: Mapping[str, object]) -> Snapshot | list[tuple[str, ...]]:
        """Return the snapshot; if values are refused, the path of each: `("request_counts", "total")`."""
        try:
            return self._converter.structure(named, Snapshot)
        except ClassValidationError as error:
            return [*_failed_paths(error)]


def _converter(dialect: Dialect) -> Converter:
    strict = Converter(detailed_validation=True)
    text, file = _text_hook(null_text=dialect.null_text), _text_hook(null_text=True)
    number = _number_hook(null=dialect.null_counts)

    def register(kind: type[attrs.AttrsInstance], hooks: Mapping[str, StructureHook]) -> None:
        fields = {name: override(struct_hook=hook) for name, hook in hooks.items()}
        # Attributes that are no fields of the wire, such as `bad`, are set afterwards.
        fields |= {field.name: override(omit=True) for field in attrs.fields(kind) if field.name not in hooks}
        strict.register_structure_hook(kind, make_dict_structure_fn(kind, strict, **fields))  # type: ignore[arg-type]

    register(RequestCounts, dict.fromkeys(COUNT_FIELDS, number))
    register(
        BatchErrorEntry,
        dict.fromkeys(("code", "message", "param"), _text_hook(null_text=False)) | {"line": _number_hook(null=True)},
    )
    register(
        Snapshot,
        dict.fromkeys(TIME_FIELDS, time_hook(dialect))
        | {name: file if name in FILE_FIELDS else text for name in TEXT_FIELDS}
        | {
            "status": lambda value, kind: _aliased(dialect, text(value, kind)),
            "errors": _errors_hook(strict),
            "request_counts": _counts_hook(strict),
            "usage": _mapping_hook,
            "metadata": _metadata_hook,
        },
    )
    return strict


def _failed_paths(error: ClassValidationError) -> Iterator[tuple[str, ...]]:
    for inner, note in error.group_exceptions()[0]:
        if note.name == "request_counts" and isinstance(inner, ClassValidationError):
            yield from ((note.name, *path) for path in _failed_paths(inner))
        else:
            yield (note.name,)


def _text_hook(*, null_text: bool) -> StructureHook:
    def text(value: object, _: object) -> str | None:
        if value is None or (null_text and value == ""):
            return None
        if not isinstance(value, str):
            raise ValueError  # noqa: TRY004  # cattrs collects any error; one kind is enough.
        if not value.isascii():
            value.encode()  # A lone surrogate is not text; UnicodeEncodeError is a ValueError.
        return value

    return text


def _aliased(dialect: Dialect, word: str | None) -> str | None:
    return None if word is None else dialect.canonical_status(word)


def _number_hook(*, null: bool) -> StructureHook:
    def number(value: object, _: object) -> int | None:
        if value is None and null:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError  # noqa: TRY004
        return value

    return number


def _counts_hook(strict: Converter) -> StructureHook:
    def counts(value: object, _: object) -> RequestCounts | None:
        return None if value is None else strict.structure(_object(value), RequestCounts)

    return counts


def _errors_hook(strict: Converter) -> StructureHook:
    """Return a reader of the four shapes of `errors`: object with data, page, list of objects, of texts."""
    text = _text_hook(null_text=False)

    def entry(value: object) -> BatchErrorEntry:
        if isinstance(value, str):
            return BatchErrorEntry(message=text(value, str))
        return strict.structure(_object(value), BatchErrorEntry)

    def errors(value: object, _: object) -> tuple[BatchErrorEntry, ...] | None:
        entries = value.get("data", value.get("Data")) if isinstance(value, Mapping) else value
        if entries is None:
            return None
        if not isinstance(entries, list | tuple):
            raise ValueError  # noqa: TRY004
        return tuple(entry(each) for each in entries) or None

    return errors


def _mapping_hook(value: object, _: object) -> Mapping[str, object] | None:
    return None if value is None else to_read_only(_object(value))


def _metadata_hook(value: object, _: object) -> Mapping[str, object] | None:
    if isinstance(value, list | tuple) and not value:
        return None  # PHP writes an empty map as [].
    copy = _mapping_hook(value, _)
    for text in _texts(copy):
        text.encode()  # As for every text.
    return copy or None


def _texts(metadata: Mapping[str, object] | None) -> Iterator[str]:
    for pair in (metadata or {}).items():
        yield from (text for text in pair if isinstance(text, str))


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004
    return value
