"""Which columns of a table hold which fields of a batch, told by their names and types, never by their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from batchfsm.auditing.tabular.arrow import arrow
from batchfsm.errors import SourceError
from batchfsm.snapshot import COUNT_FIELDS, TEXT_FIELDS, TIME_FIELDS, VITAL_FIELDS, WIRE_FIELDS
from batchfsm.wire import SPELLINGS

CLOCKS: Final = ("observed_at", "timestamp")
"""What says when a row was seen; the first that is not null counts."""

COUNTS: Final = "request_counts"

JSON_TEXT: Final = "text"
"""Instead of a field: the whole batch, an envelope or a page, as JSON text."""

_WRAPPERS: Final = ("snapshot", "batch", "body", "data")
_FLAT: Final = tuple(f"{COUNTS}.{name}" for name in COUNT_FIELDS)
_FLAT_COUNTS: Final = {f"{COUNTS}{sign}{name}": f"{COUNTS}.{name}" for name in COUNT_FIELDS for sign in "._"}
_JSON: Final = ("struct", "map", "text")
_NUMBER: Final = ("a whole number", ("whole", "real"))
_DUE: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "times": ("whole Unix seconds or a timestamp", ("whole", "real", "moment", "text")),
    "texts": ("text", ("text", "bytes")),
    "object": ("text", ("text", "bytes")),
    **dict.fromkeys(CLOCKS, ("Unix seconds, a timestamp or RFC 3339 text", ("whole", "real", "moment", "text"))),
    COUNTS: ("a struct, a map or JSON text", _JSON),
    **dict.fromkeys(_FLAT, _NUMBER),
    "usage": ("a struct, a map or JSON text", _JSON),
    "errors": ("a list, a struct or JSON text", ("list", "struct", "text")),
    "metadata": ("a struct, a map or JSON text", ("list", *_JSON)),
    JSON_TEXT: ("JSON text", ("text",)),
}
"""What may hold each field, in words and as kinds of types."""


@attrs.frozen(kw_only=True)
class Layout:
    """Where the fields of a batch stand in a table."""

    columns: tuple[str, ...]
    """The columns that are read."""

    paths: Mapping[str, tuple[str, ...]]
    """The column of each field, and the member of it if it is a struct. Numbers of requests are fields of their
    own where each has a column: `request_counts.total`."""

    texts: tuple[str, ...]
    """Columns of text whose values come again and again: worth a dictionary."""

    @property
    def given(self) -> frozenset[str]:
        """The fields of a batch that the table has a place for; JSON text has one for each."""
        names = WIRE_FIELDS if JSON_TEXT in self.paths else self.paths
        return frozenset(name.partition(".")[0] for name in names)


def layout(schema: Any, name: str) -> Layout:
    """
    Find the fields in a table.

    Args:
        schema: Arrow's.
        name: What the table is called.

    Raises:
        SourceError: If a column that is needed is missing, stands twice, or is of a type that holds no such field.
    """
    top = [*schema]
    found = _fields(top, (), name)
    wrappers = {each.name: each for each in top if each.name in _WRAPPERS and _is_any(each.type, "struct", "text")}
    wrapper = next((wrappers[each] for each in _WRAPPERS if each in wrappers), None)
    if not found.keys() >= {*VITAL_FIELDS}:
        if wrapper is not None and _is_any(wrapper.type, "struct"):
            found = _fields(_members(wrapper.type), (wrapper.name,), name)
        elif wrapper is not None:
            found = {JSON_TEXT: ((wrapper.name,), wrapper.type)}
        elif len(top) == 1 and _is_any(top[0].type, "text"):
            found = {JSON_TEXT: ((top[0].name,), top[0].type)}
    if missing := [field for field in VITAL_FIELDS if not found.keys() & {field, JSON_TEXT}]:
        raise SourceError(f"{name}: no column for {', '.join(missing)}; there are {', '.join(schema.names) or 'none'}")
    found |= {each.name: ((each.name,), each.type) for each in top if each.name in CLOCKS}
    for field, (path, kind) in found.items():
        _check(field, kind, name, ".".join(path))
    columns = tuple(dict.fromkeys(path[0] for path, _ in found.values()))
    if twice := [each for each in columns if schema.names.count(each) > 1]:
        raise SourceError(f"{name}: the column {twice[0]} stands twice")
    paths = {field: path for field, (path, _) in found.items()}
    texts = tuple(
        ".".join(path) for field, (path, kind) in found.items() if field != JSON_TEXT and _is_any(kind, "text")
    )
    return Layout(columns=columns, paths=paths, texts=texts)


def _members(kind: Any) -> list[Any]:
    return [kind.field(place) for place in range(kind.num_fields)]


def _fields(columns: Iterable[Any], above: tuple[str, ...], name: str) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Return where each field stands, and its type; a field of which two columns could be meant is refused."""
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
        # Without one of its numbers nothing can be said of the others: as if there were none.
        found = {field: held for field, held in found.items() if field not in flat}
    return found


def _check(field: str, kind: Any, name: str, column: str) -> None:
    """Refuse a column whose type holds no such field, whatever its values are."""
    due, kinds = _DUE["times" if field in TIME_FIELDS else "texts" if field in TEXT_FIELDS else field]
    if not _is_any(kind, *kinds):
        raise SourceError(f"{name}: the column {column} is {kind}; it should be {due}")
    for member in _members(kind) if field == COUNTS and _is_any(kind, "struct") else ():
        if SPELLINGS.get(member.name) in COUNT_FIELDS:
            _check(f"{COUNTS}.{SPELLINGS[member.name]}", member.type, name, f"{column}.{member.name}")


def _is_any(kind: Any, *kinds: str) -> bool:
    """Tell whether a type of Arrow's is of one of some kinds; a column of nothing but nulls is of any."""
    types = arrow().types
    kind = getattr(kind, "storage_type", kind)  # DuckDB marks text that is JSON by a type of its own.
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
