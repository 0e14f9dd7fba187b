"""Arrow, the library that reads Parquet and dataframes, and its errors as SourceError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from batchfsm.errors import SourceError, needs_extra


def load_arrow() -> ModuleType:
    """Return pyarrow; MissingExtraError if it is not installed."""
    with needs_extra("an audit of Parquet or of a dataframe", "audit"):
        import pyarrow as pa  # noqa: PLC0415  # An extra, loaded when it is needed.
        import pyarrow.parquet  # noqa: PLC0415
    loaded: ModuleType = pa
    return loaded


def load_compute() -> ModuleType:
    """Return pyarrow.compute, which takes longer to load than the rest of pyarrow; so do methods such as `cast`."""
    import pyarrow.compute as pc  # noqa: PLC0415

    loaded: ModuleType = pc
    return loaded


def index_array(numbers: Any) -> Any:
    """Return an `array('q')` as an Arrow array that shares its memory."""
    # `pa.array` would load pandas if it is installed: a second and more.
    pa = load_arrow()
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Raise SourceError, in one line, if Arrow cannot read a table."""
    errors = (load_arrow().ArrowException, OSError)
    try:
        yield
    except SourceError:
        raise
    except UnicodeDecodeError as error:
        raise SourceError(f"{name}: damaged: the name of a column is not UTF-8") from error
    except errors as error:
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise SourceError(f"{name}: {reason}") from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; its class if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
