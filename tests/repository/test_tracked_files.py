"""The files under version control."""

import re
import subprocess

import pytest

from support.paths import ROOT


@pytest.fixture(scope="module")
def tracked():
    """Return the tracked files; skip the tests without git."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = [ROOT / name for name in listed.decode().split("\0") if name]
    return [name for name in names if name.is_file()]


def test_the_front_door_is_tidy(tracked):
    """The top folder has the package, its tests, docs, and the standard files of a project."""
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
    """No file has a path in a home or work directory."""
    paths = re.compile(r"(?<![\w.~}])(?:/(?:home|root|Users|work|mnt)/\w|[A-Z]:\\+Users)")
    left = {
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if paths.search(line)
    }

    assert set() == left
