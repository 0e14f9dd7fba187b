"""Files that are no logs, recognised by their first bytes, and what to do with them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from batchfsm.errors import SourceError
from batchfsm.snapshot import REQUIRED_FIELDS
from batchfsm.wire import SPELLINGS

HEAD_BYTES: Final = 512
"""How many bytes of a file decide."""

PARQUET_MAGIC: Final = b"PAR1"
"""The first bytes of a Parquet file, which an audit reads as a table."""

_EXTRACT: Final = "extract it, and audit the files in it"
_DECOMPRESS: Final = "decompress it first, or compress it by gzip or zstd"
_CONVERT: Final = "convert it to Parquet or JSON lines first"
_CSV: Final = f"a table in CSV: {_CONVERT}; DuckDB, pandas and polars can"
_SIGNATURES: Final[Mapping[tuple[int, bytes], str]] = MappingProxyType(
    {
        (0, b"PK\x03\x04"): f"a zip archive: {_EXTRACT}",
        (0, b"PK\x05\x06"): f"a zip archive: {_EXTRACT}",
        (257, b"ustar"): f"a tar archive: {_EXTRACT}",
        (0, b"7z\xbc\xaf\x27\x1c"): f"a 7z archive: {_EXTRACT}",
        (0, b"Rar!\x1a\x07"): f"a rar archive: {_EXTRACT}",
        (0, b"\xfd7zXZ\0"): f"compressed by xz: {_DECOMPRESS}",
        (4, b"1AY&SY"): f"compressed by bzip2: {_DECOMPRESS}",
        (0, b"ARROW1"): f"an Arrow file: {_CONVERT}",
        (0, b"Obj\x01"): f"an Avro file: {_CONVERT}",
        (0, b"SQLite format 3\0"): f"a SQLite database: {_CONVERT} (of a journal, batchfsm journal lists the batches)",
        (0, b"\xff\xfe"): "text in UTF-16: convert it to UTF-8 first",
        (0, b"\xfe\xff"): "text in UTF-16: convert it to UTF-8 first",
    }
)


def reject_foreign_format(head: bytes, name: str) -> None:
    """
    Raise SourceError, with what to do, for a file that is no log.

    Args:
        head: Its first bytes, decompressed: `HEAD_BYTES`, or all if it has less.
        name: Its name.
    """
    for (offset, signature), problem in _SIGNATURES.items():
        if head.startswith(signature, offset):
            raise SourceError(f"{name}: {problem}")
    if _is_csv(head, name):
        raise SourceError(f"{name}: {_CSV}")


def _is_csv(head: bytes, name: str) -> bool:
    """Tell a table in CSV by its header, or by its name if it does not begin as JSON does."""
    line = head.decode(errors="replace").removeprefix("\ufeff").lstrip().partition("\n")[0]
    if name.lower().endswith((".csv", ".tsv")) and line and line[0] not in "{[":
        return True
    cells = (line.split(sign) for sign in ",;\t|")
    fields = ({SPELLINGS.get(cell.strip().strip('"')) for cell in each} for each in cells)
    return any(len(each.intersection(REQUIRED_FIELDS)) > 1 for each in fields)
