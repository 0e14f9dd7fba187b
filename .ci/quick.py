"""
Run the default tests of the packages that a change touches: `tox run -e quick`.

The change is all that differs from the commit where the branch left `main`, with files that git does not track yet.
"""

import re
import subprocess
import sys
from pathlib import Path

ALWAYS = "tests/repository"
"""The tests of the repository itself: any file may break them, and pytest finds `tests/conftest.py` from there."""


def git(*arguments: str, root: Path) -> list[str]:
    """Return the lines that a command of git prints; none if it fails."""
    ran = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return ran.stdout.splitlines()


def changed_files(root: Path) -> list[str]:
    """Return the files that differ from the merge base with `origin/main` or else `main`, or from the last commit."""
    bases = (git("merge-base", main, "HEAD", root=root) for main in ("origin/main", "main"))
    (base,) = next(filter(None, bases), ["HEAD"])
    return git("diff", "--name-only", base, root=root) + git("ls-files", "--others", "--exclude-standard", root=root)


def tests_of_module(name: str, root: Path) -> list[Path]:
    """Return the test files that are named after a module; if there are none, those that import from it."""
    imports = re.compile(rf"^\s*(from|import) batchfsm(\.| import .*\b){name}\b", re.MULTILINE)
    files = sorted((root / "tests").rglob("test_*.py"))
    named = [path for path in files if path.stem == f"test_{name}"]
    return named or [path for path in files if imports.search(path.read_text())]


def targets_of(name: str, root: Path) -> list[str]:
    """
    Return the arguments of pytest that run the tests of one changed file.

    Tests of `batchfsm/history/` are in `tests/history/`, those of `batchfsm/route.py` in `test_route.py` of any folder,
    or else in the files that import the module. A file without such tests, or that many tests share, has all tests.
    """
    top, *rest = Path(name).parts
    if name == "README.md" or (top == "docs" and name.endswith(".md")):
        return [name] if (root / name).exists() else []
    if not rest or top not in {"batchfsm", "tests"}:
        return []
    subject = Path(rest[0]).stem
    folder = root / "tests" / subject
    if top == "tests":
        if subject in {"bench", "typing"}:
            return []
        return [f"tests/{subject}"] if len(rest) > 1 and folder.is_dir() and subject != "support" else ["tests"]
    examples = [f"batchfsm/{rest[0]}"] if (root / "batchfsm" / rest[0]).exists() else []
    found = [folder] if folder.is_dir() else tests_of_module(subject, root)
    return examples + ([str(path.relative_to(root)) for path in found] or ["tests"])


def targets(names: list[str], root: Path) -> list[str]:
    """Return the arguments of pytest for a change: each file and folder once, and none inside another."""
    chosen = {ALWAYS, *(target for name in names for target in targets_of(name, root))}
    return sorted(target for target in chosen if chosen.isdisjoint(map(str, Path(target).parents)))


if __name__ == "__main__":
    here = Path(__file__).parents[1]
    chosen = targets(changed_files(here), here)
    print("pytest", *chosen, flush=True)
    command = ["pytest", "-n", "auto", "--hypothesis-profile=compat", *chosen, *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=here, check=False).returncode)
