"""
The columnar run: the kernel judges millions of rows, and the scalar core what columns cannot tell.

A row that is not plain makes its whole batch the scalar core's. So each batch is judged by one of the
two from beginning to end, and they need not know each other. The scalar core also tells in full the
findings that are asked for, and must come to the same ones: that is checked in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final

import attrs
import numpy as np

from batchfsm.auditing.columnar.chunk import Columns, named
from batchfsm.auditing.columnar.columns import LENIENT, STATUS
from batchfsm.auditing.columnar.deal import Deal
from batchfsm.auditing.columnar.digest import key_of
from batchfsm.auditing.columnar.part import NONE, OutOfOrderError, Part, given
from batchfsm.auditing.columnar.tables import BIT, tables
from batchfsm.auditing.columnar.telling import Telling
from batchfsm.auditing.columnar.ways import Ways, Weight
from batchfsm.auditing.flow import Gathering
from batchfsm.auditing.progress import Meter
from batchfsm.auditing.scalar import Judging, Told, sort, stream
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect
from batchfsm.errors import BatchfsmError
from batchfsm.finding import Finding
from batchfsm.history import Fold, Track
from batchfsm.logs import Row, Unreadable
from batchfsm.rules import HISTORY, RULES

_PATIENCE_ROWS: Final = 50_000
_ODD_SHARE_MAX: Final = 0.2
_BATCH_BYTES: Final = 400
"""What a batch takes in memory, in the table and beside it."""
_ROW_BYTES: Final = 8
"""What is remembered of a row: its batch, and where it stands."""


class _TooManyError(Exception):
    """There are more batches than fit into memory together."""


class NotColumnarError(Exception):
    """Too few rows are plain: the scalar core alone is as fast."""


class DisagreementError(BatchfsmError):
    """The two readings of the rules came to different findings: a flaw of this library."""


class Columnar:
    """One run over sources of columns."""

    def __init__(
        self,
        dialect: Dialect,
        blank: Tally,
        skew_s: float,
        memory: int,
        *,
        flow: bool = False,
        meter: Meter | None = None,
    ) -> None:
        """
        Prepare both readings.

        Args:
            dialect: Whose rules they are.
            blank: What the run's tally begins as.
            skew_s: How far a stamp may lie after its observation; seconds.
            memory: How much may be taken for batches and rows; bytes.
            flow: Gather what a report draws.
            meter: Who counts what is done; None if nobody waits.
        """
        self._dialect, self._gathers = dialect, flow
        self._blank, self._memory, self._meter = blank, memory, meter or Meter(None)
        self._fold = Fold(dialect, skew_s=skew_s)
        self._arrays = tables(dialect, skew_s)
        self._weights: dict[str, Weight] = {
            code: dialect.severities.get(code, rule.severity) for code, rule in RULES.items()
        }
        self._begin()

    def _begin(self) -> None:
        self._is_dealt = False  # Then batches need not be in order of observation.
        self._tally = attrs.evolve(self._blank)
        self.gathering = (
            Gathering(self._dialect, self._tally.wanted, lambda batch_id: key_of(batch_id)[0])
            if self._gathers
            else None
        )
        self._ways = None if self.gathering is None else Ways(self.gathering, self._weights)
        self._alone = Judging(self._fold, self._tally, self._counted)
        self._others: list[Any] = []  # The numbers of rows that are not plain and have an id.
        self._odd_keys: dict[str, tuple[int, int]] = {}  # The scalar core's batches, by id.
        self._telling = Telling(self._tally.listed_max)

    def run(self, sources: Sequence[Columns]) -> Tally:
        """
        Judge all rows of some sources.

        Raises:
            NotColumnarError: If the scalar core has to do it alone.
        """
        with ThreadPoolExecutor(1) as aside:
            try:
                part = Part()
                for cells, seen, numbers in self._plain(sources, part):
                    part.judge(cells, seen, numbers, self._arrays, aside)
                    self._spare(part.batches.count, self._tally.snapshots)
                mine = self._close(part)
            except (OutOfOrderError, _TooManyError):
                self._begin()
                self._is_dealt = True
                mine = self._dealt(sources, aside)
        self._tell(sources, mine)
        return self._tally

    def _spare(self, batches: int, rows: int) -> None:
        if batches * _BATCH_BYTES + rows * _ROW_BYTES > self._memory:
            raise _TooManyError

    def _dealt(self, sources: Sequence[Columns], aside: Executor) -> Any:
        """Judge bucket by bucket, each batch in order; return the numbers of the scalar core's rows."""
        mine = [NONE]
        with Deal(sum(source.size for source in sources), self._memory) as deal:
            for cells, seen, numbers in self._plain(sources, None):
                deal.add(cells, seen, numbers)
            self._meter.begin("judging", deal.count)
            for keys, (cells, seen, numbers) in deal.buckets([*self._odd_keys.values()]):
                part = Part()
                part.leave(keys)
                part.judge(cells, seen, numbers, self._arrays, aside)
                mine.append(self._close(part))
                self._meter.read(1)
                self._meter.tick(len(numbers))
        return np.sort(np.concatenate(mine))

    def _plain(self, sources: Sequence[Columns], part: Part | None) -> Iterator[tuple[Any, Any, Any]]:
        """Yield cells, times and numbers of the plain rows; take down the others as they come."""
        base, odd = 0, 0
        self._meter.begin("reading", sum(source.size for source in sources))
        for source in sources:
            rows, passed = 0, 0
            for chunk in source.chunks():
                rows += len(chunk.plain)
                self._meter.read(source.passed - passed)
                self._meter.tick(len(chunk.plain))
                passed = source.passed
                others = np.flatnonzero(~chunk.plain)
                odd += len(others)
                if odd > max(_PATIENCE_ROWS, _ODD_SHARE_MAX * (base + rows)):
                    raise NotColumnarError
                keys = self._take(source, base, chunk.first + others)
                if part is not None and len(keys):
                    part.leave(keys)
                if len(others):
                    at = np.flatnonzero(chunk.plain)
                    cells, seen, numbers = chunk.cells[at], chunk.seen[at], base + chunk.first + at
                else:
                    cells, seen = chunk.cells, chunk.seen
                    numbers = np.arange(base + chunk.first, base + chunk.first + len(cells))
                self._tally.snapshots += len(cells)
                self._note(cells, seen)
                yield cells, seen, numbers
            base += rows

    def _take(self, source: Columns, base: int, numbers: Any) -> list[tuple[int, int]]:
        """Read rows that are not plain; return the keys of the batches that are the scalar core's from now on."""
        keys = {}
        for row in source.rows(numbers, base):
            if isinstance(row, Unreadable):
                self._tally.miss(row)
            elif not row.snapshot.is_named:
                self._alone.alone(row)
            else:
                self._tally.snapshots += 1
                key = self._odd_keys[row.snapshot.id] = key_of(row.snapshot.id)
                keys[key] = True
                if not self._others or self._others[-1] != int(row.number):
                    self._others.append(int(row.number))
        return [*keys]

    def _note(self, cells: Any, seen: Any) -> None:
        """Note what the log has, if rules were selected that need it."""
        self._tally.judged = self._tally.judged or bool((cells[:, STATUS] >= 0).any())
        if self._tally.select is not None and len(cells):
            self._tally.given |= given(cells, seen)

    def _close(self, part: Part) -> Any:
        """Count what was found in a part, choose what is to be told, and return the numbers of the rows left over."""
        tally = self._tally
        tally.batches += part.batches.count
        odd = part.odd[: part.batches.count]
        odd = np.append(odd, np.zeros(part.batches.count - len(odd), np.bool_))
        hits = part.all_hits(~odd)
        if self._ways is not None:
            self._ways.close(part, odd, hits)
        wanted = 0
        for code, bit in BIT.items():
            weight = self._weights[code]
            if weight != "off" and code in tally.wanted:
                wanted |= bit
                found = hits.masks & bit != 0
                mild = found & (hits.masks & LENIENT.get(code, 0) != 0)
                times = int(np.count_nonzero(found))
                is_error = weight == "error" and times > int(np.count_nonzero(mild))
                tally.count(code, times, is_error=is_error)
        if tally.select is not None and bool((np.bincount(np.concatenate([NONE, *part.slots])) > 1).any()):
            tally.given.add(HISTORY)
        self._telling.ask(part, hits, wanted)
        return part.rows_of(odd)

    def _tell(self, sources: Sequence[Columns], mine: Any) -> None:
        """Let the scalar core judge its batches, and tell of the rows that are asked for."""
        # Where rows are out of order, those that do not say when they were seen go by their neighbours.
        asked = self._telling.close(is_whole=self._is_dealt)
        odd_rows = frozenset([*mine.tolist(), *self._others])
        numbers = np.unique(np.array([*odd_rows, *asked.numbers], np.int64))
        if self._ways is not None:
            self._follow(sources, odd_rows)

        def told(row: Row, findings: list[Finding]) -> None:
            if int(row.number) in odd_rows:
                self._tally.take(row.number, findings)
            elif (mask := asked.masks.get(row.number)) is not None:
                self._check(row, findings, mask)
                for finding in findings:
                    self._tally.show(row.number, finding)

        def judge(by: Callable[[Iterator[Row], Judging], object]) -> object:
            self._tally = before.fork()
            rows = self._rest(named(sources, numbers), asked.alone, told)
            return by(rows, Judging(self._fold, self._tally, told))

        before = self._tally
        if self._is_dealt or not judge(stream):
            judge(sort)

    def _rest(self, rows: Iterator[Row], alone: frozenset[float], told: Told) -> Iterator[Row]:
        """Judge the rows that tell by themselves what they breach; yield the others."""
        for row in rows:
            if row.number in alone:
                told(row, self._fold.judge(row.snapshot, row.place))
            else:
                yield row

    def _follow(self, sources: Sequence[Columns], odd_rows: frozenset[int]) -> None:
        """Let the scalar core follow the batches whose ways columns do not tell, and those that are shown."""
        gathering, ways = self.gathering, self._ways
        assert gathering is not None  # noqa: S101  # Ways are gathered.
        assert ways is not None  # noqa: S101
        retold = frozenset(number for numbers in ways.retold for number in numbers.tolist())
        shown = frozenset(number for numbers in ways.shown for number in numbers.tolist())
        wholly: set[str] = set()

        def told(row: Row, findings: list[Finding]) -> None:
            number = int(row.number)
            if number in odd_rows:
                gathering.told(row, findings)
            else:
                gathering.mark(row, findings)
            if number in odd_rows or number in retold:
                wholly.add(row.snapshot.id)

        def ended(batch_id: str, track: Track) -> None:
            (gathering.ended if batch_id in wholly else gathering.keep)(batch_id, track)

        numbers = np.array(sorted({*odd_rows, *retold, *shown}), np.int64)
        sort(named(sources, numbers), Judging(self._fold, attrs.evolve(self._blank), told, ended))

    def _check(self, row: Row, findings: list[Finding], mask: int) -> None:
        found = sum(BIT[finding.rule] for finding in findings if finding.rule in self._tally.wanted)
        if found != mask:
            codes = [code for code, bit in BIT.items() if bit & (found ^ mask)]
            raise DisagreementError(f"the two readings of {', '.join(codes)} disagree at {row.place}: please report it")

    def _counted(self, row: Row, findings: list[Finding]) -> None:
        self._tally.snapshots += 1
        self._tally.take(row.number, findings)
        if self.gathering is not None:
            self.gathering.told(row, findings)
