"""The reader of batch objects in any form; one for each dialect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, cached_property, lru_cache
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import attrs

from batchfsm.dialects import Dialect
from batchfsm.errors import SnapshotError
from batchfsm.snapshot import COUNT_FIELDS, REQUIRED_FIELDS, Snapshot, Unreadable
from batchfsm.wire.envelope import (
    SPELLINGS,
    canonical_errors,
    canonical_keys,
    decode,
    holds_list,
    is_batch,
    is_no_batch,
    unwrap,
    unwrap_single,
)
from batchfsm.wire.fast_path import FastPath, Known, ParsedRow, known_fields
from batchfsm.wire.marks import mark_hint
from batchfsm.wire.row_cache import RowCache, content_of
from batchfsm.wire.translation import Translator
from batchfsm.wire.values import parse_time, short_repr, to_read_only

if TYPE_CHECKING:
    from batchfsm.wire.converter import SnapshotConverter


@cache
def reader(dialect: Dialect) -> Reader:
    """Return the one reader of a dialect."""
    return Reader(dialect)


class Reader:
    """Reads batch objects as one dialect writes them."""

    def __init__(self, dialect: Dialect) -> None:
        """Prepare for a dialect."""
        self._dialect = dialect
        self._known = known_fields(dialect)
        self._translator = None if dialect.wire is None else Translator(dialect.wire, dialect.canonical_status)
        self._rows = RowCache()
        self.parse_fast = FastPath(dialect, self._read_errors).parse
        """Reads a bare mapping without the converter; None if it has to be read field by field."""

    @cached_property
    def _converter(self) -> SnapshotConverter:
        from batchfsm.wire.converter import SnapshotConverter  # noqa: PLC0415  # Most programs never load cattrs.

        return SnapshotConverter(self._dialect)

    def _read_errors(self, errors: object, kind: object) -> Any:
        return self._converter.read_errors(errors, kind)

    def _translated(self, found: Mapping[Any, Any], translator: Translator) -> Mapping[Any, Any]:
        """Return an object under OpenAI's names; one that has them already, because it was written here, as it is."""
        if translator.is_marked(found):
            return translator.translate(found)
        if is_batch(found):
            return found
        raise SnapshotError([("$", self._not_a_batch + mark_hint(found, self._dialect))])

    @property
    def _not_a_batch(self) -> str:
        wire = self._dialect.wire
        if wire is None:
            return "has none of id, status and created_at: not a batch"
        mark = ", ".join(paths[0] for paths in wire.mark)
        return f"has not the keys of a batch of {self._dialect.name} ({mark}), nor id, status and created_at"

    def unwrap(self, found: object) -> Iterator[tuple[object, object]]:
        """Yield the batches of a log line or an answer of the server, as the function `unwrap` does."""
        return unwrap(found, None, self._translator)

    def is_no_batch(self, found: object) -> bool:
        """Return whether a value out of JSON surely cannot be read as a batch, as the function `is_no_batch` does."""
        return is_no_batch(found, self._translator)

    def unwrap_single(self, found: object) -> tuple[object, object] | None:
        """Return an object that is no envelope, or the batch in a usual one, as the function `unwrap_single` does."""
        if self._translator is None:
            return unwrap_single(found)
        return (found, None) if type(found) is dict and self._translator.is_marked(found) else None

    def read(self, obj: object, observed_at: object = None) -> Snapshot:
        """
        Return one object as a snapshot; fields that are not as the wire has them are in `bad`.

        Args:
            obj: As for `parse`.
            observed_at: The time of observation; it overrides that of an envelope.

        Raises:
            SnapshotError: If there is not exactly one object, or it has no
                id, status or time of creation at all.
        """
        return self.read_row(obj, observed_at).snapshot

    def read_row(
        self, obj: object, observed_at: object = None, known: Known | None = None, *, takes_lists: bool = True
    ) -> ParsedRow:
        """
        Read one object as `read` does, into its plain values.

        Args:
            obj: As for `parse`; a row that was read before is returned as it is.
            observed_at: As for `read`.
            known: As for `FastPath.parse`; a monitor gives it, and a time in seconds.
            takes_lists: Whether an array or a page is accepted if it holds one batch.
        """
        if type(obj) is not dict:
            obj = decode(obj) if isinstance(obj, (str, bytes, bytearray)) else to_mapping(obj)
        if type(obj) is dict:
            if known is not None and self._translator is not None and self._translator.is_marked(obj):
                return self._read_cached(obj, observed_at, known)
            if obj.get("object") == "batch":
                return self.read_bare_row(obj, observed_at, known)
        return self._read_opened(obj, observed_at, known, takes_lists=takes_lists)

    def _read_cached(self, batch: dict[Any, Any], observed_at: object, known: Known) -> ParsedRow:
        """Read an object of another provider for a monitor; an unchanged one is not translated again."""
        seen = None if observed_at is None else parse_time(observed_at)
        content = content_of(batch)
        cached = None if content is None else self._rows.find(content, seen)
        if cached is not None:
            return cached
        parsed = self.read_bare_row(batch, seen, known)
        if content is not None:
            self._rows.add(content, parsed)
        return parsed

    def _read_opened(self, obj: object, observed_at: object, known: Known | None, *, takes_lists: bool) -> ParsedRow:
        """Read the one batch of an object, an envelope, an array or a page."""
        found = (obj, None) if isinstance(obj, ParsedRow | Snapshot) else self.unwrap_single(obj)
        if found is None:
            several = list(self.unwrap(obj))
            if len(several) != 1:
                raise SnapshotError([("$", f"expected one batch, found {len(several)}")])
            # A page that happens to hold one batch today may hold three tomorrow.
            if not takes_lists and holds_list(obj, self._translator):
                raise SnapshotError([("$", "expected one batch, found a list of one: pass the batch in it")])
            found = several[0]
        batch, seen = found
        return self.read_bare_row(batch, seen if observed_at is None else observed_at, known)

    def read_bare(self, batch: object, observed_at: object = None) -> Snapshot:
        """Read one batch whose envelope is open; as `read` otherwise."""
        return self.read_bare_row(batch, observed_at).snapshot

    def read_bare_row(self, batch: object, observed_at: object = None, known: Known | None = None) -> ParsedRow:
        """Read one batch whose envelope is open, into its plain values; as `read_row` otherwise."""
        wire = batch if type(batch) is dict else to_mapping(batch)
        if self._translator is not None and isinstance(wire, Mapping):
            wire = self._translated(wire, self._translator)
        if type(wire) is dict:
            parsed = self.parse_fast(wire, observed_at, known)
            return ParsedRow.of(self._read(wire, observed_at)) if parsed is None else parsed
        if type(wire) is ParsedRow:
            return wire if observed_at is None else self.read_bare_row(wire.snapshot, observed_at)
        if type(wire) is Snapshot:
            return ParsedRow.of(self._with_observed_at(wire, observed_at))
        if not isinstance(wire, Mapping):
            raise SnapshotError([("$", f"expected a batch object, got {short_repr(wire)}")])
        return self.read_bare_row(dict(wire), observed_at, known)

    def _read(self, wire: Mapping[Any, Any], observed_at: object) -> Snapshot:
        """Read any mapping with the converter; if it refuses fields, read the others, and add those to `bad`."""
        named, extra, bad = _split_fields(wire, self._known)
        if all(named.get(name) is None and name not in bad for name in REQUIRED_FIELDS):
            raise SnapshotError([("$", self._not_a_batch + mark_hint(wire, self._dialect))])
        named = {"id": None, "status": None} | named
        word, kind = named["status"], named.pop("object", None)
        if kind not in (None, "batch") and not (kind == "" and self._dialect.null_text):
            bad["object"] = kind
        seen = _seen(observed_at, bad)
        snapshot = self._converter.read(named)
        if not isinstance(snapshot, Snapshot):
            for path in snapshot:
                bad[".".join(path)] = _remove_invalid(named, path)
            snapshot = cast("Snapshot", self._converter.read(named))
        if isinstance(word, str) and snapshot.status not in (None, word):
            extra["status"] = word
        return attrs.evolve(
            snapshot,
            observed_at=seen,
            bad=MappingProxyType({name: _read_only_or_repr(bad[name]) for name in sorted(bad)}),
            extra=MappingProxyType(extra),
        )

    def _with_observed_at(self, snapshot: Snapshot, observed_at: object) -> Snapshot:
        if observed_at is None:
            return snapshot
        bad = dict(snapshot.bad)
        seen = _seen(observed_at, bad)
        return attrs.evolve(snapshot, observed_at=seen, bad=MappingProxyType(bad))


