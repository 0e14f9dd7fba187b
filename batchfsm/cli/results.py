"""`batchfsm results`: the answers of a batch against its requests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from batchfsm.atomic_file import open_atomic
from batchfsm.auditing import Progress
from batchfsm.cli.failures import StopError
from batchfsm.cli.formats import STATUS, TERMINAL_FINDINGS_MAX, counts_table, findings_list, plural
from batchfsm.cli.options import DialectChoice, complete_file, dialect_options
from batchfsm.cli.output import check_outputs, repeated_input, write_coloured
from batchfsm.cli.progress import ProgressBar
from batchfsm.errors import SnapshotError
from batchfsm.escapes import printable
from batchfsm.results import FINDINGS_MAX, RESULT_RULES, ResultsReport, audit_results

_LISTS: Final = ("--output", "--error")


class _ListOptions(click.Command):
    """A command whose `--output` and `--error` take all values up to the next option, as a glob gives them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each further value of it."""
        return super().parse_args(ctx, list(_repeated(args)))


def _repeated(args: list[str]) -> Iterator[str]:
    option, is_taken = None, False
    for arg in args:
        if arg.startswith("-") and arg != "-":
            option, is_taken = (arg if arg in _LISTS else None), False
        elif option is not None and is_taken:
            yield option
        else:
            is_taken = option is not None
        yield arg


@click.command("results", cls=_ListOptions)
@click.argument("input", shell_complete=complete_file, metavar="INPUT")
@click.option(
    "--output", "outputs", multiple=True, shell_complete=complete_file, metavar="OUT...",
    help="Output files of the batch.",
)  # fmt: skip
@click.option(
    "--error", "errors", multiple=True, shell_complete=complete_file, metavar="ERR...", help="Error files of the batch."
)
@click.option(
    "--batch", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="The batch object as JSON: its counts are compared, and its status tells whether answers may be missing.",
)  # fmt: skip
@dialect_options()
@click.option(
    "--remaining", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the requests without an answer to a file, to send them again.",
)  # fmt: skip
@click.option("--with-failed", is_flag=True, help="Write failed requests to --remaining, too.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Form of the report; text by default.",
)
@click.option(
    "--max-findings", type=click.IntRange(min=0), metavar="N",
    help=f"List at most N findings; {FINDINGS_MAX} by default, {TERMINAL_FINDINGS_MAX} on a terminal.",
)  # fmt: skip
def command(  # noqa: PLR0917  # click passes options by name.
    input: str,  # noqa: A002  # The name of the argument in the help.
    outputs: tuple[str, ...],
    errors: tuple[str, ...],
    batch: Path | None,
    dialect: DialectChoice,
    remaining: Path | None,
    with_failed: bool,  # noqa: FBT001
    output_format: str,
    max_findings: int | None,
) -> None:
    """
    Check that each request of a batch was answered exactly once.

    INPUT is the input file of the batch, JSON lines; - for standard input. Give its output files, its error files, or
    both: a batch without a good answer has no output file.

    Exit status: 0 consistent, 1 inconsistent, 2 undetermined, or stopped by an error.
    """
    if not outputs and not errors:
        raise click.UsageError("name the output files with --output, the error files with --error, or both")
    if with_failed and remaining is None:
        raise click.UsageError("--with-failed adds to a file of requests: --remaining is missing")
    names = (input, *outputs, *errors)
    if (repeated := repeated_input(names)) is not None:
        raise StopError(repeated)
    check_outputs(names, {"--remaining": remaining})
    try:
        with ProgressBar() as bar:
            report = audit_results(
                input,
                outputs=outputs,
                errors=errors,
                batch=None if batch is None else batch.read_bytes(),
                dialect=dialect.load(),
                max_findings=FINDINGS_MAX if max_findings is None else max_findings,
                count_bytes=_counter(bar, names),
            )
    except SnapshotError as error:  # Only the batch object is parsed as a snapshot.
        raise StopError(f"{batch}: expected one batch object: {error}") from None
    if remaining is not None:
        _write_remaining(report, remaining, with_failed=with_failed)
    if output_format == "json":
        sys.stdout.write(report.to_json() + "\n")
    else:
        is_short = max_findings is None and sys.stdout.isatty()
        write_coloured(text(report, listed_max=TERMINAL_FINDINGS_MAX if is_short else None))
    raise click.exceptions.Exit(STATUS[report.verdict])


def _write_remaining(report: ResultsReport, path: Path, *, with_failed: bool) -> None:
    """Write the requests to send again to a file, and print how many they are."""
    number = 0
    with open_atomic(path) as file:
        for number, line in enumerate(report.remaining(failed=with_failed), 1):  # noqa: B007  # Counted.
            file.write(line)
    click.echo(f"batchfsm: {plural(number, 'request')} in {printable(str(path))}", err=True)


def _counter(bar: Any, names: tuple[str, ...]) -> Any:
    """Return a function that shows on the bar how many bytes of the files have been read."""
    paths = [Path(name) for name in names]
    size = None if "-" in names else sum(path.stat().st_size for path in paths if path.is_file())
    passed = 0

    def count(size_of_read: int) -> None:
        nonlocal passed
        passed += size_of_read
        if bar is not None:
            bar(Progress(stage="reading", passed=passed, size=size, rows=0))

    return count


def text(report: ResultsReport, *, listed_max: int | None = None) -> str:
    """
    Return the verdict, the numbers, the counts by rule and the findings as lines for people.

    Args:
        report: The report.
        listed_max: How many findings the text lists at most; None: all of the report.
    """
    counts = report.counts
    verdict = (
        f"{report.verdict}: {plural(counts.requests, 'request')}, {counts.answered:,} answered, "
        f"{counts.failed:,} failed, {counts.unanswered:,} unanswered"
    )
    lines = [verdict, *(printable(reason) for reason in report.incomplete)]
    if report.counts_by_rule:
        total = sum(report.counts_by_rule.values())
        table = counts_table(report.counts_by_rule, {code: rule.name for code, rule in RESULT_RULES.items()})
        for part in filter(None, (table, findings_list(report.findings, total, listed_max), [verdict])):
            lines += ["", *part]
    return "\n".join(lines) + "\n"
