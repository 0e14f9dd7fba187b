"""The snapshots of a source with their places, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from batchfsm.errors import SnapshotError
from batchfsm.finding import Place
from batchfsm.logs.stream import Sighting, Unreadable
from batchfsm.snapshot import UNREAD, Snapshot
from batchfsm.wire import Reader, batches, decode


@attrs.frozen
class Row:
    """One snapshot of a log."""

    number: float
    """Its place in the order of the log, from 0; a fraction tells rows of one line apart, where lines are counted."""
    place: Place
    snapshot: Snapshot


def rows(source: Iterable[Sighting | Unreadable], reader: Reader) -> Iterator[Row | Unreadable]:
    """Read a source; what cannot be read is named, and never stops it."""
    number = 0
    for sighting in source:
        if isinstance(sighting, Unreadable):
            yield sighting
            continue
        for row in _opened(sighting, reader):
            if isinstance(row, Snapshot):
                if unread := [name for name, value in row.bad.items() if value is UNREAD]:
                    yield Unreadable(sighting.place, f"read but for {', '.join(unread)}, which this text form hides")
                yield Row(number, sighting.place, row)
                number += 1
            else:
                yield row


def _opened(sighting: Sighting, reader: Reader) -> Iterator[Snapshot | Unreadable]:
    try:
        found = _unpacked(sighting.found)
        if not isinstance(found, Mapping | list | tuple):
            yield reader.read(found)
            return
        for batch, observed_at in batches(found):
            try:
                yield reader.read_bare(batch, observed_at)
            except SnapshotError as error:
                yield Unreadable(sighting.place, error.problems[0][1])
    except SnapshotError as error:
        yield Unreadable(sighting.place, error.problems[0][1])


def _unpacked(found: object) -> object:
    """Return what JSON text holds, and what a page of an SDK does; anything else as it is."""
    if isinstance(found, str | bytes | bytearray):
        return decode(found)
    page = getattr(found, "data", None)
    return page if isinstance(page, list) else found
