"""
Install the real batch servers for the tests of `conform` and of sources: `python tests/support/servers/install.py`.

Each has an environment of its own in the directory that `BATCHFSM_SERVERS` names. The script uses uv if it is
installed, else pip, which takes ten times as long.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SERVERS = {"aibrix==0.8.0": "python3.11", "llmock==0.2.2": "python3.11", "ogx==1.5.0": "python3.12"}
"""Each server, and the interpreter that it was released for."""

INSTALL_S_MAX = 900


class NotInstalledError(Exception):
    """A server cannot be installed on this machine."""


def interpreter(name):
    """Return the path of an interpreter such as `python3.12`, on PATH or among pyenv's versions; None if absent."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for found in [shutil.which(name), *root.glob(f"versions/{name.removeprefix('python')}.*/bin/python3")]:
        if found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(found)
    return None


def install(package, directory):
    """
    Install a server below a directory unless it is there already.

    Returns:
        The directory of its commands.

    Raises:
        NotInstalledError: If its interpreter is absent or its packages cannot be installed.
    """
    home = directory / package.replace("==", "-")
    if not ((home / "ready").exists() and (home / "bin" / "python").exists()):
        python = interpreter(SERVERS[package])
        if python is None:
            raise NotInstalledError(f"{package} needs {SERVERS[package]}")
        uv = shutil.which("uv")
        if uv:
            commands = [
                [uv, "venv", "--quiet", "--clear", "--python", python, home],
                [uv, "pip", "install", "--quiet", "--python", home / "bin" / "python", package],
            ]
        else:
            commands = [
                [python, "-m", "venv", "--clear", home],
                [home / "bin" / "pip", "install", "--quiet", package],
            ]
        for command in commands:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
            if ran.returncode:
                raise NotInstalledError(f"{package} cannot be installed: {ran.stderr.strip()[-200:]}")
        (home / "ready").touch()
    return home / "bin"


if __name__ == "__main__":
    for server in SERVERS:
        try:
            sys.stdout.write(f"{install(server, Path(os.environ['BATCHFSM_SERVERS']))}\n")
        except NotInstalledError as error:
            sys.stdout.write(f"{error}\n")  # The tests of the server are skipped with the same message.
