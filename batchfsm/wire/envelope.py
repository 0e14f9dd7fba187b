"""Decoders of JSON text, and of envelopes, list pages and arrays around batches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from threading import local
from types import NoneType
from typing import Any, Final, Protocol

import attrs

from batchfsm.errors import SnapshotError
from batchfsm.lifecycle import ENDED_AT
from batchfsm.snapshot import COUNT_FIELDS, REQUIRED_FIELDS, WIRE_FIELDS, BatchErrorEntry, to_case

SPELLINGS: Final[Mapping[str, str]] = {
    spelling: name
    for name in (*WIRE_FIELDS, ENDED_AT, *COUNT_FIELDS, *(field.name for field in attrs.fields(BatchErrorEntry)))
    for spelling in (
        name,
        to_case(name, "camel"),
        to_case(name, "pascal"),
        to_case(name, "pascal").replace("ID", "Id"),
    )
}
"""The wire's name of every key, however an SDK spells it."""


class ObjectMarks(Protocol):
    """Recognises the objects and the pages of one or of several providers."""

    def is_marked(self, found: Mapping[Any, Any], /) -> bool:
        """Return whether an object has the mark of a batch."""

    def listed(self, found: Mapping[Any, Any], /) -> list[Any] | tuple[Any, ...] | None:
        """Return the objects of a page; None if it is no page."""


Scan = Callable[[str, int], tuple[Any, int]]
"""Returns the value that begins at a place of a text, and where it ends; raises as `JSONDecoder.raw_decode`."""

_ID: Final = re.compile(r"[A-Za-z]\w*[-_:/][\w:./-]+", re.ASCII)
_BYTE_ORDER_MARK: Final = "\ufeff"
_LISTS: Final = (list, tuple)
_ATOMS: Final = (str, bytes, int, float, NoneType)
_WRAPPERS: Final = ("snapshot", "batch", "body", "data")
_TIME_KEYS: Final = ("observed_at", "timestamp")
_REQUIRED_SPELLINGS: Final = frozenset(spelling for spelling, name in SPELLINGS.items() if name in REQUIRED_FIELDS)
_ENVELOPES_MAX: Final = 4096  # Healthy logs show one or two; a hostile one shall not grow the table.
_KEYS_MAX: Final = 64
_NESTING_MAX: Final = 4  # An array of envelopes of pages of envelopes; no log is known to nest deeper.


def decode(text: str | bytes | bytearray) -> object:
    """
    Read JSON text; `NaN` too, which is then refused wherever a field is due.

    Raises:
        SnapshotError: If it is no JSON, nests too deep, or names a key of one
            object twice.
    """
    try:
        if isinstance(text, str):
            if text.startswith("{"):
                found, end = _scanner.scan(text, 0)
                if end == len(text) or not text[end:].strip(" \t\r\n"):
                    return found
            if not text.startswith(_BYTE_ORDER_MARK):
                return decoder.decode(text)  # `json.loads` would make a decoder each time.
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        hint = "; for an id, pass the object that a retrieve returns" if _may_be_id(text) else ""
        raise SnapshotError([("$", decode_problem(error) + hint)]) from None


def _may_be_id(text: str | bytes | bytearray) -> bool:
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def decode_problem(error: ValueError | RecursionError) -> str:
    """Return the reason why JSON could not be read, in half a sentence."""
    if isinstance(error, RecursionError):
        return "nested too deep to be read"
    if isinstance(error, UnicodeError):
        return f"not UTF-8 (byte {error.start + 1})" if isinstance(error, UnicodeDecodeError) else "not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        message = "text after a JSON value" if error.msg == "Extra data" else error.msg
        return f"not JSON: {message} (column {error.colno})"
    if "digits" in str(error):
        return "an integer of more digits than Python reads"
    return f"not JSON to rely on: {error}"


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        # The last one would win in silence: {"status": "failed", "status": "completed"}.
        names = sorted(name for name, _ in pairs)
        twice = next(name for name, after in pairwise(names) if name == after)
        msg = f"the key {twice[:80]!r} stands twice in one object"
        raise ValueError(msg)
    return keys


decoder: Final = json.JSONDecoder(object_pairs_hook=_object)
"""The decoder of `decode`, for callers that decode piece by piece."""


def make_scanner() -> Scan:
    """
    Return a function that decodes like `decoder.raw_decode` in two thirds of its time; for one thread.

    `decoder` gets every object pair by pair, to find a key that stands twice in it. This function counts the keys of
    the decoded objects and the colons of the text: if the numbers are equal, no key stands twice.
    """
    keys = 0

    def count(found: dict[str, object]) -> dict[str, object]:
        nonlocal keys
        keys += len(found)
        return found

    scan_once: Scan = json.JSONDecoder(object_hook=count).scan_once  # type: ignore[attr-defined]

    def scan(text: str, start: int) -> tuple[Any, int]:
        nonlocal keys
        keys = 0
        try:
            found, end = scan_once(text, start)
        except (StopIteration, ValueError):
            return decoder.raw_decode(text, start)  # It raises the error of the first fault.
        if text.count(":", start, end) == keys or _has_keys(text, start, end, keys):
            return found, end
        return decoder.raw_decode(text, start)

    return scan


class _Scanner(local):
    """A scanner for each thread."""

    def __init__(self) -> None:
        self.scan = make_scanner()


def _has_keys(text: str, start: int, end: int, keys: int) -> bool:
    """Return whether a text, which has colons inside strings too, certainly has exactly `keys` keys."""
    # A quote and a colon are the end of a key, unless the quote is escaped. A key whose colon stands
    # apart would not be counted.
    return (
        text.count('":', start, end) == keys
        and text.find('\\"', start, end) < 0
        and all(text.find(blank, start, end) < 0 for blank in (" :", "\t", "\r", "\n"))
    )


