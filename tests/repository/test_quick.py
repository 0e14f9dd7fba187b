"""`tox run -e quick` selects the tests of the packages that a change touches."""

import subprocess
from importlib.util import module_from_spec, spec_from_file_location

import pytest

from support.paths import ROOT

FILES = {
    "README.md": "",
    "batchfsm/errors.py": "",
    "batchfsm/finding.py": "",
    "batchfsm/lonely.py": "",
    "batchfsm/history/fold.py": "",
    "docs/how-to/audit.md": "",
    "pyproject.toml": "",
    "tests/bench/audit.py": "",
    "tests/conftest.py": "",
    "tests/history/test_fold.py": "from batchfsm.finding import Finding\n",
    "tests/lifecycle/test_errors.py": "import batchfsm.findings\n",
    "tests/repository/test_packaging.py": "",
    "tests/rules/test_rules.py": "from batchfsm import audit, finding\n",
    "tests/support/notation.py": "",
}


@pytest.fixture(scope="module")
def quick():
    """Return the script as a module."""
    spec = spec_from_file_location("quick", ROOT / ".ci" / "quick.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path):
    """Return a small checkout, not yet under git."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "changed, targets",
    [
        ("batchfsm/history/fold.py", ["batchfsm/history", "tests/history"]),
        ("batchfsm/history/deleted.py", ["batchfsm/history", "tests/history"]),
        ("batchfsm/errors.py", ["batchfsm/errors.py", "tests/lifecycle/test_errors.py"]),
        ("batchfsm/finding.py", ["batchfsm/finding.py", "tests/history/test_fold.py", "tests/rules/test_rules.py"]),
        ("batchfsm/lonely.py", ["batchfsm/lonely.py", "tests"]),
        ("batchfsm/deleted.py", ["tests"]),
        ("tests/history/test_fold.py", ["tests/history"]),
        ("tests/deleted/test_deleted.py", ["tests"]),
        ("tests/support/notation.py", ["tests"]),
        ("tests/conftest.py", ["tests"]),
        ("tests/bench/audit.py", []),
        ("docs/how-to/audit.md", ["docs/how-to/audit.md"]),
        ("docs/deleted.md", []),
        ("README.md", ["README.md"]),
        ("pyproject.toml", []),
        (".ci/run", []),
    ],
)
def test_a_changed_file_has_its_tests(quick, checkout, changed, targets):
    """A package selects its folder, a module the tests with its name or its import, and any other file all tests."""
    assert targets == quick.targets_of(changed, checkout)


def test_the_tests_of_the_repository_always_run(quick, checkout):
    """They run even if no file has changed."""
    assert ["tests/repository"] == quick.targets([], checkout)


def test_no_test_is_named_twice(quick, checkout):
    """A selected folder replaces the files in it."""
    changed = ["batchfsm/errors.py", "tests/lifecycle/test_errors.py"]

    assert ["batchfsm/errors.py", "tests/lifecycle", "tests/repository"] == quick.targets(changed, checkout)
    assert ["batchfsm/lonely.py", "tests"] == quick.targets(["batchfsm/lonely.py"], checkout)


def test_a_change_is_all_since_the_branch_left_main(quick, checkout):
    """
    The changed files are those of the branch's commits, edits and new files, without later commits of `main`.

    Without `main` they are edits and new files only; with `origin/main` also those of commits that are not pushed.
    """

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=checkout, check=True, capture_output=True)  # noqa: S607

    def commit(name):
        (checkout / name).write_text("changed\n")
        git("add", ".")
        git("commit", "-m", name)

    git("init", "--initial-branch=main")
    git("add", ".")
    git("commit", "-m", "all")
    git("checkout", "-b", "branch")
    commit("batchfsm/errors.py")
    git("checkout", "main")
    commit("batchfsm/lonely.py")
    git("checkout", "branch")
    (checkout / "README.md").write_text("edited\n")
    (checkout / "batchfsm" / "new.py").write_text("new\n")

    assert ["README.md", "batchfsm/errors.py", "batchfsm/new.py"] == sorted(quick.changed_files(checkout))

    git("checkout", "--detach")
    git("branch", "-D", "main")

    assert ["README.md", "batchfsm/new.py"] == sorted(quick.changed_files(checkout))

    git("update-ref", "refs/remotes/origin/main", "HEAD~1")

    assert ["README.md", "batchfsm/errors.py", "batchfsm/new.py"] == sorted(quick.changed_files(checkout))
