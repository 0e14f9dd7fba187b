"""Parsed records of a source, with their positions, and entries for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.errors import SnapshotError
from batchfsm.finding import LogPosition
from batchfsm.logs.json_reader import RawRecord, UnreadableEntry
from batchfsm.snapshot import Snapshot, Unreadable, fast_constructor
from batchfsm.wire import ParsedRow, ProviderReader, Reader, decode, short_repr

_MARKED_MAX: Final = 20
"""Of how many objects of a log the marks are looked up."""


def _parsed(found: ParsedRow | Snapshot) -> ParsedRow:
    return ParsedRow.of(found) if isinstance(found, Snapshot) else found


@attrs.frozen
class Record:
    """One snapshot of a log."""

    number: float
    """Its place in the order of the log, from 0; a fraction tells rows of one line apart, where lines are counted."""
    place: LogPosition
    parsed: ParsedRow = attrs.field(converter=_parsed)
    """Its plain values; a snapshot is taken too."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot, built on first access."""
        return self.parsed.snapshot


@attrs.frozen
class ProviderRecord(Record):
    """One snapshot of a log whose dialects were recognised."""

    dialect: str
    """The dialect of the snapshot."""


_make_row: Final[Callable[[float, LogPosition, ParsedRow], Record]] = fast_constructor(Record)


def parse_records(
    source: Iterable[RawRecord | UnreadableEntry], reader: Reader | ProviderReader
) -> Iterator[Record | UnreadableEntry]:
    """
    Yield a record for each snapshot of a source, and an entry for each place that cannot be read.

    A line is one place: if several values on a line are certainly no batches, only the first has an entry.
    """
    number, unreadable = 0, LogPosition("", 0)
    for raw in source:
        if isinstance(raw, UnreadableEntry):
            unreadable = raw.place
            yield raw
            continue
        place = raw.place
        try:
            several = _unwrapped(raw.found, reader)
        except SnapshotError as error:
            unreadable = place
            yield UnreadableEntry(place, error.problems[0][1])
            continue
        for each, observed_at in several:
            if place.line == unreadable.line and place == unreadable and reader.is_no_batch(each):
                continue
            if isinstance(each, Unreadable):
                yield UnreadableEntry(place, "an item of the list, which this text form hides")
                continue
            try:
                parsed = reader.read_bare_row(each, observed_at)
            except SnapshotError as error:
                unreadable = place
                yield UnreadableEntry(place, error.problems[0][1])
                continue
            # A field that is unread is a bad one, and a row with a bad field has no pattern.
            if parsed.pattern is None and (problem := _unread_problem(parsed.snapshot)):
                yield UnreadableEntry(place, problem, is_partial=True)
            yield _make_row(number, place, parsed)
            number += 1


def recognise_records(source: Iterable[RawRecord | UnreadableEntry]) -> Iterator[ProviderRecord | UnreadableEntry]:
    """Yield the records of `parse_records`, each with the dialect that the mark of its object shows."""
    reader = ProviderReader()
    for row in parse_records(source, reader):
        yield row if isinstance(row, UnreadableEntry) else _with_dialect(row, reader.dialect)


def dialect_hint(source: Iterable[RawRecord | UnreadableEntry], dialect: Dialect) -> str | None:
    """
    Return a sentence on the first objects of a source, if they have the marks of other dialects; None if not.

    Args:
        source: The source; its first records are read.
        dialect: The dialect that was named for it. All dialects without a map share OpenAI's mark.
    """
    rows = islice(recognise_records(source), _MARKED_MAX)
    marked = dict.fromkeys(row.dialect for row in rows if isinstance(row, ProviderRecord))
    named = dialect.name if dialect.wire is not None else "openai"
    others = " and ".join(name for name in marked if name != named)
    if not others:
        return None
    if named in marked:
        return f"some of its objects have the mark of {others}, not of {named}: auto reads all"
    return f"its objects have the mark of {others}, not of {named}: name that dialect, or auto"


def request_lines_hint(source: Iterable[RawRecord | UnreadableEntry]) -> str | None:
    """Return a sentence on a source whose first object is a line of a batch's input, output or error file, or None."""
    first = next((raw.found for raw in source if isinstance(raw, RawRecord)), None)
    if not isinstance(first, Mapping) or "custom_id" not in first or "status" in first:
        return None
    return "its lines are requests or results of a batch, not batch objects: batchfsm results checks such files"


def _with_dialect(row: Record, dialect: str) -> ProviderRecord:
    return ProviderRecord(row.number, row.place, row.parsed, dialect)


_PRIVATE: Final = ("metadata", "errors", "usage")  # Values written by users, or long: messages do not repeat them.


def _unread_problem(snapshot: Snapshot) -> str | None:
    """Return which fields a text form hides, and which have no text that can be read; None if there are none."""
    unread = {name: value.text for name, value in snapshot.bad.items() if isinstance(value, Unreadable)}
    hidden = [name for name, text in unread.items() if text is None]
    problems = [f"read but for {', '.join(hidden)}, which this text form hides"] if hidden else []
    illegible = [
        f"{name} ({short_repr(text)})" if text and name not in _PRIVATE else name
        for name, text in unread.items()
        if text is not None
    ]
    if illegible:
        problems.append(f"cannot be sure of {', '.join(illegible)}")
    return "; ".join(problems) or None


def _unwrapped(raw: object, reader: Reader | ProviderReader) -> Iterable[tuple[object, object]]:
    """Return the batches of a raw record, each with its time of observation; SnapshotError if it is no JSON."""
    found = _unpacked(raw)
    batch = reader.unwrap_single(found)
    if batch is not None:
        return (batch,)
    return reader.unwrap(found) if isinstance(found, Mapping | list | tuple) else ((reader.read_row(found), None),)


def _unpacked(found: object) -> object:
    """Return JSON text decoded, an SDK's page as its list of batches, and anything else unchanged."""
    if type(found) is dict or type(found) is Snapshot:
        return found
    if isinstance(found, str | bytes | bytearray):
        return decode(found)
    page = getattr(found, "data", None)
    return page if isinstance(page, list) else found
