"""Each error has a message and fields for the fault, its place and the possible values."""

import ast
import pickle
import re
from itertools import chain

import pytest

import batchfsm
from batchfsm import errors, monitor, watching, webhook
from batchfsm.errors import (
    BatchfsmError,
    DefinitionError,
    MissingExtraError,
    SnapshotError,
    SourceError,
    StateError,
    UnknownNameError,
    needs_extra,
)
from support.paths import ROOT
from support.repository import SOURCES

TREE = {
    "BatchfsmError": Exception,
    "DefinitionError": ValueError,
    "UnknownNameError": ValueError,
    "SnapshotError": ValueError,
    "SourceError": OSError,
    "JournalError": Exception,
    "StateError": Exception,
    "DisagreementError": Exception,
    "MissingExtraError": ImportError,
    "IllegalTransitionError": Exception,
    "HookError": ExceptionGroup,
    "WatchError": Exception,
    "WatchTimeoutError": TimeoutError,
    "WebhookError": ValueError,
}


@pytest.mark.parametrize("name, builtin", TREE.items())
def test_every_error_is_caught_by_either_name(name, builtin):
    """Each error can be caught as an error of the package and as its built-in base class."""
    error = getattr(webhook if name == "WebhookError" else errors if hasattr(errors, name) else batchfsm, name)

    assert {BatchfsmError, builtin} <= set(error.__mro__)


def test_the_tree_in_the_docstring_is_the_tree():
    """The tree in the docstring has every error, with its built-in base class if that is not Exception."""
    drawn = dict(re.findall(r"── (\w+)(?: \((\w+)\))?", str(errors.__doc__)))
    kinds = [
        kind
        for kind in chain(*(vars(room).values() for room in (errors, monitor, watching, webhook)))
        if isinstance(kind, type)
    ]
    named = {kind.__name__ for kind in kinds if issubclass(kind, BatchfsmError)}

    assert named == {"BatchfsmError", *drawn}
    assert {name: base.__name__ if base is not Exception else "" for name, base in TREE.items()} == {
        "BatchfsmError": "",
        **drawn,
    }


CAUGHT_INSIDE = {"StopError", "ExecError", "TextError"}
"""Errors that reach no caller: those of the command line, and the one of the readers of text forms."""


def test_every_error_is_in_the_reference():
    """An error that a caller may have to catch is in the tree of the page."""
    page = (ROOT / "docs" / "reference" / "python" / "errors.md").read_text()
    defined = {
        node.name
        for tree in SOURCES.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id in TREE for base in node.bases)
    }

    drawn = re.findall(r"── (?:\w+\.)?(\w+)", page)
    assert sorted(defined - CAUGHT_INSIDE) == sorted(drawn)


def test_a_definition_error_names_all_problems():
    """One error lists all problems of the definition."""
    error = DefinitionError("lifecycle 'mine'", (problem for problem in ("no status is final", "b is a trap")))

    assert "invalid lifecycle 'mine': no status is final; b is a trap" == str(error)
    assert ("lifecycle 'mine'", ("no status is final", "b is a trap")) == (error.name, error.problems)


def test_an_unknown_name_is_answered_with_the_known_ones():
    """The message lists the known names."""
    error = UnknownNameError("dialect", "open-ai", {"openai": 1, "azure": 2})

    assert "no dialect is called 'open-ai'; the nearest is openai; known: openai, azure" == str(error)
    assert ("dialect", "open-ai", ("openai", "azure")) == (error.kind, error.name, error.known)


def test_a_snapshot_error_has_the_path_of_each_refusal():
    """The error has the `$.path` of each refused field."""
    assert "expected a batch object, got null" == str(SnapshotError([("$", "expected a batch object, got null")]))

    error = SnapshotError([("$.id", "a value is missing"), ("$.status", "expected null or text, got 5")])

    assert "a value is missing @ $.id; expected null or text, got 5 @ $.status" == str(error)
    assert (("$.id", "a value is missing"), ("$.status", "expected null or text, got 5")) == error.problems


def test_a_missing_extra_says_what_to_type():
    """The message has the command that installs the package."""
    error = MissingExtraError("batchfsm watch", "cli")

    assert "batchfsm watch needs more packages: pip install 'batchfsm[cli]' (in a clone: pip install '.[cli]')" == str(
        error
    )
    assert "cli" == error.extra


def test_an_import_that_fails_names_the_extra():
    """A failed import inside the block raises MissingExtraError with its cause; other errors are unchanged."""
    with (
        pytest.raises(MissingExtraError, match=r"^charts needs more packages: ") as caught,
        needs_extra("charts", "report"),
    ):
        import no_such_package  # noqa: F401, PLC0415
    assert "no_such_package" == caught.value.__cause__.name

    with pytest.raises(ZeroDivisionError), needs_extra("charts", "report"):
        1 / 0  # noqa: B018


def test_a_source_error_keeps_the_fields_of_an_os_error():
    """A SourceError is an OSError with errno and file name."""
    error = SourceError(2, "No such file or directory", "mon.jsonl")

    assert "[Errno 2] No such file or directory: 'mon.jsonl'" == str(error)
    assert (2, "mon.jsonl") == (error.errno, error.filename)


@pytest.mark.parametrize(
    "error",
    [
        DefinitionError("lifecycle 'mine'", ["no status is final"]),
        UnknownNameError("dialect", "open-ai", ["openai"]),
        SnapshotError([("$.id", "a value is missing")]),
        SourceError(2, "No such file or directory", "mon.jsonl"),
        StateError("state.db", "another audit has it"),
        MissingExtraError("batchfsm watch", "cli"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_to_another_process(error):
    """An error can be pickled with its message and fields, as process pools do."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # Bytes of this test.

    assert (type(error), str(error), vars(error)) == (type(copy), str(copy), vars(copy))
