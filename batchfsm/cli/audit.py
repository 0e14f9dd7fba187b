"""`batchfsm audit`: the report of a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from batchfsm.auditing import (
    ENGINES,
    FINDINGS_MAX,
    MEMORY,
    SUFFIXES,
    Progress,
    Report,
    StateFile,
    audit,
    parse_size,
    parse_unreadable_max,
)
from batchfsm.auditing import suffix as check_suffix
from batchfsm.cli.failures import StopError
from batchfsm.cli.formats import (
    FORMATS,
    STATUS,
    TERMINAL_FINDINGS_MAX,
    UNREADABLE_MAX,
    text,
    verdict_line,
    write_findings,
)
from batchfsm.cli.options import (
    SPAN,
    DialectChoice,
    complete_file,
    complete_rules,
    dialect_options,
    input_format_option,
)
from batchfsm.cli.output import check_outputs, repeated_input, write, write_coloured
from batchfsm.cli.usage import NumberType
from batchfsm.escapes import printable
from batchfsm.logs import resolve_source
from batchfsm.rules import RULES, SKEW_S, select_rules


def _size(_ctx: click.Context, _param: click.Parameter, size: str) -> str:
    try:
        parse_size(size)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return size


def _unreadable_max(_ctx: click.Context, _param: click.Parameter, limit: str) -> str:
    try:
        parse_unreadable_max(limit)
    except ValueError:
        raise click.BadParameter(f"it is a number of places, or a share such as 1%; not {limit!r}") from None
    return limit


def _findings_file(_ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in SUFFIXES:
        raise click.BadParameter(f"a file of findings ends in {', '.join(SUFFIXES)}; not {path.name!r}")
    return path


@click.command("audit")
@click.argument("path", nargs=-1, required=True, shell_complete=complete_file, metavar="PATH...")
@dialect_options(recognises=True)
@click.option(
    "--select", metavar="RULES", multiple=True, shell_complete=complete_rules,
    help="Rules to report, by code, beginning of code, or name: T,H501; may be repeated.",
)  # fmt: skip
@click.option(
    "--ignore", metavar="RULES", multiple=True, shell_complete=complete_rules,
    help="Rules not to report: P104,stale-read; may be repeated.",
)  # fmt: skip
@click.option(
    "--format",
    "output_format",
    type=click.Choice(list(FORMATS)),
    default="text",
    help="Form of the report; text by default.",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="F", help="Write the report to a file.")
@input_format_option
@click.option(
    "--max-findings", type=NumberType(0), metavar="N",
    help=f"List at most N findings; {FINDINGS_MAX} by default, {TERMINAL_FINDINGS_MAX} on a terminal.",
)  # fmt: skip
@click.option(
    "--allow-unreadable", "unreadable_max", metavar="N|P%", default="0", callback=_unreadable_max,
    help="With how many unreadable places, or which share of all, the log may be consistent; 0 by default.",
)  # fmt: skip
@click.option(
    "--skew", type=SPAN, metavar="SPAN", default=SKEW_S,
    help="How far a timestamp may be after its observation; 60 s by default.",
)  # fmt: skip
@click.option(
    "--memory", metavar="SIZE", default=MEMORY, callback=_size,
    help=f"Memory for the columns of a large log; {MEMORY} by default.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(ENGINES), default="auto",
    help="auto reads large logs in columns, rows never; spark: for a log larger than a machine.",
)  # fmt: skip
@click.option(
    "--findings", type=click.Path(path_type=Path), metavar="F", callback=_findings_file,
    help=f"Write the findings to a file, too: {', '.join(SUFFIXES)}.",
)  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path), metavar="F", help="Write an HTML page with charts, too.")
@click.option(
    "--state", type=click.Path(path_type=Path), metavar="F",
    help="Continue from the batches stored in this file by earlier audits, and store them again.",
)  # fmt: skip
def command(
    *,
    path: tuple[str, ...],
    output_format: str,
    output: Path | None,
    max_findings: int | None,
    findings: Path | None,
    report: Path | None,
    state: Path | None,
    **options: Any,
) -> None:
    """
    Check every snapshot of a log, alone and against earlier ones.

    PATH is a file, a glob, or - for standard input.

    Exit status: 0 consistent, 1 inconsistent, 2 undetermined, or stopped by an error.
    """
    outputs = {"--state": state, "--output": output, "--report": report, "--findings": findings}
    names = _local_files(path)
    check_outputs(names, outputs)
    reporting: Any = (
        None if report is None else import_module("batchfsm.reporting")
    )  # Only a page with charts needs it.
    # A missing package stops the command before the audit, not after it.
    if findings is not None:
        check_suffix(findings)
    if report is not None:
        reporting.ready()
    # The state is stored last: if the findings could not be written, the next audit finds them again.
    with nullcontext() if state is None else StateFile(state) as states:
        audited = _audited(path, max_findings, statistics=report is not None, state=states, **options)
        for remark in (*_remarks_on_repeats(names), *audited.remarks):
            click.echo(f"batchfsm: {printable(remark)}", err=True)
        if findings is not None:
            write_findings(audited, findings)
        if report is not None:
            reporting.write_report(audited, report, title=f"Audit of {', '.join(path)}")
        if output is None and output_format == "text":
            _print_text(audited, max_findings)
        else:
            write(FORMATS[output_format](audited), output)
        if output_format == "jsonl" and audited.verdict == "undetermined":  # JSON lines have no place for the reason.
            click.echo(f"batchfsm: {verdict_line(audited)}", err=True)
    raise click.exceptions.Exit(STATUS[audited.verdict])


def _print_text(report: Report, max_findings: int | None) -> None:
    """Print a report as text; without `--max-findings` the lists are short, those of findings on a terminal only."""
    if max_findings is None:
        listed_max = TERMINAL_FINDINGS_MAX if sys.stdout.isatty() else None
        write_coloured(text(report, listed_max=listed_max, unreadable_max=UNREADABLE_MAX))
    else:
        write_coloured(text(report))


def _audited(
    path: tuple[str, ...],
    max_findings: int | None,
    *,
    dialect: DialectChoice,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    skew: float,
    **options: Any,
) -> Report:
    if not (select_rules(_tokens(select)) if select else RULES.keys()) - select_rules(_tokens(ignore)):
        raise StopError("no rule is left to check: --ignore names every rule, or every one of --select")
    # Arrow's allocator asks for huge pages, which the kernel clears whole: 0.17 of 0.69 s of a million rows.
    os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")
    with _progress_bar() as progress:
        return audit(
            path,
            dialect=dialect.load_or_auto(),
            select=_tokens(select) if select else None,
            ignore=_tokens(ignore),
            max_findings=FINDINGS_MAX if max_findings is None else max_findings,
            skew_s=skew,
            progress=progress,
            **options,
        )


def _tokens(lists: tuple[str, ...]) -> list[str]:
    """Return the rules of an option that may be repeated: each value is a list with commas."""
    return [token.strip() for each in lists for token in each.split(",")]


def _local_files(paths: tuple[str, ...]) -> list[str]:
    """Return the files of a log; an address with a scheme is Spark's to resolve."""
    return [name for path in paths if "://" not in path for name in resolve_source(path).names]


def _remarks_on_repeats(names: list[str]) -> Iterator[str]:
    """Yield a remark on the first file that is read twice, as by two globs that overlap."""
    if (repeated := repeated_input(names)) is not None:
        yield f"{repeated}: its rows are checked twice"


def _progress_bar() -> AbstractContextManager[Callable[[Progress], None] | None]:
    """Return a bar if standard error is a terminal; only then the library that draws it is loaded."""
    if not sys.stderr.isatty():
        return nullcontext()
    bar: AbstractContextManager[Callable[[Progress], None]] = import_module("batchfsm.cli.progress").ProgressBar()
    return bar
