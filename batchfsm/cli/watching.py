"""`batchfsm watch`: batches in a terminal, in a log, or handed over to a command."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from batchfsm.cli.board import GONE, REFUSED, Tally
from batchfsm.cli.screens import Screen, screen_of
from batchfsm.dialects import DIALECTS, find
from batchfsm.errors import BatchfsmError
from batchfsm.explain import clock
from batchfsm.finding import Finding
from batchfsm.monitor import HookError, Monitor
from batchfsm.route import Transition
from batchfsm.watching import Stalled, WatchError, WatchTimeoutError, connect, watch

COMPLETED, OTHERWISE, USAGE, OPEN = 0, 1, 2, 3
"""The exit statuses."""

KEY: Final = "OPENAI_API_KEY"
LIST: Final = "the list of batches"


class UsageError(BatchfsmError):
    """What was typed cannot be done; exit status 2."""


def watch_command(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="The batches to watch.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every open batch, and new ones, until none is open.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")] = False,
    log: Annotated[Path | None, typer.Option(help="Append every snapshot to this file, for `batchfsm audit`.")] = None,
    on: Annotated[list[str] | None, typer.Option(help="Run --exec on entering this status; may be repeated.")] = None,
    command: Annotated[
        str | None, typer.Option("--exec", help="A command; it gets the transition as JSON on its standard input.")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="Another server than OpenAI's.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Give up after so many seconds.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
    dialect: Annotated[str, typer.Option(help=f"Whose lifecycle: {', '.join(DIALECTS)}.")] = "openai",
) -> None:
    """
    Watch batches until all have ended; the key is taken from OPENAI_API_KEY.

    Exit status: 0 all completed, 1 some ended otherwise, were gone or refused, or a command kept failing,
    2 usage, 3 the time was up, or some are still open after --once; 130, 143 stopped by a signal.
    """
    if bool(ids) == every:
        raise UsageError("name the batches to watch, or --all; one of the two")
    if on and command is None:
        raise UsageError("--on says when to run a command: --exec is missing")
    monitor = Monitor(dialect)
    client = connect(api_key=_key(), base_url=base_url)
    tally = Tally(dict.fromkeys(ids or ()))
    screen = screen_of(monitor, tally, find(dialect).lifecycle.terminal, as_json=as_json)
    running = _Running(screen, tally, command)
    if command is not None:
        try:
            monitor.on(*(on or ()), name="--exec")(running.execute)
        except ValueError as error:
            raise UsageError(str(error)) from None
    monitor.on_finding(name="--show")(running.find)
    limit = 0.0 if once else timeout
    with _terminable(), _heard(tally, screen), screen:
        status = running.watch(client, ids or (), monitor=monitor, timeout_s=limit, log=log)
    raise typer.Exit(status)


class _Running:
    """One watch, and what it shows of what happens."""

    def __init__(self, screen: Screen, tally: Tally, command: str | None) -> None:
        self._screen, self._tally = screen, tally
        self._argv = [] if command is None else shlex.split(command)
        if command is not None and not self._argv:
            raise UsageError("--exec is empty")
        self._failing: set[str] = set()
        self._found: set[tuple[str | None, str]] = set()

    def watch(self, client: Any, ids: Any, **options: Any) -> int:
        """Watch to the end; return the exit status."""
        status = COMPLETED
        try:
            for transition in watch(client, *ids, on_stalled=self._stall, on_error=self._fail, **options):
                self._tally.enter(transition.batch_id, transition.target)
                self._screen.show("transition", transition.batch_id, **as_wire(transition))
        except WatchTimeoutError:
            status = OPEN
        except KeyboardInterrupt as stop:
            status = 128 + (signal.SIGTERM if isinstance(stop, _TerminatedError) else signal.SIGINT)
        ends = {*self._tally.statuses.values()}
        if status == COMPLETED and (ends - {"completed"} or self._tally.dropped or self._failing):
            status = OTHERWISE
        self._screen.show("end", None, exit_status=status, statuses=dict(self._tally.statuses))
        return status

    def execute(self, transition: Transition) -> None:
        """Run the command; a status other than 0 leaves it pending, to be run again."""
        self._failing.add(transition.key)
        with self._screen.paused() as stdout:
            ended = subprocess.run(  # noqa: S603  # It is the user's own command, and no shell reads it.
                self._argv, input=json.dumps(as_wire(transition)).encode(), stdout=stdout, check=False
            )
        if ended.returncode:
            raise RuntimeError(f"{self._argv[0]} ended with status {ended.returncode} on {transition.key}")
        self._failing.discard(transition.key)

    def find(self, finding: Finding) -> None:
        """Show a finding, the first time that a batch has it."""
        if (finding.batch_id, finding.rule) not in self._found:
            self._found.add((finding.batch_id, finding.rule))
            self._screen.show(
                "finding", finding.batch_id, rule=finding.rule, name=finding.name, severity=finding.severity
            )

    def _stall(self, stalled: Stalled) -> None:
        why = "open long after its deadline" if stalled.is_overdue else f"no change since {clock(stalled.since)}"
        self._tally.troubles[stalled.batch_id] = f"stalled, {why}"
        self._screen.show("stalled", stalled.batch_id, status=stalled.status, reason=why)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, HookError):
            for each in error.exceptions:
                self._screen.show("error", None, kind="command", reason=str(each))
            return
        batch_id, kind, reason = (getattr(error, name, None) for name in ("batch_id", "kind", "reason"))
        self._tally.dropped.add(batch_id)
        if batch_id is not None and isinstance(error, WatchError):
            self._tally.enter(batch_id, GONE if kind == "gone" else REFUSED)
        self._screen.show("error", batch_id, kind=kind, reason=reason or str(error))


def as_wire(transition: Transition) -> dict[str, object]:
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


class _Troubles(logging.Handler):
    """Hears from the log of watching what goes wrong with each batch, and when it is well again."""

    def __init__(self, tally: Tally, screen: Screen) -> None:
        super().__init__(logging.DEBUG)
        self._tally, self._screen = tally, screen

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        fields, troubles = vars(record), self._tally.troubles
        event, who = fields.get("event"), fields.get("batch_id") or LIST
        if event == "look_failed":
            if troubles.get(who) != fields["reason"]:
                self._screen.show("trouble", fields["batch_id"], reason=fields["reason"])
            troubles.pop(who, None)
            troubles[who] = fields["reason"]
        elif event in ("transition", "unchanged", "dropped"):
            troubles.pop(who, None)
            troubles.pop(LIST, None)


@contextmanager
def _heard(tally: Tally, screen: Screen) -> Iterator[None]:
    """Listen to the log of watching while it lasts; on a terminal it would spoil the view."""
    logger = logging.getLogger("batchfsm.watching")
    handler, level, passes = _Troubles(tally, screen), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = passes
