"""
What can go wrong, as a tree.

```
BatchfsmError
├── DefinitionError (ValueError)      a lifecycle or dialect that cannot be
├── UnknownNameError (ValueError)     a dialect, rule or status nobody knows
├── SnapshotError (ValueError)        an object that is no batch, or a damaged one
├── SourceError (OSError)             a log that cannot be opened or spooled
├── JournalError                      a journal that cannot be opened, read or written
├── StateError                        the state of an audit that cannot be opened, read or written
├── MissingExtraError (ImportError)   an optional package is not installed
├── IllegalTransitionError            `Monitor(on_illegal="raise")`; lives in `monitor`
├── HookError (ExceptionGroup)        hooks raised; lives in `monitor`
├── WatchError                        a batch that cannot be watched; lives in `watching`
├── WatchTimeoutError (TimeoutError)  time is up, and some are still open; lives in `watching`
└── WebhookError (ValueError)         a webhook that is not to be trusted; lives in `webhook`
```

A misbehaving server is no error: it is a `Finding`, and is returned.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class BatchfsmError(Exception):
    """The base of every error this library raises by itself."""


class DefinitionError(BatchfsmError, ValueError):
    """A lifecycle or dialect contradicts itself."""

    name: str
    """What was being defined."""

    problems: tuple[str, ...]
    """Every problem found, one sentence each."""

    def __init__(self, name: str, problems: Iterable[str]) -> None:
        """Hold every problem at once, so that one attempt mends them all."""
        self.name = name
        self.problems = tuple(problems)
        super().__init__(f"{name} cannot be: " + "; ".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from: a worker process may raise it."""
        return type(self), (self.name, self.problems)


class UnknownNameError(BatchfsmError, ValueError):
    """A name that is none of the known ones."""

    kind: str
    """What was looked up: dialect, rule, ..."""

    name: str
    """What was asked for."""

    known: tuple[str, ...]
    """What could have been asked for."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Hold the question and the possible answers."""
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(f"no {kind} is called {name!r}; known: {', '.join(self.known)}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.kind, self.name, self.known)


class SnapshotError(BatchfsmError, ValueError):
    """An object is not a batch, or some of its fields cannot be taken as they are."""

    problems: tuple[tuple[str, str], ...]
    """`($.path, what is wrong)`, one for each field that was refused."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        """Hold every refused field."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem} @ {path}" for path, problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.problems,)


class SourceError(BatchfsmError, OSError):
    """A log cannot be opened, or there is no room to sort it."""


class JournalError(BatchfsmError):
    """
    A journal cannot be opened, read or written; its database's own error is the `__cause__`.

    From `observe` it means that nothing has changed, or that what has is in the journal: observe again.
    """

    journal: str
    """Which one, as it is shown: a path, or an address without its password."""

    problem: str
    """What went wrong."""

    def __init__(self, journal: str, problem: str) -> None:
        """Say which journal, and what went wrong."""
        self.journal, self.problem = journal, problem
        super().__init__(f"{journal}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.journal, self.problem)


class StateError(BatchfsmError):
    """
    The state of an audit cannot be opened, read or written, or is not for this audit; nothing in it has changed.

    A database's own error is the `__cause__`.
    """

    state: str
    """Which one: its path."""

    problem: str
    """What went wrong."""

    def __init__(self, state: str, problem: str) -> None:
        """Say which state, and what went wrong."""
        self.state, self.problem = state, problem
        super().__init__(f"{state}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.state, self.problem)


class MissingExtraError(BatchfsmError, ImportError):
    """An optional package is needed and not installed."""

    what: str
    """What needs it."""

    extra: str
    """What to install: `batchfsm[extra]`."""

    def __init__(self, what: str, extra: str) -> None:
        """Say what needs which extra."""
        self.what, self.extra = what, extra
        super().__init__(f"{what} needs more packages: pip install 'batchfsm[{extra}]'")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.what, self.extra)
