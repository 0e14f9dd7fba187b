"""An immutable sequence to which a copy appends in constant time: for the steps of batches that never settle."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T", bound=Hashable)


class _Buffer(Generic[T]):
    """The items of a sequence and of those that extend it, with the first position of each."""

    __slots__ = ("items", "positions", "positions_count")

    def __init__(self, items: Iterable[T]) -> None:
        self.items = list(items)
        self.positions: dict[object, int] = {}
        self.positions_count = 0

    def position(self, item: object) -> int | None:
        """Return the first position of an item; None if it is not there."""
        for position in range(self.positions_count, len(self.items)):
            self.positions.setdefault(self.items[position], position)
        self.positions_count = len(self.items)
        return self.positions.get(item)


def append(items: Sequence[T], more: Iterable[T]) -> AppendOnlySequence[T]:
    """Return a sequence with more items at its end."""
    sequence = items if isinstance(items, AppendOnlySequence) else AppendOnlySequence(items)
    return sequence.extended(more)


class AppendOnlySequence(Sequence[T]):
    """
    An immutable sequence whose extended copy shares its items; the original shows the first of them.

    Only a second copy of one original has to copy the items. `in` takes constant time.
    """

    __slots__ = ("_buffer", "_size")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._buffer = _Buffer(items)
        self._size = len(self._buffer.items)

    def extended(self, items: Iterable[T]) -> AppendOnlySequence[T]:
        """Return a copy with more items at its end."""
        longer = AppendOnlySequence[T](()) if self._is_last else AppendOnlySequence(self)
        if self._is_last:
            longer._buffer = self._buffer  # noqa: SLF001  # Its own kind.
        longer._buffer.items.extend(items)  # noqa: SLF001
        longer._size = len(longer._buffer.items)  # noqa: SLF001
        return longer

    @property
    def _is_last(self) -> bool:
        return len(self._buffer.items) == self._size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        return islice(self._buffer.items, self._size)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple([self._buffer.items[place] for place in range(self._size)[index]])
        return self._buffer.items[range(self._size)[index]]

    def __contains__(self, item: object) -> bool:
        position = self._buffer.position(item)
        return position is not None and position < self._size
