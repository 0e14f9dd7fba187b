"""Findings as a table of eleven columns: its rows, and the Arrow table of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Final

from batchfsm.errors import needs_extra
from batchfsm.finding import Finding, to_json_value

_TYPES: Final = {
    "rule": "string",
    "name": "string",
    "severity": "string",
    "batch_id": "string",
    "source": "string",
    "line": "int64",
    "known_source": "string",
    "known_line": "int64",
    "observed_at": "float64",
    "fields": "string",
    "message": "string",
}

COLUMNS: Final = tuple(_TYPES)
"""The names of the columns, in order."""

Cell = str | int | float | None
"""A value of a column; None for null."""


def cells(findings: Iterable[Finding]) -> Iterator[tuple[Cell, ...]]:
    """
    Yield the row of each finding, in the order of `COLUMNS`.

    `source` and `line` are the place of the guilty snapshot, `known_source` and `known_line` that of the earlier one
    that it contradicts. `fields` is JSON text. Half of a surrogate pair, which no table can hold, is written as an
    escape.
    """
    for finding in findings:
        here = finding.where[-1] if finding.where else None
        known = finding.where[0] if len(finding.where) > 1 else None
        yield (
            finding.rule,
            finding.name,
            finding.severity,
            None if finding.batch_id is None else _text(finding.batch_id),
            None if here is None else _text(here.source),
            None if here is None else here.line,
            None if known is None else _text(known.source),
            None if known is None else known.line,
            None if finding.observed_at is None else float(finding.observed_at),
            json.dumps(to_json_value(finding.fields)),
            _text(finding.message),
        )


def to_table(findings: Iterable[Finding]) -> Any:
    """Return findings as a `pyarrow.Table`, with the same types if it is empty; MissingExtraError without pyarrow."""
    arrow = pyarrow("pyarrow")
    schema = arrow.schema([(name, getattr(arrow, kind)()) for name, kind in _TYPES.items()])
    rows = list(cells(findings))
    columns = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
    return arrow.table(
        [arrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def pyarrow(module: str) -> Any:
    """Return a module of pyarrow; MissingExtraError if it is not installed."""
    with needs_extra("a frame of findings", "audit"):
        return import_module(module)


def _text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
