"""The snapshots of a source with their places, and what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import attrs

from batchfsm.errors import SnapshotError
from batchfsm.finding import LogPosition
from batchfsm.logs.json_reader import RawRecord, UnreadableEntry
from batchfsm.snapshot import UNREADABLE, Snapshot, fast_constructor
from batchfsm.wire import ParsedRow, Reader, decode


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
        """The snapshot, built when somebody asks."""
        return self.parsed.snapshot


_make_row: Final[Callable[[float, LogPosition, ParsedRow], Record]] = fast_constructor(Record)


def parse_records(source: Iterable[RawRecord | UnreadableEntry], reader: Reader) -> Iterator[Record | UnreadableEntry]:
    """Read a source; what cannot be read is named, and never stops it."""
    number = 0
    for sighting in source:
        if isinstance(sighting, UnreadableEntry):
            yield sighting
            continue
        place = sighting.place
        try:
            found = _unpacked(sighting.found)
            batch = reader.only_batch(found)
            if batch is not None:
                several: Iterable[tuple[object, object]] = (batch,)
            elif isinstance(found, Mapping | list | tuple):
                several = reader.unwrap(found)
            else:
                several = ((reader.read_row(found), None),)
        except SnapshotError as error:
            yield UnreadableEntry(place, error.problems[0][1])
            continue
        for each, observed_at in several:
            try:
                parsed = reader.read_bare_row(each, observed_at)
            except SnapshotError as error:
                yield UnreadableEntry(place, error.problems[0][1])
                continue
            # A field that is unread is a bad one, and a row with a bad field has no pattern.
            if parsed.pattern is None and (unread := _unreadable_fields(parsed.snapshot)):
                yield UnreadableEntry(place, f"read but for {', '.join(unread)}, which this text form hides")
            yield _make_row(number, place, parsed)
            number += 1


def _unreadable_fields(snapshot: Snapshot) -> list[str]:
    return [name for name, value in snapshot.bad.items() if value is UNREADABLE]


def _unpacked(found: object) -> object:
    """Return what JSON text holds, and what a page of an SDK does; anything else as it is."""
    if type(found) is dict or type(found) is Snapshot:
        return found
    if isinstance(found, str | bytes | bytearray):
        return decode(found)
    page = getattr(found, "data", None)
    return page if isinstance(page, list) else found
