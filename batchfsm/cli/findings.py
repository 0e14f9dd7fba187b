"""Beside the report: findings in a file, for a notebook or a spreadsheet."""

from __future__ import annotations

from pathlib import Path

import typer

from batchfsm.auditing import SUFFIXES, Report, save
from batchfsm.explain import printable


def ending(path: Path | None) -> Path | None:
    """Refuse a name that does not say how findings are to be written."""
    if path is not None and path.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"a file of findings ends in {', '.join(SUFFIXES)}; not {path.name!r}")
    return path


def write_findings(report: Report, path: Path) -> None:
    """Write the listed findings, and say how many of all they are."""
    save(report, path)
    all_of_them = sum(report.counts.values())
    said = f"{len(report.findings):,} of {all_of_them:,} findings in {printable(str(path))}"
    typer.echo(f"batchfsm: {said}", err=True)