def _split_fields(
    wire: Mapping[Any, Any], known: Collection[str]
) -> tuple[dict[str, Any], dict[str, object], dict[str, object]]:
    """Split an object into known fields by canonical name, unknown fields, and invalid ones."""
    named: dict[str, Any] = {}
    extra: dict[str, object] = {}
    bad: dict[str, object] = {}
    for key, value in wire.items():
        name = SPELLINGS.get(key) if isinstance(key, str) else None
        if name is None or name not in known:
            try:
                extra[key] = to_read_only(value)
            except ValueError:
                bad[str(key)] = value
        elif isinstance(value, Unreadable):
            bad[name] = value
        elif named.get(name) is None:
            named[name] = value
        elif value is not None and (value != named[name] or type(value) is not type(named[name])):
            bad[name] = (
                named[name],
                value,
            )  # Two spellings of one key that disagree: neither can be trusted.
    for name in bad.keys() & named.keys():
        del named[name]
    return _nested(named), extra, bad


def _nested(named: dict[str, Any]) -> dict[str, Any]:
    """Spell the keys of counts and errors canonically too; an absent count is a null one."""
    counts, errors = named.get("request_counts"), named.get("errors")
    if isinstance(counts, Mapping):
        named["request_counts"] = dict.fromkeys(COUNT_FIELDS) | canonical_keys(counts)
    if errors is not None:
        named["errors"] = canonical_errors(errors)
    return named


