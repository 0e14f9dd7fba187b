"""The compiled columns, if this installation has them."""

from __future__ import annotations

from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

_COMPILED: Final = "history_rules"
"""One of the modules that are compiled when the package is built: all of them are, or none."""

NOT_COMPILED: Final = (
    "rows are checked one by one: this installation has no compiled code; "
    "to have it, install a C compiler and then batchfsm again"
)
"""The remark in the report of a large log if there are no compiled columns."""


def load_columns() -> ModuleType | None:
    """Return `batchfsm.auditing.columns`; None if it is not compiled."""
    return import_module("batchfsm.auditing.columns") if is_compiled() else None


def is_compiled() -> bool:
    """Return whether the compiled modules are there, without importing one: uncompiled, they need Cython."""
    spec = PathFinder.find_spec(_COMPILED, [str(Path(__file__).with_name("columns"))])
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")
