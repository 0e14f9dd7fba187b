"""The columns of a table that hold the fields of a batch, found by name and type, never by value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from batchfsm.auditing.tables.arrow import load_arrow
from batchfsm.errors import SourceError
from batchfsm.snapshot import COUNT_FIELDS, REQUIRED_FIELDS, TEXT_FIELDS, TIME_FIELDS, WIRE_FIELDS
from batchfsm.wire import SPELLINGS

OBSERVED_AT_FIELDS: Final = ("observed_at", "timestamp")
"""The fields that hold the time of observation; the first that is not null counts."""

COUNTS: Final = "request_counts"

JSON_TEXT: Final = "text"
"""The field of a column of JSON text, a whole batch, envelope or page each."""

_WRAPPERS: Final = ("snapshot", "batch", "body", "data")
_FLAT: Final = tuple(f"{COUNTS}.{name}" for name in COUNT_FIELDS)
_FLAT_COUNTS: Final = {f"{COUNTS}{sign}{name}": f"{COUNTS}.{name}" for name in COUNT_FIELDS for sign in "._"}
_EXPECTED_TYPES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "times": ("whole Unix seconds or a timestamp", ("whole", "real", "moment", "text")),
    **dict.fromkeys(("texts", "object"), ("text", ("text", "bytes"))),
    **dict.fromkeys(
        OBSERVED_AT_FIELDS, ("Unix seconds, a timestamp or RFC 3339 text", ("whole", "real", "moment", "text"))
    ),
    **dict.fromkeys((COUNTS, "usage"), ("a struct, a map or JSON text", ("struct", "map", "text"))),
    **dict.fromkeys(_FLAT, ("a whole number", ("whole", "real"))),
    "errors": ("a list, a struct or JSON text", ("list", "struct", "text")),
    "metadata": ("a struct, a map or JSON text", ("list", "struct", "map", "text")),
    JSON_TEXT: ("JSON text", ("text",)),
}
"""The types that each field may have, in words and as kinds."""


@attrs.frozen(kw_only=True)
class TableSchema:
    """Where a table holds the fields of a batch."""

    columns: tuple[str, ...]
    """The columns that are read."""

    paths: Mapping[str, tuple[str, ...]]
    """
    The column of each field, and its member if the column is a struct. Numbers of requests are fields of their own
    if each has a column: `request_counts.total`.
    """

    texts: tuple[str, ...]
    """The columns of text whose values repeat: worth a dictionary."""

    @property
    def given(self) -> frozenset[str]:
        """The fields of a batch that the table has columns for; JSON text may hold every field."""
        names = WIRE_FIELDS if JSON_TEXT in self.paths else self.paths
        return frozenset(name.partition(".")[0] for name in names)


def find_fields(schema: Any, name: str) -> TableSchema:
    """
    Find the fields in the Arrow schema of the table `name`.

    Raises:
        SourceError: If a column that is needed is missing, occurs twice, or has a type that the field cannot have.
    """
    top = [*schema]
    found = _fields(top, (), name)
    wrappers = {each.name: each for each in top if each.name in _WRAPPERS and _is_any(each.type, "struct", "text")}
    wrapper = next((wrappers[each] for each in _WRAPPERS if each in wrappers), None)
    if not found.keys() >= {*REQUIRED_FIELDS}:
        if wrapper is not None and _is_any(wrapper.type, "struct"):
            found = _fields(_members(wrapper.type), (wrapper.name,), name)
        elif wrapper is not None:
            found = {JSON_TEXT: ((wrapper.name,), wrapper.type)}
        elif len(top) == 1 and _is_any(top[0].type, "text"):
            found = {JSON_TEXT: ((top[0].name,), top[0].type)}
    if missing := [field for field in REQUIRED_FIELDS if not found.keys() & {field, JSON_TEXT}]:
        raise SourceError(
            f"{name}: no column for {', '.join(missing)}; there are {_printable(', '.join(schema.names)) or 'none'}"
        )
    found |= {each.name: ((each.name,), each.type) for each in top if each.name in OBSERVED_AT_FIELDS}
    for field, (path, kind) in found.items():
        _check(field, kind, name, ".".join(path))
    columns = tuple(dict.fromkeys(path[0] for path, _ in found.values()))
    if twice := [each for each in columns if schema.names.count(each) > 1]:
        raise SourceError(f"{name}: the column {twice[0]} stands twice")
    paths = {field: path for field, (path, _) in found.items()}
    # Out of several groups of rows, Arrow cannot read a member of a struct by dictionary.
    texts = tuple(
        path[0]
        for field, (path, kind) in found.items()
        if field != JSON_TEXT and len(path) == 1 and _is_any(kind, "text")
    )
    return TableSchema(columns=columns, paths=paths, texts=texts)


def _printable(names: str) -> str:
    """Return names of columns with escapes for what a damaged file may hold in them, such as line ends."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in names)


def _members(kind: Any) -> list[Any]:
    return [kind.field(place) for place in range(kind.num_fields)]


def _fields(columns: Iterable[Any], above: tuple[str, ...], name: str) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Return the path and the type of each field; SourceError if two columns may hold the same field."""
    found: dict[str, tuple[tuple[str, ...], Any]] = {}
    for column in columns:
        field = SPELLINGS.get(column.name, "")
        field = _FLAT_COUNTS.get(column.name, field if field in WIRE_FIELDS else "")
        if field in found:
            raise SourceError(f"{name}: two columns hold {field}: {found[field][0][-1]}, {column.name}")
        if field:
            found[field] = ((*above, column.name), column.type)
    flat = [field for field in _FLAT if field in found]
    if COUNTS in found and flat:
        raise SourceError(f"{name}: two columns hold {flat[0]}: {COUNTS}, {found[flat[0]][0][-1]}")
    if len(flat) < len(_FLAT):
        # The rules compare the numbers with each other: without one of them the others are of no use.
        found = {field: held for field, held in found.items() if field not in flat}
    return found


def _check(field: str, kind: Any, name: str, column: str) -> None:
    """Raise SourceError if a column has a type that its field cannot have, whatever its values."""
    expected, kinds = _EXPECTED_TYPES["times" if field in TIME_FIELDS else "texts" if field in TEXT_FIELDS else field]
    if not _is_any(kind, *kinds):
        raise SourceError(f"{name}: the column {column} is {_printable(str(kind))}; it should be {expected}")
    for member in _members(kind) if field == COUNTS and _is_any(kind, "struct") else ():
        if SPELLINGS.get(member.name) in COUNT_FIELDS:
            _check(f"{COUNTS}.{SPELLINGS[member.name]}", member.type, name, f"{column}.{member.name}")


def _is_any(kind: Any, *kinds: str) -> bool:
    """Return whether an Arrow type is of one of some kinds; the type of a column of nulls is of every kind."""
    types = load_arrow().types
    kind = getattr(kind, "storage_type", kind)  # DuckDB marks JSON text by an extension type.
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind):
        return True
    tests: dict[str, Callable[[Any], bool]] = {
        "whole": lambda each: types.is_integer(each) or (types.is_decimal(each) and each.scale == 0),
        "real": types.is_floating,
        "moment": types.is_timestamp,
        "text": lambda each: types.is_string(each) or types.is_large_string(each) or types.is_string_view(each),
        "bytes": lambda each: types.is_binary(each) or types.is_large_binary(each),
        "struct": types.is_struct,
        "map": types.is_map,
        "list": lambda each: types.is_list(each) or types.is_large_list(each),
    }
    return any(tests[each](kind) for each in kinds)
