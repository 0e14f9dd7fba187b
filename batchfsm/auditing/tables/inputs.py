"""The input of an audit that contains tables, and the effect of columns that a table lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.tables.tables import Frame, Parquet, TableRows
from batchfsm.dialects import Dialect
from batchfsm.logs import LogSource, RawRecord, UnreadableEntry, is_parquet
from batchfsm.logs import resolve_source as open_source
from batchfsm.rules import RULES, severity_in


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


def restrict_to_columns(
    dialect: Dialect, template: FindingsAccumulator, given: frozenset[str]
) -> tuple[Dialect, FindingsAccumulator]:
    """
    Return the dialect and the accumulator for a table with columns for the fields `given`.

    In the dialect, a timestamp without column may be null in every status.
    """
    missing = tuple(code for code in unavailable_rules(given) if severity_in(dialect, RULES[code]) != "off")
    template = attrs.evolve(template, disabled_for_columns=missing)
    states = dialect.lifecycle.states
    absent = {state.name for state in states if state.stamp is not None} - {
        state.name for state in states if state.stamp in given
    }
    return attrs.evolve(dialect, optional_stamps=dialect.optional_stamps | absent) if absent else dialect, template


def unavailable_rules(given: frozenset[str]) -> tuple[str, ...]:
    """
    Return the codes of the rules that cannot check a table with columns for the fields `given`.

    A rule about several fields checks those that have a column. A rule that rejects nulls cannot check a field
    without column, because the server may have sent a value.
    """
    # The time of observation may be absent in any log.
    return tuple(code for code, rule in RULES.items() if not rule.kind.can_check(given | {"observed_at"}))


def is_frame(source: object) -> bool:
    """Return whether an object is a dataframe: whether it exports its columns by Arrow's protocol."""
    return any(hasattr(source, name) for name in ("__arrow_c_stream__", "__arrow_c_array__"))


@contextmanager
def open_input(
    source: Any, input_format: str, count_bytes: Callable[[int], object]
) -> Iterator[LogSource | MixedInput]:
    """
    Open the input of an audit; tables are closed when the context ends.

    Arguments and errors are those of `logs.resolve_source`, but `source` may be a dataframe; `count_bytes` is called
    with the number of bytes read since the last call and must not raise.

    Raises:
        MissingExtraError: If it is a table, and pyarrow is not installed.
        SourceError: If a table cannot be read, or holds no batches.
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
