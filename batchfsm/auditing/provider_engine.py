"""The row engine of logs whose dialects are recognised: each batch is checked in the dialect that its mark shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.incremental import IncrementalState
from batchfsm.auditing.progress import ProgressMeter
from batchfsm.auditing.report import DialectSummary, Report
from batchfsm.auditing.row_engine import RowEngine, new_engine, run
from batchfsm.dialects import DIALECTS
from batchfsm.finding import Finding
from batchfsm.history import Fold
from batchfsm.logs import ProviderRecord, RawRecord, Record, UnreadableEntry, recognise_records

ONE_DIALECT: Final = "no charts: they are drawn for one dialect, and the log has several; name one with its logs"
"""The remark on statistics of a log with several dialects."""


def audit_providers(
    log: Iterable[RawRecord | UnreadableEntry],
    template: FindingsAccumulator,
    skew_s: float,
    *,
    is_repeatable: bool,
    meter: ProgressMeter,
) -> Report:
    """
    Check a log row by row, and recognise the dialect of each object.

    Args:
        log: As for `audit_rows`.
        template: As for `audit_rows`.
        skew_s: As for `audit_rows`.
        is_repeatable: As for `audit_rows`.
        meter: Reports the progress.
    """

    def read() -> Iterator[Record | UnreadableEntry]:
        meter.begin("reading", meter.size)
        return meter.count_rows(recognise_records(log))

    def start() -> ProviderEngine:
        return ProviderEngine(attrs.evolve(template), skew_s)

    engine = run(read, start, is_repeatable=is_repeatable, meter=meter)
    shares = [engine.shares[name] for name in DIALECTS if name in engine.shares]
    collector = shares[0].engine.collector if len(shares) == 1 else None
    return attrs.evolve(
        engine.accumulator.report(),
        statistics=None if collector is None else collector.result(),
        dialects=tuple(share.summary() for share in shares),
    )


@attrs.define(eq=False)
class DialectShare:
    """The rows of one dialect."""

    dialect: str
    engine: RowEngine
    snapshots: int = 0
    findings: int = 0

    def summary(self) -> DialectSummary:
        """Return the share for the report."""
        return DialectSummary(
            dialect=self.dialect, snapshots=self.snapshots, batches=self.engine.batches, findings=self.findings
        )


class ProviderEngine:
    """Passes each row to the row engine of its dialect; all of them add to one accumulator."""

    def __init__(self, accumulator: FindingsAccumulator, skew_s: float) -> None:
        self.accumulator = accumulator
        self.state: IncrementalState | None = None
        self.shares: dict[str, DialectShare] = {}
        """The rows of each dialect."""
        self._skew_s = skew_s

    @property
    def batches(self) -> int:
        """How many batches came, by dialect and id."""
        return sum(share.engine.batches for share in self.shares.values())

    def check_snapshot(self, row: ProviderRecord) -> None:
        """Check a row without a readable id."""
        self._share_of(row).engine.check_snapshot(row)

    def check_next(self, row: ProviderRecord) -> None:
        """Check the next row of its batch."""
        self._share_of(row).engine.check_next(row)

    def finish(self) -> None:
        """Drop the batches: none of their rows is left."""
        for share in self.shares.values():
            share.engine.finish()

    def _share_of(self, row: ProviderRecord) -> DialectShare:
        share = self.shares.get(row.dialect)
        if share is None:
            share = self.shares[row.dialect] = self._new_share(row.dialect)
        share.snapshots += 1
        return share

    def _new_share(self, dialect: str) -> DialectShare:
        named = DIALECTS[dialect]
        engine = new_engine(Fold(named, skew_s=self._skew_s), self.accumulator, named)
        share, add_findings = DialectShare(dialect, engine), engine.add_findings

        def count_findings(row: Record, findings: list[Finding]) -> None:
            share.findings += sum(finding.rule in self.accumulator.enabled_rules for finding in findings)
            add_findings(row, findings)

        engine.add_findings = count_findings
        return share
