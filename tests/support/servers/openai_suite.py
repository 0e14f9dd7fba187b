"""The tests in the source distribution of openai-python, for a run against the fake API."""

import re
import shutil
import subprocess
import sys
import tarfile

from support.servers.install import INSTALL_S_MAX, NotInstalledError

VERSION = "3.57.0"
MODULES = ("test_batches.py", "test_files.py")
EDITS = ((r"\blimit=0,", "limit=1,"), (r'\bafter="after",', 'after="{after}",'))
"""Edits of generated tests that no server can pass: they ask for a page of 0 rows, after an id that does not exist."""


def run(command, **options):
    """Run a command; raise NotInstalledError with the end of its output if it fails."""
    ran = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False, **options
    )
    if ran.returncode:
        raise NotInstalledError(
            f"openai {VERSION} and its tests cannot be had: {(ran.stdout + ran.stderr).strip()[-300:]}"
        )


def install_suite(directory):
    """
    Install openai-python with the packages of its tests, and unpack its source, unless they are there.

    Returns:
        The Python of the environment, and the folder of the source.

    Raises:
        NotInstalledError: If the packages cannot be installed.
    """
    home = directory / f"openai-suite-{VERSION}"
    python, source = home / "bin" / "python", home / f"openai-{VERSION}"
    if not ((home / "ready").exists() and python.exists()):
        shutil.rmtree(home, ignore_errors=True)
        run([sys.executable, "-m", "venv", home])
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        run([*pip, "install", f"openai[aiohttp]=={VERSION}", "pytest>=9.0.3", "pytest-asyncio>=1.4", "rich>=13.7"])
        run([*pip, "download", "--no-deps", "--no-binary", "openai", "--dest", home, f"openai=={VERSION}"])
        with tarfile.open(next(home.glob("openai-*.tar.gz"))) as archive:
            archive.extractall(home, filter="data")
        (home / "ready").touch()
    return python, source


def edited_suite(source, folder, *, after):
    """Copy the tests to a folder and edit them; return the paths of the modules."""
    shutil.copytree(source / "tests", folder / "tests")
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = session\n")
    paths = [folder / "tests" / "api_resources" / name for name in MODULES]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for pattern, replacement in EDITS:
            text, edits = re.subn(pattern, replacement.format(after=after), text)
            assert edits
        path.write_text(text, encoding="utf-8")
    return paths
