"""The rows of some batches as a worker gets them: brought into the order of the log, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from batchfsm.auditing import extra
from batchfsm.auditing.tabular import Frame, Rows, places
from batchfsm.dialects import Dialect
from batchfsm.finding import Place
from batchfsm.logs import Sighting, Unreadable

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def bucket(table: Any, sources: Sequence[str], dialect: Dialect) -> tuple[Iterable[Sighting | Unreadable], Any]:
    """
    Return a bucket for the scalar core and for the kernel.

    Args:
        table: Its rows, in no order: `file_nr`, `line`, and columns, or `text` of JSON and which `part` of its
            line it is.
        sources: What each file is called, by its number.
        dialect: Whose habits of writing are taken for granted.
    """
    import numpy as np  # noqa: PLC0415  # In a worker, which has it.

    keys = [name for name in ("part", "line", "file_nr") if name in table.column_names]  # The last one counts most.
    order = np.lexsort([table[name].to_numpy() for name in keys])
    if (order[1:] < order[:-1]).any():
        table = table.take(places(order))
    stand = _Places(sources, table["file_nr"].to_numpy(), table["line"].to_numpy())
    columnar = extra.columns()
    if "text" in table.column_names:
        texts: list[bytes] = table["text"].to_pylist()
        lines = columnar.Bucket(map(_unmarked, texts, stand.lines.tolist()), stand.of, dialect)
        return lines, lines
    rows = _Placed(Frame(table.drop_columns(keys)), places=stand)
    return rows, columnar.Grid(rows, dialect)


def _unmarked(text: bytes, line: int) -> bytes:
    return text.removeprefix(_BYTE_ORDER_MARK) if line == 1 else text


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
