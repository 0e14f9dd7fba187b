"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """
    Open a file for writing that has its new content whole when the block ends, or its old one if the block raises.

    The bytes go to a temporary file in the same folder, which then replaces the file: readers never see half of it.
    A symbolic link stays, and its target is replaced. A device or a pipe cannot be replaced, so it is written directly.

    Raises:
        OSError: With the path, if the file cannot be written.
    """
    target = Path(path).resolve()
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):
            with target.open("wb") as device:
                yield device
            return
        temporary = target.with_name(f".batchfsm-{os.urandom(8).hex()}")
        with temporary.open("xb") as binary:
            try:
                yield binary
                binary.flush()
                os.fsync(binary.fileno())
                if target.exists():
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                temporary.replace(target)
            except BaseException:
                temporary.unlink()
                raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
