"""Imports of the package and of its tests."""

import ast
import json
import subprocess
import sys

import pytest

import batchfsm
from support.paths import TESTS
from support.repository import PACKAGE, PROJECT, TOP_MODULES

OURS = {"attr", "attrs", "cattr", "cattrs", "transitions"}
THEIRS = {"six", "typing_extensions", "exceptiongroup"}  # Dependencies of those three, depending on the Python version.


def loaded(statements):
    """Return the foreign modules that some statements load in a separate process."""
    script = f"""
import json, sys
before = set(sys.modules)
{statements}
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(new - set(sys.stdlib_module_names) - {{"batchfsm", "__mp_main__"}})))
"""
    command = [sys.executable, "-c", script]
    return set(json.loads(subprocess.run(command, cwd=PACKAGE.parent, check=True, capture_output=True).stdout))


def test_importing_loads_nothing_foreign():
    """`import batchfsm` loads the standard library only, because names are resolved on first use."""
    assert set() == loaded("import batchfsm")


@pytest.mark.parametrize(
    "names", [["Monitor"], ["parse"], ["audit"], batchfsm.__all__], ids=["Monitor", "parse", "audit", "all"]
)
def test_public_names_load_attrs_cattrs_and_transitions_at_most(names):
    """Resolving public names loads no optional library, even if it is installed."""
    foreign = loaded(f"import batchfsm\nfor name in {names!r}: getattr(batchfsm, name)")

    assert foreign <= OURS | THEIRS
    assert not foreign.isdisjoint(OURS)


def test_every_module_has_a_layer():
    """The layers in pyproject.toml name each top-level module of the package once, and no other."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = [contract for contract in contracts if contract["type"] == "layers"]
    placed = [module.strip() for layer in layers["layers"] for module in layer.split("|")]

    assert sorted(TOP_MODULES - {"__init__", *layers["exhaustive_ignores"]}) == sorted(placed)
    assert layers["exhaustive"]


def imported(path):
    """Yield the line and the full name of each import in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_nothing_imports_a_test_module():
    """Helpers that several test modules share are in tests/support."""
    found = [
        f"{path.relative_to(TESTS)}:{line} imports {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, name in imported(path)
        if any(part == "conftest" or part.startswith("test_") for part in name.split("."))
    ]

    assert [] == found
