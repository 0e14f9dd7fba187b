"""The hook of `--exec`: runs a command on each transition."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from batchfsm.errors import BatchfsmError
from batchfsm.route import Transition

KEY: Final = "OPENAI_API_KEY"
"""The environment variable with the key; commands do not get it unless they are meant to."""

GRACE_S: Final = 2.0
"""How long a command may take to end after SIGTERM, before SIGKILL; seconds."""

_READ_S: Final = 1.0
"""How long output is still read after a command has ended; a process that it left behind may hold the pipe open."""


class ExecError(BatchfsmError):
    """A command failed on a transition; the transition stays pending."""


def split_command(command: str) -> list[str]:
    """
    Split a command line into words.

    Raises:
        ValueError: If it cannot be split, or its first word is no command.
    """
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"--exec cannot be split into words: {error}: {command!r}") from None
    if not argv or shutil.which(argv[0]) is None:
        reason = ", a file that may not be executed (chmod +x)" if argv and Path(argv[0]).is_file() else ""
        raise ValueError(f"--exec names no command that can be run: {command!r}{reason}")
    return argv


class ExecHook:
    """Runs a command with a transition as JSON on its standard input; no shell reads the command."""

    def __init__(
        self,
        command: str,
        *,
        time_left: Callable[[], float | None] = lambda: None,
        passed_variables: tuple[str, ...] = (),
        before: Callable[[Transition], None] = lambda _: None,
        after: Callable[[Transition, bool], None] = lambda *_: None,
        output: IO[str] | Callable[[str], None] | None = None,
    ) -> None:
        """
        Check the command.

        Args:
            command: The command line.
            time_left: Returns the seconds that a command may take; None: no limit.
            passed_variables: Variables that the command gets though they are withheld by default: the API key.
            before: Called with the transition before the command runs.
            after: Called with the transition and whether the command succeeded.
            output: Receives the command's output: a file, or a function that is called with each line; None: the
                command writes to our own standard output and error.

        Raises:
            ValueError: If the command cannot be run.
        """
        self._argv = split_command(command)
        self._time_left, self._before, self._after, self._output = time_left, before, after, output
        withheld = {KEY} - {*passed_variables}
        self._environment = {name: value for name, value in os.environ.items() if name not in withheld}

    def __call__(self, transition: Transition) -> None:
        """
        Run the command.

        Raises:
            ExecError: If it ends with another status than 0, or not within the time that is left.
        """
        self._before(transition)
        problem = self._run(json.dumps(to_wire(transition)))
        self._after(transition, problem is None)
        if problem is not None:
            raise ExecError(f"{self._argv[0]} {problem} on {transition.key}")

    def _run(self, text: str) -> str | None:
        """Run the command to its end; return the problem, if there is one."""
        left_s = self._time_left()
        if left_s is not None and left_s <= 0:
            return "was not run: the time limit was reached"
        with self._destination() as file:
            # In a session of its own: a signal reaches the command and all processes that it started, and not us.
            process = subprocess.Popen(  # noqa: S603  # The user's own command.
                self._argv, stdin=subprocess.PIPE, stdout=file, stderr=file if callable(self._output) else None,
                text=True, env=self._environment, start_new_session=True,
            )  # fmt: skip
            try:
                process.communicate(text, timeout=left_s)
            except subprocess.TimeoutExpired:
                _end_group(process)
                return "was stopped at the time limit"
            except BaseException:
                _end_group(process)
                raise
        return f"ended with status {process.returncode}" if process.returncode else None

    @contextmanager
    def _destination(self) -> Iterator[IO[str] | int | None]:
        """Open the file that a command writes to; its lines are passed on while it runs."""
        if not callable(self._output):
            yield self._output
            return
        reading, writing = os.pipe()
        reader = threading.Thread(target=_pass_lines, args=(reading, self._output), daemon=True)
        reader.start()
        try:
            yield writing
        finally:
            os.close(writing)
            reader.join(_READ_S)


def to_wire(transition: Transition) -> dict[str, Any]:
    """Return a transition as plain JSON values, its snapshot included."""
    names = ("key", "batch_id", "source", "target", "event", "at", "evidence", "terminal", "observed_at")
    return {name: getattr(transition, name) for name in names} | {"snapshot": transition.snapshot.to_dict()}


def _pass_lines(reading: int, show: Callable[[str], None]) -> None:
    with os.fdopen(reading, errors="backslashreplace") as lines:
        for line in lines:
            show(line.removesuffix("\n"))


def _end_group(process: subprocess.Popen[str]) -> None:
    """End a command and all processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    with suppress(BrokenPipeError):
        cast("IO[str]", process.stdin).close()  # Popen opened a pipe for it.