_scanner: Final = _Scanner()


def unwrap(
    obj: object, observed_at: object = None, marks: ObjectMarks | None = None
) -> Iterator[tuple[object, object]]:
    """
    Yield the batches of a log line: of a bare batch, an envelope, a list page, or an array.

    Yields:
        `(batch, observed_at)` in order, neither of them checked.
    """
    return _unwrap(obj, observed_at, marks, _NESTING_MAX)


def _unwrap(found: object, seen: object, marks: ObjectMarks | None, levels: int) -> Iterator[tuple[object, object]]:
    inner = _unwrap_once(found, marks) if levels else None
    if inner is None:
        yield found, seen
        return
    if isinstance(found, Mapping):
        seen = next((found[name] for name in _TIME_KEYS if found.get(name) is not None), seen)
    for each in inner if isinstance(inner, _LISTS) else (inner,):
        if isinstance(each, _ATOMS):
            yield each, seen  # Without a generator of its own: a hostile array holds a million numbers.
        else:
            yield from _unwrap(each, seen, marks, levels - 1)


def is_no_batch(found: object, marks: ObjectMarks | None = None) -> bool:
    """Return whether a JSON value certainly cannot be read as a batch; False if it must be tried."""
    has_no_field = marks is None and type(found) is dict and _REQUIRED_SPELLINGS.isdisjoint(found)
    return has_no_field or isinstance(found, _ATOMS)


def unwrap_single(found: object) -> tuple[object, object] | None:
    """
    Return an object that is no envelope, or the batch in a usual one, as `unwrap` yields it, in a tenth of its time.

    Returns:
        `(batch, observed_at)`; None for any other value, which `unwrap` must read.
    """
    if type(found) is not dict:
        return None
    if found.get("object") == "batch":
        return found, None
    wrapper, time_key = _ENVELOPES[tuple(found)]
    if not wrapper:
        return None if wrapper is None else (found, None)
    inner, seen = found[wrapper], None if time_key is None else found[time_key]
    if type(inner) is dict and inner.get("object") == "batch":
        return inner, seen  # The common case first: `isinstance` of `Mapping` takes as long as all the rest.
    if isinstance(inner, (*_ATOMS, *_LISTS)) or (isinstance(inner, Mapping) and not is_batch(inner)):
        return None
    return inner, seen


class _Envelopes(dict[tuple[Any, ...], tuple[str | None, str | None]]):
    """
    By the keys of an object: the key that holds the batch, and that of the time.

    The first is empty for an object that is no envelope; `(None, None)` if it is ambiguous.
    """

    def __missing__(self, keys: tuple[Any, ...]) -> tuple[str | None, str | None]:
        wrappers, time_keys = ([name for name in names if name in keys] for names in (_WRAPPERS, _TIME_KEYS))
        may_be_batch = "object" in keys or "Object" in keys or _has_required_fields(keys)
        found: tuple[str | None, str | None] = (None, None) if wrappers else ("", None)
        if len(wrappers) == 1 and len(time_keys) <= 1 and not may_be_batch:
            found = (wrappers[0], next(iter(time_keys), None))
        if len(self) < _ENVELOPES_MAX and len(keys) <= _KEYS_MAX:
            self[keys] = found
        return found


_ENVELOPES: Final = _Envelopes()


def holds_list(obj: object, marks: ObjectMarks | None) -> bool:
    """Return whether an object is an array or a page of batches, in an envelope or not."""
    found: object = obj
    for _ in range(_NESTING_MAX + 1):
        if isinstance(found, _LISTS):
            return True
        found = _unwrap_once(found, marks)
    return False


def _unwrap_once(found: object, marks: ObjectMarks | None) -> object:
    """Return the content of an array, page or envelope; None for a batch and for anything else."""
    if isinstance(found, _LISTS):
        return found
    if not isinstance(found, Mapping) or (marks is not None and marks.is_marked(found)) or is_batch(found):
        return None
    if marks is not None and (listed := marks.listed(found)) is not None:
        return listed
    return next((found[name] for name in _WRAPPERS if not isinstance(found.get(name), _ATOMS)), None)


def is_batch(found: Mapping[object, object]) -> bool:
    """Return whether an object is a batch and not its envelope: it has `object: batch`, or all required fields."""
    # An envelope may have an id of its own, or an HTTP status, beside the body: never all three.
    if found.get("object", found.get("Object")) == "batch":
        return True
    return _has_required_fields(found)


def _has_required_fields(keys: Iterable[object]) -> bool:
    return {SPELLINGS.get(key) for key in keys if isinstance(key, str)}.issuperset(REQUIRED_FIELDS)


def canonical_keys(inner: Mapping[Any, Any]) -> dict[str, Any]:
    """Return counts, or an entry of `errors`, with the wire's own names as keys; two values that disagree as a pair."""
    named: dict[str, Any] = {}
    for key, value in inner.items():
        name = SPELLINGS.get(key, key) if isinstance(key, str) else str(key)
        before = named.get(name)
        if before is None:
            named[name] = value
        elif value is not None and (value != before or type(value) is not type(before)):
            named[name] = (before, value)  # Two spellings disagree: the converter refuses a pair.
    return named


def canonical_errors(errors: Any) -> Any:
    """Return the entries of `errors` with the wire's own names as keys; a value without entries unchanged."""
    entries = errors.get("data", errors.get("Data")) if isinstance(errors, Mapping) else errors
    if not isinstance(entries, list | tuple):
        return errors
    return [canonical_keys(each) if isinstance(each, Mapping) else each for each in entries]
