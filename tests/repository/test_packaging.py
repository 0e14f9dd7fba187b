"""Dependencies, build environments and type information of the package."""

from itertools import chain

from packaging.requirements import Requirement
from packaging.version import Version

from support.repository import PACKAGE, PROJECT


def test_the_oldest_versions_are_those_that_are_tested():
    """The environment `oldest-py312` installs the lower bound of each dependency."""
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
    """The package has the file `py.typed`, which type checkers look for."""
    assert (PACKAGE / "py.typed").is_file()
