"""Arrow, which Parquet and dataframes are read through, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from batchfsm.errors import MissingExtraError, SourceError

WHAT = "an audit of Parquet or of a dataframe"
"""What needs Arrow."""


def arrow() -> ModuleType:
    """Return pyarrow; MissingExtraError if it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415  # An extra, loaded by who asks for it.
        import pyarrow.compute  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(WHAT, "audit") from error
    loaded: ModuleType = pa
    return loaded


def places(numbers: Any) -> Any:
    """Return 64-bit numbers, which have a buffer, as an array of Arrow's."""
    # `pa.array` would load pandas if it is installed: a second and more.
    return arrow().Array.from_buffers(arrow().int64(), len(numbers), [None, arrow().py_buffer(numbers)])


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raise SourceError, in one line, for what Arrow cannot read."""
    kinds = (arrow().ArrowException, OSError)
    try:
        yield
    except SourceError:
        raise
    except kinds as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise SourceError(f"{name}: {(isinstance(error, OSError) and error.strerror) or said[0]}") from error
