"""`batchfsm watch`: batches in a terminal, in a log, or handed over to a command."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from batchfsm.cli.options import SPAN, DialectChoice, dialect_options
from batchfsm.cli.watch_output import TextOutput, screen_of
from batchfsm.cli.watch_summary import GONE, LIST, REFUSED, WatchSummary
from batchfsm.errors import BatchfsmError
from batchfsm.explain import clock
from batchfsm.journal import open_journal
from batchfsm.monitor import HookError, Monitor
from batchfsm.route import Transition
from batchfsm.watching import (
    BatchDropped,
    Event,
    PollFailed,
    PollSucceeded,
    Stalled,
    WatchTimeoutError,
    connect,
    dialect_of,
    watch,
)

COMPLETED, OTHERWISE, OPEN = 0, 1, 3
"""The exit statuses; 2 is wrong use."""

KEY: Final = "OPENAI_API_KEY"


class UsageError(BatchfsmError):
    """What was typed cannot be done; exit status 2."""


@click.command("watch")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="Every open batch, and new ones, until none is open.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for machines.")
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="F", help="Append every snapshot to a file, for batchfsm audit."
)
@click.option("--on", metavar="STATUS", multiple=True, help="Run --exec on entering this status; may be repeated.")
@click.option(
    "--exec", "command", metavar="CMD", help="Command to run; it gets the transition as JSON on its standard input."
)
@click.option("--journal", metavar="J", help="Lose nothing over restarts: path of a SQLite file, or postgresql://...")
@click.option("--base-url", metavar="U", help="Another server than OpenAI's.")
@click.option("--timeout", type=SPAN, metavar="SPAN", help="Give up after this time.")
@click.option("--once", is_flag=True, help="Poll once.")
@dialect_options("azure for Azure's addresses, else openai")
def command(
    *,
    ids: tuple[str, ...],
    every: bool,
    as_json: bool,
    log: Path | None,
    on: tuple[str, ...],
    command: str | None,
    journal: str | None,
    base_url: str | None,
    timeout: float | None,
    once: bool,
    dialect: DialectChoice,
) -> None:
    """
    Watch batches until all have ended.

    The key is taken from OPENAI_API_KEY.

    Exit status: 0 all completed, 1 some ended otherwise, were gone or refused, or a command kept failing,
    2 wrong use, 3 the time was up, or some are still open after --once; 130, 143 stopped by a signal.
    """
    if bool(ids) == every:
        raise UsageError("name the batches to watch, or --all; one of the two")
    if on and command is None:
        raise UsageError("--on says when to run a command: --exec is missing")
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise UsageError("--base-url begins with http:// or https://")
    client = connect(api_key=_key(), base_url=base_url)
    tally = WatchSummary(dict.fromkeys(ids or ()))
    with nullcontext() if journal is None else open_journal(journal) as kept:
        monitor = Monitor(dialect.load(dialect_of(client)), journal=kept)
        for each in (each for each in ids or () if each in monitor):
            tally.statuses[each] = monitor[each].status  # What had ended before is not looked at again.
        screen = screen_of(monitor, tally, time.time, as_json=as_json)
        watched = _WatchView(screen, tally)
        try:
            monitor.on(name="--show")(watched.enter)  # Before a command has its say.
            if command is not None:
                monitor.on(*(on or ()), name="--exec")(_Runner(command, screen, tally))
            transitions = watch(
                client, *(ids or ()), monitor=monitor, timeout_s=0.0 if once else timeout, log=log,
                on_event=watched.take, on_error=watched.fail, clock=time.time, sleep=time.sleep,
            )  # fmt: skip
        except ValueError as error:
            raise UsageError(str(error)) from None
        with _terminable(), screen.shown():
            status = watched.follow(transitions)
    raise click.exceptions.Exit(status)


class _WatchView:
    """One watch, and what it shows of what happens."""

    def __init__(self, screen: TextOutput, tally: WatchSummary) -> None:
        self._screen, self._tally = screen, tally

    def follow(self, transitions: Any) -> int:
        """Watch to the end; return the exit status."""
        status = COMPLETED
        try:
            for _ in transitions:
                pass  # All that is to be done was done when it was told of.
        except WatchTimeoutError:
            status = OPEN
        except KeyboardInterrupt as stop:
            status = 128 + (signal.SIGTERM if isinstance(stop, _TerminatedError) else signal.SIGINT)
        if status == COMPLETED and not self._tally.is_well:
            status = OTHERWISE
        self._screen.show("end", None, exit_status=int(status), statuses=dict(self._tally.statuses))
        return status

    def enter(self, transition: Transition) -> None:
        """Show a transition."""
        self._tally.enter(transition.batch_id, transition.target)
        self._screen.show("transition", transition.batch_id, **as_wire(transition))

    def take(self, event: Event) -> None:
        """Show what else has happened."""
        if isinstance(event, PollSucceeded):
            self._tally.troubles.pop(event.batch_id, None)
            self._tally.troubles.pop(LIST, None)
            for each in event.findings:
                self._tally.findings[each.rule, each.name] += 1
                self._screen.show("finding", event.batch_id, rule=each.rule, name=each.name, severity=each.severity)
        elif isinstance(event, PollFailed):
            if self._tally.fret(event.batch_id or LIST, event.reason):
                self._screen.show("trouble", event.batch_id, kind=event.kind, reason=event.reason)
        elif isinstance(event, Stalled):
            why = "open long after its deadline" if event.is_overdue else f"no change since {clock(int(event.since))}"
            self._screen.show("stalled", event.batch_id, status=event.status, reason=why)
        elif isinstance(event, BatchDropped):
            kind, reason = getattr(event.error, "kind", "illegal"), getattr(event.error, "reason", str(event.error))
            self._tally.fret(event.batch_id or LIST, reason)
            self._tally.dropped.add(event.batch_id or LIST)
            if event.batch_id is not None:
                self._tally.enter(event.batch_id, GONE if kind == "gone" else REFUSED)
            self._screen.show("dropped", event.batch_id, kind=kind, reason=reason)

    def fail(self, error: Exception) -> None:
        """Show what a command has come to; batches that were dropped are shown already."""
        if isinstance(error, HookError):
            for each in error.exceptions:
                self._screen.show("failed", None, kind="command", reason=str(each))


class _Runner:
    """Runs a command on each transition, the transition on its standard input; no shell reads it."""

    def __init__(self, command: str, screen: TextOutput, tally: WatchSummary) -> None:
        self._argv, self._screen, self._tally = shlex.split(command), screen, tally
        if not self._argv or shutil.which(self._argv[0]) is None:
            raise ValueError(f"--exec names no command that can be run: {command!r}")

    def __call__(self, transition: Transition) -> None:
        """Run the command; a status other than 0 leaves the transition pending, to be tried again."""
        self._tally.failing.add(transition.key)
        with self._screen.paused() as stdout:
            ended = subprocess.run(  # noqa: S603  # It is the user's own command.
                self._argv, input=json.dumps(as_wire(transition)), text=True, stdout=stdout, check=False
            )
        if ended.returncode:
            raise RuntimeError(f"{self._argv[0]} ended with status {ended.returncode} on {transition.key}")
        self._tally.failing.discard(transition.key)


def as_wire(transition: Transition) -> dict[str, Any]:
    """Return a transition as plain JSON values, its snapshot included."""
    names = ("key", "batch_id", "source", "target", "event", "at", "evidence", "terminal", "observed_at")
    snapshot = transition.snapshot
    return {name: getattr(transition, name) for name in names} | {
        "snapshot": None if snapshot is None else snapshot.to_dict()
    }


# ---------------------------------------------------------------- the world around


def _key() -> str:
    """Return the key; it is never quoted."""
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise UsageError(f"{KEY} is not set; a server without keys takes any text")
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{KEY} holds a character that no header can carry")
    return key


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM; what lets an interrupt pass lets this pass."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Stop at SIGTERM as at an interrupt."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
