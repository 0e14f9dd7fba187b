"""The columnar reading, where what it needs is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from batchfsm.errors import MissingExtraError


def columns() -> Any:
    """Return the columnar reading; MissingExtraError if what it needs is not installed."""
    try:
        return import_module("batchfsm.auditing.columnar")
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in {"numpy", "numba", "llvmlite"}:
            raise
        raise MissingExtraError("a fast audit of a large log", "audit") from None
