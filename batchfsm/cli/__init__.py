"""The command line: what the library does, for shells and CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version as metadata_version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal

import typer

from batchfsm.auditing import FINDINGS_MAX, MEMORY, StateFile, audit, parse_size, suffix
from batchfsm.cli.conform import conform_command
from batchfsm.cli.demo import play
from batchfsm.cli.diagrams import TIMELINES, StopError, write
from batchfsm.cli.findings import ending, write_findings
from batchfsm.cli.formats import FORMATS, STATUS, paint
from batchfsm.cli.journal import add_journal
from batchfsm.cli.progress import ProgressBar
from batchfsm.cli.serve import serve_command
from batchfsm.cli.sql import add_sql
from batchfsm.cli.watch import watch_command
from batchfsm.diagram import FORMATS as DIAGRAMS
from batchfsm.dialects import DIALECTS, find
from batchfsm.errors import BatchfsmError
from batchfsm.explain import printable, rule_list, rule_page, timelines_by_batch
from batchfsm.logs import INPUT_FORMATS, parse_records, resolve_source
from batchfsm.reporting import ready, write_report
from batchfsm.rules import RULES, SKEW_S, chosen
from batchfsm.wire import reader

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The formal state machine behind the OpenAI Batch API.",
)

_DIALECTS = ", ".join(DIALECTS)

DialectName = Annotated[str, typer.Option("--dialect", help=f"Whose lifecycle: {_DIALECTS}.")]
Output = Annotated[Path | None, typer.Option("--output", help="Write to a file instead of the terminal.")]


def _say_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it.
    if wanted:
        typer.echo(f"batchfsm {metadata_version('batchfsm')}")
        raise typer.Exit


def _size(size: str) -> str:
    try:
        parse_size(size)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return size


@app.callback()
def main(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """The formal state machine behind the OpenAI Batch API."""


@app.command("audit")
def audit_command(
    path: Annotated[list[str], typer.Argument(help="Logs: files, globs, or - for standard input.")],
    *,
    dialect: DialectName = "openai",
    select: Annotated[str | None, typer.Option(help="Rules to report: T,H501")] = None,
    ignore: Annotated[str | None, typer.Option(help="Rules not to report: P104")] = None,
    output_format: Annotated[
        Literal["text", "json", "jsonl", "github"], typer.Option("--format", help="How to write the report.")
    ] = "text",
    output: Output = None,
    input_format: Annotated[str, typer.Option(help=f"How the logs are written: {', '.join(INPUT_FORMATS)}.")] = "auto",
    max_findings: Annotated[
        int, typer.Option(min=0, help="How many findings to list; counts stay exact.")
    ] = FINDINGS_MAX,
    skew: Annotated[float, typer.Option(min=0, help="Seconds a stamp may lie after its observation.")] = SKEW_S,
    memory: Annotated[str, typer.Option(callback=_size, help="How much a large log may take in memory.")] = MEMORY,
    engine: Annotated[
        Literal["auto", "rows", "spark"], typer.Option(help="What judges: spark for a log larger than a machine.")
    ] = "auto",
    findings: Annotated[
        Path | None, typer.Option(callback=ending, help="Write the findings, too: .parquet, .csv or .jsonl.")
    ] = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write a page with pictures, too: HTML.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Go on from what is known of each batch in this file, and keep it there.")
    ] = None,
) -> None:
    """
    Judge every snapshot of a log, alone and against those before it.

    Exit status: 0 consistent, 1 inconsistent, 2 undetermined, or stopped by an error.
    """
    # The state is written last: findings that reached nobody would never come again.
    with _told(), nullcontext() if state is None else StateFile(state) as kept:
        if findings is not None:
            suffix(findings)  # What it lacks is better said before the audit than after it.
        if report_file is not None:
            ready()  # The same.
        with ProgressBar() as bar:
            report = audit(
                path, dialect=dialect, select=select, ignore=ignore, max_findings=max_findings, skew_s=skew,
                input_format=input_format, memory=memory, engine=engine, flow=report_file is not None, state=kept,
                progress=bar,
            )  # fmt: skip
        for remark in report.remarks:
            typer.echo(f"batchfsm: {printable(remark)}", err=True)
        if findings is not None:
            write_findings(report, findings)
        if report_file is not None:
            write_report(report, report_file, title=f"Audit of {', '.join(path)}")
        text = FORMATS[output_format](report)
        if output is None and output_format == "text":
            paint(text)
        else:
            write(text, output)
    raise typer.Exit(STATUS[report.verdict])


@app.command()
def rules(
    code: Annotated[str | None, typer.Argument(help="A rule, or how its code begins: T, H501.")] = None,
) -> None:
    """Say what each rule means, its evidence, an example and what to do about it."""
    with _told():
        if code is None:
            write(rule_list(), None)
            return
        wanted = chosen([code])
        write("\n".join(rule_page(rule) for rule in RULES.values() if rule.code in wanted), None)


@app.command("timeline")
def timeline_command(
    path: Annotated[list[str], typer.Argument(help="Logs: files, globs, or - for standard input.")],
    *,
    batch: Annotated[str | None, typer.Option(help="The one batch to draw, by id.")] = None,
    dialect: DialectName = "openai",
    input_format: Annotated[str, typer.Option(help="How the logs are written.")] = "auto",
    output_format: Annotated[
        Literal["text", "mermaid", "dot", "svg", "png"], typer.Option("--format", help="As what to draw.")
    ] = "text",
    output: Output = None,
) -> None:
    """Draw a bar for each status of each batch, with its duration; * where only a stamp proves it."""
    with _told():
        named = find(dialect)
        found = list(timelines_by_batch(parse_records(resolve_source(path, input_format), reader(named)), named, batch))
        if not found:
            whose = "no batch" if batch is None else f"no snapshot of {printable(batch)}"
            raise StopError(f"{whose} in {printable(', '.join(path))}")
        write(TIMELINES[output_format](found, named.lifecycle), output)


@app.command("diagram")
def diagram_command(
    *,
    dialect: DialectName = "openai",
    output_format: Annotated[
        Literal["mermaid", "text", "table", "dot", "svg", "png"], typer.Option("--format", help="As what to draw.")
    ] = "mermaid",
    output: Output = None,
) -> None:
    """Draw the lifecycle of a dialect; tolerated steps are dashed."""
    with _told():
        write(DIAGRAMS[output_format](find(dialect).lifecycle), output)


@app.command()
def demo() -> None:
    """Observe a shipped log with hooks, then audit it."""
    with _told():
        play(lambda piece: paint(f"{piece}\n"))


@contextmanager
def _told() -> Iterator[None]:
    """Turn what stops a command into one clear line, and exit status 2."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # An id may hold what a terminal cannot show.
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read along has seen enough; Python would complain again at its own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(2) from None
    except (BatchfsmError, OSError) as error:
        # An operating system's own error begins with its number, which helps nobody.
        said = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            said = f"{error.filename}: {error.strerror}"
        typer.echo(f"batchfsm: {printable(said)}", err=True)
        raise typer.Exit(2) from None


add_journal(app, _told, write)
add_sql(app, _told, write)
app.command("watch")(_told()(watch_command))
app.command("conform")(_told()(conform_command))
app.command("serve")(_told()(serve_command))
