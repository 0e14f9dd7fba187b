"""
The errors of the library, as a tree.

```
BatchfsmError
├── DefinitionError (ValueError)      a lifecycle or dialect contradicts itself
├── UnknownNameError (ValueError)     no dialect, rule or status has that name
├── SnapshotError (ValueError)        an object is no batch, or has invalid fields
├── SourceError (OSError)             a log cannot be opened, or its sorted copy cannot be written
├── JournalError                      a journal cannot be opened, read or written
├── StateError                        the state file of an audit cannot be opened, read or written
├── DisagreementError                 two engines of an audit found different violations: a bug of this library
├── MissingExtraError (ImportError)   an optional package is not installed
├── IllegalTransitionError            `Monitor(on_illegal="raise")`; defined in `monitor`
├── HookError (ExceptionGroup)        hooks raised; defined in `monitor`
├── WatchError                        a batch cannot be watched; defined in `watching`
├── WatchTimeoutError (TimeoutError)  batches are still open at the time limit; defined in `watching`
└── WebhookError (ValueError)         a webhook has no valid signature; defined in `webhook`
```

A misbehaving server is no error: its faults are returned as a `Finding` each.

`__module__` of the public errors is `batchfsm`, so that a traceback shows the name to catch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Final

_NAME_CHARS_MAX: Final = 64  # The search for the nearest name is quadratic.
_LIKENESS_MIN: Final = 0.82  # Less is no slip: `batches.get` is not near `batches.create`.


def nearest_name(name: str, known: Iterable[str], likeness: float = _LIKENESS_MIN) -> str | None:
    """Return the known name that is most like a name; None if none is as like as `likeness`, a share from 0 to 1."""
    return next(iter(get_close_matches(name[:_NAME_CHARS_MAX], [*known], 1, likeness)), None)


class BatchfsmError(Exception):
    """The base class of all errors of this library."""

    __module__ = "batchfsm"


class DefinitionError(BatchfsmError, ValueError):
    """A lifecycle or dialect contradicts itself."""

    name: str
    """The thing that was defined, such as "the lifecycle openai"."""

    problems: tuple[str, ...]
    """Every contradiction, one sentence each."""

    def __init__(self, name: str, problems: Iterable[str]) -> None:
        self.name = name
        self.problems = tuple(problems)
        super().__init__(f"invalid {name}: " + "; ".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments: a worker process may raise the error."""
        return type(self), (self.name, self.problems)


class UnknownNameError(BatchfsmError, ValueError):
    """No dialect, rule, status, or other thing of a kind has a name."""

    kind: str
    """The kind of thing that was looked up: dialect, rule, ..."""

    name: str
    """The unknown name."""

    known: tuple[str, ...]
    """The known names."""

    nearest: str | None
    """The known name that is most like it; None if none is like it."""

    def __init__(self, kind: str, name: str, known: Iterable[str], nearest: str | None = None) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        self.nearest = nearest or nearest_name(str(name), self.known)
        hint = "" if self.nearest is None else f"the nearest is {self.nearest}; "
        super().__init__(f"no {kind} is called {name!r}; {hint}known: {', '.join(self.known)}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.kind, self.name, self.known, self.nearest)


class SnapshotError(BatchfsmError, ValueError):
    """An object is not a batch, or some of its fields are invalid."""

    __module__ = "batchfsm"

    problems: tuple[tuple[str, str], ...]
    """`($.path, problem)`, one for each invalid field."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        # `$` alone, the whole object, tells a reader nothing.
        lines = (problem if path == "$" else f"{problem} @ {path}" for path, problem in self.problems)
        super().__init__("; ".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.problems,)


class SourceError(BatchfsmError, OSError):
    """A log cannot be opened, or the disk has no room to sort it."""

    __module__ = "batchfsm"


class JournalError(BatchfsmError):
    """
    A journal cannot be opened, read or written; its database's own error is the `__cause__`.

    Raised by `observe`, it means that the snapshot is either not stored at all or stored whole: observe it again.
    """

    __module__ = "batchfsm"

    journal: str
    """The journal: a path, or an address without its password."""

    problem: str
    """The problem, in one sentence."""

    def __init__(self, journal: str, problem: str) -> None:
        self.journal, self.problem = journal, problem
        super().__init__(f"{journal}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.journal, self.problem)


class StateError(BatchfsmError):
    """
    The state file of an audit cannot be opened, read or written, or belongs to another audit; it is left unchanged.

    A database's own error is the `__cause__`.
    """

    state: str
    """The path of the state file."""

    problem: str
    """The problem, in one sentence."""

    def __init__(self, state: str, problem: str) -> None:
        self.state, self.problem = state, problem
        super().__init__(f"{state}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.state, self.problem)


class DisagreementError(BatchfsmError):
    """
    The compiled rules and the row engine found different violations in an audit: a bug of this library.

    The audit reports neither result. Report the bug; meanwhile `audit(engine="rows")` uses the row engine alone.
    """


class MissingExtraError(BatchfsmError, ImportError):
    """An optional package is needed and not installed."""

    __module__ = "batchfsm"

    what: str
    """The feature that needs it."""

    extra: str
    """The extra to install: `batchfsm[extra]`."""

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(
            f"{what} needs more packages: pip install 'batchfsm[{extra}]' (in a clone: pip install '.[{extra}]')"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.what, self.extra)


@contextmanager
def needs_extra(what: str, extra: str) -> Iterator[None]:
    """
    Raise MissingExtraError if an import in the block fails; the error names the extra to install.

    Args:
        what: The feature that needs them, as the subject of the message.
        extra: The extra that installs them.

    Raises:
        MissingExtraError: If an import fails; the failure is its `__cause__`.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(what, extra) from error
