"""The rows of some batches as a worker gets them: brought into the order of the log, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any

import attrs

from batchfsm.auditing import extra
from batchfsm.auditing.spark.dealing import cells_of
from batchfsm.auditing.spark.stretches import File
from batchfsm.auditing.tabular import Frame, Rows, places
from batchfsm.dialects import Dialect
from batchfsm.finding import Place
from batchfsm.logs import Sighting, Unreadable


@contextmanager
def bucket(
    table: Any, sources: Sequence[str], files: Sequence[File], dialect: Dialect
) -> Iterator[tuple[Iterable[Sighting | Unreadable], Any]]:
    """
    Open a bucket for the scalar core and for the kernel.

    Args:
        table: Its rows, in no order: `file_nr`, `line`, and columns, or scanned lines as `dealing` has them.
        sources: What each file is called, by its number.
        files: What lines are read from whose text did not go along.
        dialect: Whose habits of writing are taken for granted.
    """
    import numpy as np  # noqa: PLC0415  # In a worker, which has it.

    keys = [name for name in ("part", "line", "file_nr") if name in table.column_names]  # The last one counts most.
    order = np.lexsort([table[name].to_numpy() for name in keys])
    if (order[1:] < order[:-1]).any():
        table = table.take(places(order))
    stand = _Places(sources, table["file_nr"].to_numpy(), table["line"].to_numpy())
    columnar = extra.columns()
    if "cells" not in table.column_names:
        rows = _Placed(Frame(table.drop_columns(keys)), places=stand)
        yield rows, columnar.Grid(rows, dialect)
        return
    with ExitStack() as stack:
        opened = cache(lambda number: stack.enter_context(files[number].open()))
        lines = columnar.Bucket(
            cells_of(table["cells"]),
            table["seen"].to_numpy(),
            table["plain"].to_numpy(),
            line=partial(_line, table, stand, opened),
            dialect=dialect,
        )
        yield lines, lines


def _line(table: Any, stand: _Places, opened: Any, number: int) -> Sighting:
    """Return a line as it came along, or as it stands in its file."""
    text = table["text"][number].as_py()
    if text is None:
        binary = opened(stand.files[number])
        binary.seek(table["begin"][number].as_py())
        text = binary.read(table["size"][number].as_py())
    return Sighting(stand.of(number), text)


@attrs.frozen(eq=False)
class _Places:
    """Where each row of a bucket stands in the log."""

    sources: Sequence[str]
    files: Any
    lines: Any

    def of(self, number: int) -> Place:
        """Return the place of a row, by its number from 0."""
        return Place(self.sources[self.files[number]], int(self.lines[number]))


@attrs.frozen(eq=False)
class _Placed(Rows):
    """Rows of a table that was dealt out: they stand elsewhere than in it."""

    places: _Places = attrs.field(kw_only=True)

    def __iter__(self) -> Iterator[Sighting | Unreadable]:
        """Yield what stands in each row, in order."""
        for number, found in enumerate(super().__iter__()):
            yield attrs.evolve(found, place=self.places.of(number))

    def at(
        self, numbers: list[int], recent: tuple[int, Any] | None = None
    ) -> Iterator[tuple[int, Sighting | Unreadable]]:
        """Yield some rows, each with its number."""
        for number, found in super().at(numbers, recent):
            yield number, attrs.evolve(found, place=self.places.of(number))
