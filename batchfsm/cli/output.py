"""Output of commands: to standard output, in colour on a terminal, or to files that are written whole."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click

from batchfsm.atomic_file import open_atomic
from batchfsm.cli.failures import StopError

_STYLES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "error": {"fg": "red", "bold": True},
        "warning": {"fg": "yellow"},
        "note": {"fg": "cyan"},
        "inconsistent": {"fg": "red", "bold": True},
        "consistent": {"fg": "green"},
        "undetermined": {"fg": "yellow"},
    }
)
_COLOURLESS: Final = ("dumb", "unknown")
"""The values of `TERM` for terminals without colours, as rich has them."""
_WORDS: Final = re.compile(rf"(?:{'|'.join(_STYLES)})\b")


def write(content: str | bytes, output: Path | None) -> None:
    """
    Write to a file, whole or not at all, or else to standard output.

    Raises:
        StopError: If standard output is a terminal and the content is no text.
        OSError: If the file cannot be written; then it is as it was.
    """
    if output is not None:
        with open_atomic(output) as file:
            file.write(content if isinstance(content, bytes) else content.encode())
    elif isinstance(content, bytes) and sys.stdout.isatty():
        raise StopError("this picture is no text: name a file with --output")
    else:
        click.echo(content, nl=False)


def write_coloured(text: str) -> None:
    """
    Write text to standard output, without adding a line end.

    On a terminal, a severity or verdict at the beginning of a line is in colour. The text must be printable.
    """
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in _COLOURLESS:
        lines = text.split("\n")
        text = "\n".join(_WORDS.sub(_styled, line, count=1) if _WORDS.match(line) else line for line in lines)
    sys.stdout.write(text)


def _styled(word: re.Match[str]) -> str:
    return click.style(word[0], **_STYLES[word[0]])


def check_outputs(inputs: Iterable[str], outputs: Mapping[str, Path | None]) -> None:
    """
    Refuse to write a file that is also read, two outputs to one file, or a file that cannot be written.

    Nothing is created, so a command that is refused leaves nothing behind.

    Args:
        inputs: The files that the command reads; `-` for standard input.
        outputs: The options that name a file to write, with the file.

    Raises:
        StopError: If two of them are one file, by whatever path or link.
        OSError: If the folder of an output does not exist or cannot be written to, or an output is a folder.
    """
    for output in filter(None, outputs.values()):
        _require_place(output)
    taken: dict[object, str] = {}
    for name in inputs:
        taken.update(dict.fromkeys(_identities(name), f"{name}, which is an input"))
    for option, path in outputs.items():
        if path is None or (path.exists() and not path.is_file()):
            continue  # A device such as /dev/null holds nothing that could be lost.
        identities = _identities(str(path))
        for identity in identities:
            if identity in taken:
                raise StopError(f"{option} {path} would overwrite {taken[identity]}")
        taken.update(dict.fromkeys(identities, f"the file of {option}"))


def _require_place(path: Path) -> None:
    """Raise OSError if a file cannot be written, or created; it is not opened."""
    folder = path.resolve().parent
    if path.is_dir():
        number = errno.EISDIR
    elif not folder.is_dir():
        number = errno.ENOTDIR if folder.exists() else errno.ENOENT
    elif not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        number = errno.EACCES
    else:
        return
    raise OSError(number, os.strerror(number), str(path))


def repeated_input(inputs: Iterable[str]) -> str | None:
    """Return a sentence on the first two names of one file, by whatever path or link; None if there are none."""
    given: dict[object, str] = {}
    for name in inputs:
        if name != "-" and not Path(name).is_file():
            continue  # A device such as /dev/null may stand for several empty files.
        identities = _identities(name)
        first = next((given[identity] for identity in identities if identity in given), None)
        if first is not None:
            return f"{name} is given twice" if name == first else f"{name} is the same file as {first}"
        given.update(dict.fromkeys(identities, name))
    return None


def _identities(name: str) -> list[object]:
    """Return the device and number of a file, and its path without links: equal in either, two names are one file."""
    if name == "-":
        try:
            status = os.fstat(sys.stdin.fileno())
        except (OSError, ValueError):
            return []  # Standard input is closed, or is no file.
        return [(status.st_dev, status.st_ino)]
    path = Path(name)
    found: list[object] = [path.resolve()]
    if path.exists():
        status = path.stat()
        found.append((status.st_dev, status.st_ino))
    return found
