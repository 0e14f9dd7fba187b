"""The input of an audit that contains tables: a dataframe, or files of several kinds in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.tables.missing_columns import restrict_to_columns
from batchfsm.auditing.tables.tables import Frame, Parquet, TableRows
from batchfsm.dialects import Dialect
from batchfsm.logs import LogSource, RawRecord, UnreadableEntry, is_parquet
from batchfsm.logs import resolve_source as open_source


@attrs.frozen(eq=False)
class MixedInput:
    """Tables and other files."""

    parts: tuple[LogSource | TableRows, ...]
    """In order; each `LogSource` is one file."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files in order; a dataframe has none."""
        return tuple(name for part in self.parts for name in part.names)

    @property
    def size(self) -> int | None:
        """About how many bytes there are to read; None if unknown."""
        sizes = [part.size for part in self.parts]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def is_repeatable(self) -> bool:
        """True if all parts can be read a second time."""
        return all(isinstance(part, TableRows) or part.is_repeatable for part in self.parts)

    def __iter__(self) -> Iterator[RawRecord | UnreadableEntry]:
        """Yield the raw records of all parts in order."""
        for part in self.parts:
            yield from part

    def only(self, names: Iterable[str]) -> MixedInput:
        """Return the parts that are files with some names, and dataframes."""
        wanted = frozenset(names)
        return MixedInput(tuple(part for part in self.parts if wanted.issuperset(part.names)))

    def restrict_to_columns(
        self, dialect: Dialect, template: FindingsAccumulator
    ) -> tuple[Dialect, FindingsAccumulator]:
        """Return the dialect and the accumulator for the columns that all tables have."""
        tables = [part.table for part in self.parts if isinstance(part, TableRows)]
        return restrict_to_columns(dialect, template, frozenset.intersection(*(table.fields.given for table in tables)))


def is_frame(source: object) -> bool:
    """Return whether an object is a dataframe: whether it exports its columns by Arrow's protocol."""
    return any(hasattr(source, name) for name in ("__arrow_c_stream__", "__arrow_c_array__"))


@contextmanager
def open_input(
    source: Any, input_format: str, count_bytes: Callable[[int], object]
) -> Iterator[LogSource | MixedInput]:
    """
    Open the input of an audit; tables are closed when the context ends.

    Args:
        source: As for `logs.opened`, or a dataframe.
        input_format: As for `logs.opened`.
        count_bytes: Called with the number of bytes that were read since the last call; must not raise.

    Raises:
        MissingExtraError: If it is a table, and pyarrow is not installed.
        SourceError: As `logs.opened`; or if a table cannot be read, or holds no batches.
    """
    if is_frame(source):
        yield MixedInput((TableRows(Frame(source), count_bytes),))
        return
    found = attrs.evolve(open_source(source, input_format), count_bytes=count_bytes)
    named = [name for name in found.names if name != "-"]
    tables = {name for name in named if input_format == "parquet" or (input_format == "auto" and is_parquet(name))}
    if not tables:
        yield found
        return
    with ExitStack() as stack:
        parts = [
            TableRows(stack.enter_context(closing(Parquet(name))), count_bytes)
            if name in tables
            else found.only((name,))
            for name in found.names
        ]
        yield MixedInput(tuple(parts))
