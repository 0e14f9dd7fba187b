"""Audits in columns, compiled or not."""

import pytest

from batchfsm.auditing import optional, running


def enable_columns(patch, *, bytes_min=0):
    """
    Let audits read logs in columns, whether or not columns are compiled.

    An installation without compiled modules does not use columns, but they run uncompiled where Cython is installed.
    Skips the test if they cannot run.

    Args:
        patch: A `pytest.MonkeyPatch`.
        bytes_min: How large a log must be; bytes.
    """
    pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")
    patch.setattr(optional, "is_compiled", lambda: True)
    patch.setattr(running, "COLUMNS_BYTES_MIN", bytes_min)
