"""`ProviderReader`: reads batches of all providers, each in the dialect that its mark shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from batchfsm.dialects import DIALECTS
from batchfsm.errors import SnapshotError
from batchfsm.snapshot import Snapshot
from batchfsm.wire.envelope import decode, is_no_batch, unwrap, unwrap_single
from batchfsm.wire.fast_path import ParsedRow
from batchfsm.wire.marks import OPENAI, PROVIDERS, marks_of, translators
from batchfsm.wire.parser import reader, to_mapping

_KNOWN: Final = ", ".join([OPENAI, *(dialect.name for dialect in PROVIDERS)])


@attrs.frozen
class _NamedBatch:
    """A batch in an envelope that names its dialect."""

    found: object
    dialect: str


class ProviderReader:
    """
    Reads the batches of a log whose providers are unknown; not safe to share between threads.

    OpenAI's mark is a `completion_window`, or `object: batch` without that key. Mistral's objects have `object: batch`
    too, so it counts only where no other mark is found; and a snapshot of any provider that was written back has it,
    with a null window. Such a snapshot has no mark; the log of a watch names its dialect in the envelope.
    """

    def __init__(self) -> None:
        self.dialect = OPENAI
        """The dialect of the batch that was read last."""
        self._translators = translators()

    def is_marked(self, found: Mapping[Any, Any]) -> bool:
        """Return whether an object has the mark of some provider."""
        return bool(marks_of(found))

    def listed(self, found: Mapping[Any, Any]) -> list[Any] | tuple[Any, ...] | None:
        """Return the objects of a page of some provider; None if it is no page."""
        pages = (translator.listed(found) for translator in self._translators.values())
        return next((page for page in pages if page is not None), None)

    def unwrap(self, found: object) -> Iterator[tuple[object, object]]:
        """Open a log line, as `Reader.unwrap` does."""
        named = _named_batch(found)
        if named is not None:
            yield named
        else:
            yield from unwrap(found, None, self)

    def is_no_batch(self, found: object) -> bool:
        """Return whether a value certainly cannot be read as a batch."""
        return is_no_batch(found, self)

    def unwrap_single(self, _found: object) -> None:
        """Return None: `unwrap` opens every line."""
        return

    def read_row(self, obj: object, observed_at: object = None) -> ParsedRow:
        """
        Read JSON text, an SDK object or a mapping with one batch.

        Args:
            obj: The object.
            observed_at: The time of observation; it overrides that of an envelope.

        Raises:
            SnapshotError: If there is not exactly one, or its mark is not that of one known provider.
        """
        found = decode(obj) if isinstance(obj, str | bytes | bytearray) else to_mapping(obj)
        several = list(self.unwrap(found))
        if len(several) != 1:
            raise SnapshotError([("$", f"expected one batch, found {len(several)}")])
        batch, seen = several[0]
        return self.read_bare_row(batch, seen if observed_at is None else observed_at)

    def read_bare_row(self, batch: object, observed_at: object = None) -> ParsedRow:
        """Read one batch whose envelope is open; a row that `read_row` returned as it is."""
        if isinstance(batch, _NamedBatch):
            self.dialect = batch.dialect
            return reader(DIALECTS[self.dialect]).read_bare_row(batch.found, observed_at)
        found = to_mapping(batch)
        if isinstance(found, ParsedRow):
            return found
        if isinstance(found, Snapshot):
            raise SnapshotError([("$", "a snapshot has no mark of a provider: name its dialect")])
        if isinstance(found, Mapping):
            self.dialect = self._dialect_of(found)
        return reader(DIALECTS[self.dialect]).read_bare_row(found, observed_at)

    def _dialect_of(self, found: Mapping[Any, Any]) -> str:
        marks = marks_of(found)
        if not marks:
            raise SnapshotError([("$", f"has no mark of a known provider ({_KNOWN})")])
        if len(marks) > 1:
            raise SnapshotError([("$", f"has the marks of {' and '.join(marks)}: name its dialect")])
        return marks[0]


def _named_batch(found: object) -> tuple[_NamedBatch, object] | None:
    """Return the batch of an envelope that names its dialect, and its time of observation; None for anything else."""
    dialect = found.get("dialect") if isinstance(found, Mapping) else None
    if not isinstance(dialect, str) or dialect not in DIALECTS:
        return None
    opened = unwrap_single(found)
    return None if opened is None or opened[0] is found else (_NamedBatch(opened[0], dialect), opened[1])
