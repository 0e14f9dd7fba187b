"""`batchfsm watch`: batches in a terminal, in a log, or handed to a command."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import click

from batchfsm import sources
from batchfsm.cli.exec_hook import KEY, ExecHook, split_command
from batchfsm.cli.failures import StopError
from batchfsm.cli.options import SPAN, DialectChoice, complete_file, complete_status, dialect_options
from batchfsm.cli.output import check_outputs
from batchfsm.cli.watch_output import TextOutput, output_for
from batchfsm.cli.watch_summary import WatchSummary
from batchfsm.cli.watch_view import WatchView
from batchfsm.journal import FailureCounts, Journal, is_server, open_journal
from batchfsm.monitor import Monitor
from batchfsm.spans import parse_span
from batchfsm.watching import RESULTS_WAIT_S, WatchTimeoutError, connect, dialect_of, watch

EXEC = "--exec"
"""The name of the command as a hook, in journals."""

COMPLETED, SOME_FAILED, STILL_OPEN = 0, 1, 3
"""The exit statuses; 2 is wrong use."""


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "watches_all", is_flag=True, help="Watch every open batch, and new ones, until none is open.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, for machines.")
@click.option("--log", type=click.Path(path_type=Path), metavar="F", help="Append every snapshot to a file, for audit.")
@click.option(
    "--on", metavar="STATUS", multiple=True, shell_complete=complete_status,
    help="Run --exec on entering this status; may be repeated.",
)  # fmt: skip
@click.option("--exec", "command_line", metavar="CMD", help="Command that gets each transition as JSON on its stdin.")
@click.option(
    "--exec-env", metavar="NAME", multiple=True, help=f"Let --exec have a variable that it does not get: {KEY}."
)
@click.option(
    "--journal", shell_complete=complete_file, metavar="J",
    help="Lose nothing over restarts: a SQLite file, or postgresql://... Without ids, watch the batches open in it.",
)  # fmt: skip
@click.option(
    "--provider",
    type=click.Choice(list(sources.PROVIDERS)),
    help="Watch batches of another provider, with its SDK and its key; without ids, every open one.",
)
@click.option("--base-url", metavar="U", help="Address of another server than OpenAI's.")
@click.option("--timeout", type=SPAN, metavar="SPAN", help="Give up after this time: 90, 5m, 24h. Bounds --exec, too.")
@click.option("--once", is_flag=True, help="Poll once.")
@click.option(
    "--stalled-after", metavar="[STATUS=]SPAN", multiple=True,
    help="Report a batch without a change for this time, in one status or in any: 6h, cancelling=1h; may be repeated.",
)  # fmt: skip
@click.option(
    "--results-wait", type=SPAN, metavar="SPAN", default=RESULTS_WAIT_S,
    help="Longest wait for the files of a batch that has ended; 2m by default, 0 for none.",
)  # fmt: skip
@click.option("--fail-on-errors", is_flag=True, help="Exit with status 1 if requests of a completed batch failed.")
@dialect_options("by default azure for Azure's addresses, else openai")
def command(
    *,
    ids: tuple[str, ...],
    watches_all: bool,
    as_json: bool,
    log: Path | None,
    on: tuple[str, ...],
    command_line: str | None,
    exec_env: tuple[str, ...],
    journal: str | None,
    provider: str | None,
    base_url: str | None,
    timeout: float | None,
    once: bool,
    stalled_after: tuple[str, ...],
    results_wait: float,
    fail_on_errors: bool,
    dialect: DialectChoice,
) -> None:
    """
    Watch batches until all have ended.

    The key is taken from OPENAI_API_KEY; with --provider, from where its SDK takes it.

    A terminal shows for each batch: requests done of all, failed requests, time since its creation, rate, deadline in
    UTC (! if the batch is too slow for it), and time since the last answer of the server.

    Exit status: 0 all completed; 1 some ended otherwise, were gone or refused, a command failed or is dead, or, with
    --fail-on-errors, requests failed; 2 wrong use; 3 the time limit was reached, or some are still open after --once;
    130, 143 stopped by a signal.
    """
    watches_all = watches_all or (provider is not None and not ids and journal is None)
    _check_usage(ids, watches_all=watches_all, journal=journal, provider=provider, base_url=base_url)
    _check_exec(command_line, on, exec_env)
    bounds = _stall_bounds(stalled_after)
    check_outputs((), {"--journal": None if journal is None or is_server(journal) else Path(journal), "--log": log})
    client = None if provider is not None else connect(api_key=_key(), base_url=base_url)
    source = None if provider is None else sources.connect(provider)
    found = dialect.load(provider or dialect_of(client))
    _check_values(Monitor(found), client, source, ids, on=on, command_line=command_line, bounds=bounds)
    # Without ids the journal names the batches, so one that is missing is a misspelled path.
    with nullcontext() if journal is None else open_journal(journal, create=bool(ids) or watches_all) as opened:
        monitor = Monitor(found, journal=opened)
        watched = ids if ids or watches_all or opened is None else _unfinished(opened)
        summary = WatchSummary({each: monitor[each].status if each in monitor else None for each in watched})
        output = output_for(monitor, summary, time.time, as_json=as_json)
        view = WatchView(monitor, summary, output)
        if command_line is not None:
            monitor.on(*on, name=EXEC)(_exec_hook(command_line, exec_env, timeout, view, output))
        transitions: Iterable[object] = ()
        if watched or watches_all:
            transitions = watch(
                client, *watched, source=source, monitor=monitor, timeout_s=0.0 if once else timeout, log=log,
                stalled_after_s=bounds, results_wait_s=results_wait,
                on_event=view.handle, on_error=view.handle_error, clock=time.time, sleep=time.sleep,
            )  # fmt: skip
        with _terminable(), output.running():
            status, reason = _follow(transitions, once=once)
            if status == COMPLETED and summary.is_well and not summary.statuses:
                reason = _reason_of_none(opened, watches_all=watches_all)
            view.finish()
            if opened is not None and (counts := opened.count_failures([EXEC])) != FailureCounts():
                view.show_undelivered(counts, str(journal))
                status = status or SOME_FAILED
        if status == COMPLETED and not summary.is_well:
            status = SOME_FAILED
        if status == COMPLETED and fail_on_errors and summary.with_failed_requests:
            status, reason = SOME_FAILED, "requests failed"
        output.show("end", None, exit_status=status, statuses=dict(summary.statuses), reason=reason)
    raise click.exceptions.Exit(status)


def _check_usage(
    ids: tuple[str, ...],
    *,
    watches_all: bool,
    journal: str | None,
    provider: str | None,
    base_url: str | None,
) -> None:
    """Raise StopError if options contradict each other."""
    if ids and watches_all:
        raise StopError("name the batches to watch, or --all; not both")
    if not ids and not watches_all and journal is None:
        raise StopError("name the batches to watch, or --all, or --journal J to go on with the batches open in it")
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise StopError("--base-url begins with http:// or https://")
    if provider is not None and base_url is not None:
        raise StopError("--base-url is an address of OpenAI's API: with --provider, set it as the SDK does")


def _check_exec(command_line: str | None, on: tuple[str, ...], exec_env: tuple[str, ...]) -> None:
    """Raise StopError for options of `--exec` without it."""
    if on and command_line is None:
        raise StopError("--on says when to run a command: --exec is missing")
    if exec_env and command_line is None:
        raise StopError("--exec-env passes a variable to a command: --exec is missing")


def _check_values(
    monitor: Monitor,
    client: Any,
    source: Any,
    ids: tuple[str, ...],
    *,
    on: tuple[str, ...],
    command_line: str | None,
    bounds: float | dict[str, float] | None,
) -> None:
    """Raise StopError for a value that the watch would refuse: before a journal is opened, which would stay empty."""
    try:
        if command_line is not None:
            split_command(command_line)
            monitor.on(*on)
        watch(client, *ids, source=source, monitor=monitor, stalled_after_s=bounds)  # It checks, and does not start.
    except ValueError as error:
        raise StopError(str(error).replace("stalled_after_s", "--stalled-after")) from None


def _exec_hook(
    command_line: str, variables: tuple[str, ...], timeout_s: float | None, view: WatchView, output: TextOutput
) -> ExecHook:
    """Return the hook of `--exec`, whose commands end at the time limit of the watch."""
    give_up_at = None if timeout_s is None else time.time() + timeout_s
    return ExecHook(
        command_line,
        time_left=lambda: None if give_up_at is None else give_up_at - time.time(),
        passed_variables=variables,
        before=view.start_command,
        after=view.end_command,
        output=output.command_output,
    )


def _stall_bounds(options: tuple[str, ...]) -> float | dict[str, float] | None:
    """Return the bounds of `--stalled-after`: one for all statuses, or one for each status that is named."""
    bounds: dict[str, float] = {}
    for option in options:
        status, _, span = option.rpartition("=")
        try:
            bounds[status] = parse_span(span)
        except ValueError as error:
            raise StopError(f"--stalled-after takes SPAN or STATUS=SPAN, such as 6h, cancelling=1h: {error}") from None
    if "" not in bounds:
        return bounds or None
    if len(bounds) > 1:
        raise StopError(
            "--stalled-after takes one span for all statuses, or one for each status that is named; not both"
        )
    return bounds[""]


def _unfinished(journal: Journal) -> tuple[str, ...]:
    """Return the batches of a journal that are open, or have hooks that have not returned."""
    pending = (row.transition.batch_id for row in journal.pending())
    return tuple(dict.fromkeys([*journal.batch_ids(only_open=True), *pending]))


def _reason_of_none(journal: Journal | None, *, watches_all: bool) -> str:
    """Return why no batch was watched."""
    if journal is None or watches_all:
        return "the list shows no open batch"
    return "every batch in the journal has ended" if journal.batch_ids() else "the journal holds no batch"


def _follow(transitions: Iterable[object], *, once: bool) -> tuple[int, str]:
    """Watch to the end; return the exit status, and the reason if the watch ended early."""
    try:
        for _ in transitions:
            pass  # The view shows transitions as events: another process may have taken those of a shared journal.
    except WatchTimeoutError:
        return STILL_OPEN, "" if once else "time limit reached"
    except KeyboardInterrupt as stop:
        return 128 + (signal.SIGTERM if isinstance(stop, _TerminatedError) else signal.SIGINT), ""
    return COMPLETED, ""


def _key() -> str:
    """Return the key; no error quotes it."""
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise StopError(f"{KEY} is not set (if your server needs no key, set it to any text)")
    if not (key.isascii() and key.isprintable()):
        raise StopError(f"{KEY} holds a character that no HTTP header can carry")
    return key


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM was received; code that lets an interrupt pass lets this pass."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Handle SIGTERM like an interrupt inside this block."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise _TerminatedError

    before: Any = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
