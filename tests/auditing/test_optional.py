"""Audits of an installation without compiled columns."""

import json
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from batchfsm import audit
from batchfsm.auditing import api, optional
from support.both_readings import written
from support.notation import snap

FILES = {f"history_rules{EXTENSION_SUFFIXES[0]}": True, "history_rules.py": False, "engine.py": False}


@pytest.mark.parametrize("name, is_compiled", FILES.items())
def test_columns_are_compiled_if_their_module_is_no_python(name, is_compiled, tmp_path, monkeypatch):
    """The suffix of the module's file decides; the module, an empty file here, is not imported."""
    (tmp_path / "columns").mkdir()
    (tmp_path / "columns" / name).touch()
    monkeypatch.setattr(optional, "__file__", str(tmp_path / "optional.py"))

    assert is_compiled == optional.is_compiled()


def test_an_audit_without_compiled_columns(tmp_path, monkeypatch):
    """The row engine reads a large log, with a remark on what to install; a small log has none."""
    monkeypatch.setattr(optional, "is_compiled", lambda: False)
    path = written(tmp_path, json.dumps(snap("vpzc")))
    small = audit(path)
    monkeypatch.setattr(api, "COLUMNS_BYTES_MIN", 0)
    large = audit(path)

    assert ("consistent", ()) == (small.verdict, small.remarks)
    assert ("consistent", (optional.NOT_COMPILED,)) == (large.verdict, large.remarks)
    assert "install a C compiler" in optional.NOT_COMPILED


def test_a_failed_import_of_compiled_columns_is_raised(tmp_path, monkeypatch):
    """If compiled columns cannot be imported, the row engine does not replace them."""
    monkeypatch.setattr(api, "COLUMNS_BYTES_MIN", 0)
    monkeypatch.setattr(optional, "is_compiled", lambda: True)
    monkeypatch.setitem(sys.modules, "batchfsm.auditing.columns", None)

    with pytest.raises(ImportError, match=r"batchfsm\.auditing\.columns"):
        audit(written(tmp_path, json.dumps(snap("vpzc"))))
