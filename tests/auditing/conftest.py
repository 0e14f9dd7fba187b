"""Small logs read in columns, which are for large ones."""

import pytest

from batchfsm.auditing import running


@pytest.fixture
def always(monkeypatch):
    """Read in columns whatever the size, and count how often that went through."""
    columnar = pytest.importorskip("batchfsm.auditing.columnar", reason="the extra `audit` is not installed")
    monkeypatch.setattr(running, "COLUMNS_BYTES_MIN", 0)
    runs = []
    real = columnar.Columnar.run

    def run(self, sources):
        tally = real(self, sources)
        runs.append(tally)
        return tally

    monkeypatch.setattr(columnar.Columnar, "run", run)
    return runs