def _remove_invalid(named: dict[str, Any], path: tuple[str, ...]) -> object:
    """Remove a refused value, so that the rest can be read."""
    *outer, name = path
    holder = cast("dict[str, Any]", named[outer[0]]) if outer else named
    value = holder.pop(name)
    if name in {"id", "status"}:
        holder[name] = None
    return value


def _seen(observed_at: object, bad: dict[str, object]) -> float | None:
    if observed_at is None:
        return None
    try:
        return parse_time(observed_at)
    except ValueError:
        bad["observed_at"] = observed_at
        return None


def _read_only_or_repr(value: object) -> object:
    """Return a read-only copy of a refused value; a word for it where JSON could not hold it."""
    try:
        copy = to_read_only(value)
    except ValueError as error:
        return str(error)
    return copy if isinstance(copy, Unreadable | Mapping | tuple | str | int | float | None) else short_repr(copy)


def to_mapping(obj: object) -> object:
    """Return an SDK object as a mapping, and anything else unchanged; SnapshotError if its dump fails."""
    if type(obj) is dict or type(obj) is Snapshot or type(obj) is ParsedRow:
        return obj
    if isinstance(obj, Mapping | Snapshot | ParsedRow | str | bytes | list | tuple | type):
        return obj
    for name in ("model_dump", "to_dict"):
        if callable(dump := getattr(obj, name, None)):
            # pydantic 2 warns of values that `construct` let through, such as an unknown status. Findings report them.
            is_pydantic_2 = hasattr(type(obj), "__pydantic_serializer__")
            quiet = is_pydantic_2 and _takes_warnings(getattr(dump, "__func__", dump))
            try:
                return dump(warnings=False) if quiet else dump()
            except Exception as error:
                kind = f"{type(obj).__name__}.{name}()"
                raise SnapshotError(
                    [("$", f"{kind} raised {type(error).__name__}: {short_repr(str(error))}")]
                ) from error
    return obj


@lru_cache(maxsize=256)
def _takes_warnings(dump: Callable[..., object]) -> bool:
    return "warnings" in signature(dump).parameters
