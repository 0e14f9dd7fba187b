"""Fixtures that read small logs in columns, which are for large ones."""

import pytest

from support.columns import enable_columns


@pytest.fixture
def column_runs(monkeypatch):
    """Read logs of any size in columns; return a list of the accumulators of runs completed in columns."""
    enable_columns(monkeypatch)
    from batchfsm.auditing import columns  # noqa: PLC0415  # It cannot be imported everywhere.

    runs = []
    real = columns.ColumnEngine.run

    def run(self, sources):
        tally = real(self, sources)
        runs.append(tally)
        return tally

    monkeypatch.setattr(columns.ColumnEngine, "run", run)
    return runs
