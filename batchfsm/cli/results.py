"""`batchfsm results`: the answers of a batch against its requests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from batchfsm.atomic_file import open_atomic
from batchfsm.auditing import Progress
from batchfsm.cli.formats import STATUS
from batchfsm.cli.options import DialectChoice, dialect_options
from batchfsm.cli.output import refuse_overwriting, write_coloured
from batchfsm.cli.progress import ProgressBar
from batchfsm.escapes import printable
from batchfsm.results import RESULT_RULES, ResultsReport, audit_results

LISTED_MAX: Final = 20
"""How many findings the text lists; JSON lists the first thousand."""

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
@click.argument("input", metavar="INPUT")
@click.option("--output", "outputs", multiple=True, required=True, metavar="OUT...", help="Output files of the batch.")
@click.option("--error", "errors", multiple=True, metavar="ERR...", help="Error files of the batch.")
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
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", help="Form of the report."
)
def command(  # noqa: PLR0917  # click passes options by name.
    input: str,  # noqa: A002  # The name of the argument in the help.
    outputs: tuple[str, ...],
    errors: tuple[str, ...],
    batch: Path | None,
    dialect: DialectChoice,
    remaining: Path | None,
    with_failed: bool,  # noqa: FBT001
    output_format: str,
) -> None:
    """
    Check that each request of a batch was answered exactly once.

    INPUT is the input file of the batch, JSON lines; - for standard input.

    Exit status: 0 consistent, 1 inconsistent, 2 undetermined, or stopped by an error.
    """
    refuse_overwriting((input, *outputs, *errors), {"--remaining": remaining})
    with ProgressBar() as bar:
        report = audit_results(
            input,
            outputs=outputs,
            errors=errors,
            batch=None if batch is None else batch.read_bytes(),
            dialect=dialect.load(),
            count_bytes=_counter(bar, (input, *outputs, *errors)),
        )
    if remaining is not None:
        with open_atomic(remaining) as file:
            file.writelines(report.remaining(failed=with_failed))
    if output_format == "json":
        sys.stdout.write(report.to_json() + "\n")
    else:
        write_coloured(text(report))
    raise click.exceptions.Exit(STATUS[report.verdict])


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


def text(report: ResultsReport) -> str:
    """Return the verdict, the numbers, the counts by rule and the first findings as lines for people."""
    counts = report.counts
    verdict = (
        f"{report.verdict}: {counts.requests:,} requests, {counts.answered:,} answered, {counts.failed:,} failed, "
        f"{counts.unanswered:,} unanswered"
    )
    lines = [verdict, *(printable(reason) for reason in report.incomplete)]
    if report.counts_by_rule:
        lines.append("")
        lines += [f"  {count:>6,}  {code}  {RESULT_RULES[code].name}" for code, count in report.counts_by_rule.items()]
        lines.append("")
        lines += [f"{each.severity} {each.rule} {printable(each.message)}" for each in report.findings[:LISTED_MAX]]
        total = sum(report.counts_by_rule.values())
        if total > LISTED_MAX:
            lines.append(f"(the first {LISTED_MAX} of {total:,} findings; more: --format json)")
        lines += ["", verdict]
    return "\n".join(lines) + "\n"
