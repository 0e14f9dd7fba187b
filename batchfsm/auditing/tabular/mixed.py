"""What an audit was given, if a table is part of it: files of several kinds in order, or a dataframe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import attrs

from batchfsm.auditing.tabular.blind import narrowed
from batchfsm.auditing.tabular.table import Frame, Parquet, Rows
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect
from batchfsm.logs import Sighting, Source, Unreadable, is_parquet
from batchfsm.logs import opened as logs_opened


@attrs.frozen(eq=False)
class Mixed:
    """Tables and other files."""

    parts: tuple[Source | Rows, ...]
    """In order; a source is one file."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files in order; none for a frame."""
        return tuple(name for part in self.parts for name in part.names)

    @property
    def size(self) -> int | None:
        """About how many bytes there are to read; None if nobody knows."""
        sizes = [part.size for part in self.parts]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def is_repeatable(self) -> bool:
        """Tell whether all of it can be read a second time."""
        return all(isinstance(part, Rows) or part.is_repeatable for part in self.parts)

    def __iter__(self) -> Iterator[Sighting | Unreadable]:
        """Yield what stands in all of it."""
        for part in self.parts:
            yield from part

    def only(self, names: Iterable[str]) -> Mixed:
        """Return those parts that are files of some names, and frames."""
        wanted = frozenset(names)
        return Mixed(tuple(part for part in self.parts if wanted.issuperset(part.names)))

    def narrowed(self, dialect: Dialect, blank: Tally) -> tuple[Dialect, Tally]:
        """Return the dialect and the tally of a run over columns of which some may be missing."""
        given = frozenset.intersection(*(part.table.layout.given for part in self.parts if isinstance(part, Rows)))
        return narrowed(dialect, blank, given)


def is_frame(source: object) -> bool:
    """Tell whether something is a dataframe: whether it hands its columns over as Arrow has them."""
    return any(hasattr(source, name) for name in ("__arrow_c_stream__", "__arrow_c_array__"))


@contextmanager
def opened(source: Any, input_format: str, passed: Callable[[int], object]) -> Iterator[Source | Mixed]:
    """
    Find out what is meant, as `logs.opened` does; a frame or a Parquet file is open until this is left.

    Args:
        source: As for `logs.opened`, or a frame.
        input_format: As for `logs.opened`.
        passed: What takes how many more bytes were read row by row; it must not raise.

    Raises:
        MissingExtraError: If it is a table, and pyarrow is not installed.
        SourceError: As `logs.opened`; or if a table cannot be read, or holds no batches.
    """
    if is_frame(source):
        yield Mixed((Rows(Frame(source), passed),))
        return
    found = attrs.evolve(logs_opened(source, input_format), passed=passed)
    named = [name for name in found.names if name != "-"]
    tables = {name for name in named if input_format == "parquet" or (input_format == "auto" and is_parquet(name))}
    if not tables:
        yield found
        return
    with ExitStack() as stack:
        parts = [
            Rows(stack.enter_context(closing(Parquet(name))), passed) if name in tables else found.only((name,))
            for name in found.names
        ]
        yield Mixed(tuple(parts))
