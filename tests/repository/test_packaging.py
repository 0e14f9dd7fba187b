"""Dependencies, build environments and type information of the package."""

from itertools import chain

from packaging.requirements import Requirement
from packaging.version import Version

from support.repository import PACKAGE, PROJECT


def test_the_oldest_versions_are_those_that_are_tested():
    """The environment `oldest-py312` installs the lower bound of each dependency."""
    project = PROJECT["project"]
    # The first three are for development; Spark and the SDKs of providers are tested in their current versions.
    tools = {"test", "lint", "docs", "spark", "anthropic", "bedrock", "gemini", "mistral"}
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
    """A build environment of its own prevents that tox installs a wheel instead, where coverage finds two packages."""
    tox = PROJECT["tool"]["tox"]
    editable = {name: env for name, env in tox["env"].items() if env.get("package") == "editable"}

    assert "cover" in editable
    assert {".editable"} == {env.get("wheel_build_env") for env in editable.values()}
    assert ".editable" != tox["env_run_base"].get("wheel_build_env")


def test_each_environment_is_run_once():
    """`.ci/run` runs the labels `light` and `heavy`; together they are the environments that `tox` runs by default."""
    tox = PROJECT["tool"]["tox"]

    assert sorted(tox["env_list"]) == sorted(chain.from_iterable(tox["labels"].values()))
    assert {"light", "heavy"} == set(tox["labels"])


def test_other_pythons_deselect_the_marker_logic_only():
    """All other tests of the default run stay selected."""
    options = PROJECT["tool"]["pytest"]["addopts"]
    (command,) = PROJECT["tool"]["tox"]["env_run_base"]["commands"]
    default, other = (each[each.index("-m") + 1] for each in (options, command))

    assert default.replace("not (", "not (logic or ") == other


def test_types_are_shipped():
    """The package has the file `py.typed`, which type checkers look for."""
    assert (PACKAGE / "py.typed").is_file()
