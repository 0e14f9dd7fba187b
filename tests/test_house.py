"""What the house promises of itself: public names, light imports, floors, bounds, and a tidy front door."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from inspect import isfunction
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import batchfsm
from support.paths import ROOT

PACKAGE = Path(str(batchfsm.__file__)).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
ROOMS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}

LINES_MAX = 300
FUNCTION_LINES_MAX = 70
OURS = {"attr", "attrs", "cattr", "cattrs", "transitions"}
THEIRS = {"six", "typing_extensions", "exceptiongroup"}  # What those three need themselves, by version.


# ---------------------------------------------------------------- public names


def announced():
    """Return the names that type checkers see, and the room that each is from."""
    (block,) = [node for node in ast.parse(SOURCES["__init__.py"]).body if isinstance(node, ast.If)]
    imports = [
        (alias.name, alias.asname, str(node.module).removeprefix("batchfsm").removeprefix("."))
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert [name for name, *_ in imports] == [alias for _, alias, _ in imports]
    return {name: room for name, _, room in imports}


def test_the_three_lists_of_public_names_are_one():
    """What `__all__` promises, what is resolved on first use and what type checkers see are the same."""
    assert batchfsm._HOMES == announced()
    assert set(batchfsm.__all__) == set(batchfsm._HOMES)


def test_public_names_are_sorted_and_stand_once():
    """Constants, classes, then functions and rooms; each in order of the alphabet."""
    names = batchfsm.__all__

    assert sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name)) == names


@pytest.mark.parametrize("name", batchfsm.__all__)
def test_every_public_name_resolves(name):
    """It is what its room has under that name, and `dir` shows it."""
    room = batchfsm._HOMES[name]
    found = getattr(batchfsm, name)

    assert found is (getattr(import_module(f"batchfsm.{room}"), name) if room else import_module(f"batchfsm.{name}"))
    assert name in dir(batchfsm)


def test_another_name_is_no_attribute():
    """The message is Python's own."""
    with pytest.raises(AttributeError, match=r"^module 'batchfsm' has no attribute 'Poller'$"):
        _ = batchfsm.Poller


def test_no_room_has_the_name_of_a_public_function():
    """Else importing the room would hide the function."""
    assert set() == ROOMS & {name for name in batchfsm.__all__ if isfunction(getattr(batchfsm, name))}


# ---------------------------------------------------------------- what is loaded


def loaded(statements):
    """Return the foreign modules that some statements load, in a process of their own."""
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
    """Names are resolved on first use."""
    assert set() == loaded("import batchfsm")


@pytest.mark.parametrize(
    "names", [["Monitor"], ["parse"], ["audit"], batchfsm.__all__], ids=["Monitor", "parse", "audit", "all"]
)
def test_public_names_load_attrs_cattrs_and_transitions_at_most(names):
    """No typer, rich, pandas, numpy, openai or pytest, be they installed or not."""
    foreign = loaded(f"import batchfsm\nfor name in {names!r}: getattr(batchfsm, name)")

    assert foreign <= OURS | THEIRS
    assert not foreign.isdisjoint(OURS)


# ---------------------------------------------------------------- size


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_fits_on_a_few_pages(name):
    """A room that outgrows them becomes a folder."""
    assert len(SOURCES[name].splitlines()) <= LINES_MAX


@pytest.mark.parametrize("name", SOURCES)
def test_a_function_fits_on_a_screen(name):
    """Seventy lines, docstring and all, are never exceeded."""
    functions = [
        node for node in ast.walk(ast.parse(SOURCES[name])) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = {node.name: int(node.end_lineno or 0) - node.lineno + 1 for node in functions}

    assert {} == {function: lines for function, lines in lengths.items() if lines > FUNCTION_LINES_MAX}


# ---------------------------------------------------------------- floors and bounds


def test_every_room_has_a_floor():
    """The layers in pyproject.toml name each module of the package once, and none that is not there."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (floors,) = [contract for contract in contracts if contract["type"] == "layers"]
    placed = [room.strip() for floor in floors["layers"] for room in floor.split("|")]

    assert sorted(ROOMS - {"__init__", *floors["exhaustive_ignores"]}) == sorted(placed)
    assert floors["exhaustive"]


def test_the_oldest_versions_are_those_that_are_tested():
    """What dependencies allow at the least is what the environment `oldest-py312` installs."""
    project = PROJECT["project"]
    # What the first three need is nobody's dependency; Spark takes half a gigabyte, and is tried as it is today.
    tools = {"test", "lint", "docs", "spark"}
    extras = (needs for extra, needs in project["optional-dependencies"].items() if extra not in tools)
    needed = map(Requirement, [*project["dependencies"], *chain.from_iterable(extras)])
    pinned = map(Requirement, PROJECT["tool"]["tox"]["env"]["oldest-py312"]["deps"])

    def versions(requirements, operator):
        return {
            each.name: Version(bound.version)
            for each in requirements
            for bound in each.specifier
            if bound.operator == operator
        }

    assert versions(needed, ">=") == versions(pinned, "==")


def test_editables_are_built_apart():
    """From one build environment tox installs what it built last: where it was a wheel, coverage saw two packages."""
    tox = PROJECT["tool"]["tox"]
    editable = {name: env for name, env in tox["env"].items() if env.get("package") == "editable"}

    assert "full" in editable
    assert {".editable"} == {env.get("wheel_build_env") for env in editable.values()}
    assert ".editable" != tox["env_run_base"]["wheel_build_env"]


def test_types_are_shipped():
    """Type checkers look for this file."""
    assert (PACKAGE / "py.typed").is_file()


# ---------------------------------------------------------------- what is kept under version control


@pytest.fixture(scope="module")
def tracked():
    """Return the files that git knows of; without git there is nothing to look at."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = [ROOT / name for name in listed.decode().split("\0") if name]
    return [name for name in names if name.is_file()]


def test_the_front_door_is_tidy(tracked):
    """At the top there are the package, its tests and docs, and what a visitor looks for."""
    top = {path.relative_to(ROOT).parts[0] for path in tracked}

    assert set() == {name for name in top if not name.startswith(".")} - {
        "LICENSE",
        "README.md",
        "batchfsm",
        "docs",
        "pyproject.toml",
        "tests",
    }


def test_nobodys_machine_is_in_the_files(tracked):
    """No path of somebody's home or work directory was left behind."""
    paths = re.compile(r"(?<![\w.~}])(?:/(?:home|root|Users|work|mnt)/\w|[A-Z]:\\+Users)")
    left = {
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if paths.search(line)
    }

    assert set() == left
