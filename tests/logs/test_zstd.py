"""Logs in zstd: detected by their first bytes, read frame by frame, by the vectorized engine too."""

import io
import json
import os
import sys

import pytest

from batchfsm import MissingExtraError, audit
from batchfsm.auditing import api
from batchfsm.logs import compression
from support.columns import enable_columns
from support.notation import snap

try:
    from compression import zstd
except ImportError:
    zstd = pytest.importorskip("backports.zstd", reason="the extra `audit` is not installed")

LOG = b"".join(
    json.dumps(snap("vpzc", id=f"b{number}", note=os.urandom(99).hex())).encode() + b"\n" for number in range(300)
)


@pytest.fixture
def said(tmp_path):
    """Return a function that audits some bytes, and returns the number of snapshots and the unreadable entries."""

    def audited(log):
        path = tmp_path / "log"
        path.write_bytes(log)
        report = audit(str(path))
        return report.snapshots, [(each.place.line, each.problem) for each in report.unreadable]

    return audited


@pytest.mark.parametrize("chunk", [1, 7, 2**16])
@pytest.mark.parametrize(
    "log", [zstd.compress(LOG), zstd.compress(LOG[:9999]) + zstd.compress(LOG[9999:])], ids=["one", "two"]
)
def test_zstd(log, chunk, said, monkeypatch):
    """A log in one frame or two, decompressed in chunks of any size, is read completely."""
    monkeypatch.setattr(compression, "_CHUNK_BYTES", chunk)

    assert (300, []) == said(log)


def test_truncated_zstd(said):
    """The complete part of a truncated frame is read, and the break is reported."""
    whole = zstd.compress(LOG + LOG)
    snapshots, unreadable = said(whole[: len(whole) * 2 // 3])

    assert 100 < snapshots < 500
    assert "the log breaks off: the compressed stream ends early" == unreadable[-1][1]


def test_zstd_cut_in_its_head(said):
    """A frame of a few bytes is reported as truncated."""
    assert (0, [(1, "the log breaks off: the compressed stream ends early")]) == said(zstd.compress(LOG)[:5])


def test_damaged_zstd(said):
    """The snapshots before the damage are read."""
    whole = zstd.compress(LOG) + zstd.compress(LOG)
    snapshots, unreadable = said(whole[: len(whole) // 2 + 20] + b"?" * 200 + whole[len(whole) // 2 + 220 :])

    assert 300 <= snapshots < 600
    assert unreadable[-1][1].startswith("the log breaks off: Unable to decompress Zstandard data")


def test_zstd_with_something_else_behind(said):
    """Other data after a frame is reported, and the frame is read."""
    snapshots, unreadable = said(zstd.compress(LOG) + b"some more")

    assert (300, [301]) == (snapshots, [line for line, _ in unreadable])


def test_zstd_is_unpacked_in_pieces():
    """A frame of any size is decompressed in chunks of bounded size."""
    read = compression.decompressing_reader(io.BytesIO(zstd.compress(bytes(10**7))))
    sizes = []
    while piece := read(1000):
        sizes.append(len(piece))

    assert 1000 == max(sizes)
    assert 10**7 == sum(sizes)


def test_zstd_in_columns(tmp_path, monkeypatch):
    """The report equals that of the row engine, for a truncated log too."""
    enable_columns(monkeypatch)
    path = tmp_path / "log"
    for log in (zstd.compress(LOG), zstd.compress(LOG)[:-200]):
        path.write_bytes(log)
        found = []
        for size in (0, sys.maxsize):
            monkeypatch.setattr(api, "COLUMNS_BYTES_MIN", size)
            found.append(audit(str(path)).to_dict())

        assert found[0] == found[1]
        assert found[0]["snapshots"] > 100


def test_without_what_unpacks_it(said, monkeypatch):
    """Without a zstd package, the error contains the command that installs it."""
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports", None)

    with pytest.raises(
        MissingExtraError,
        match=r"^a log in zstd needs more packages: pip install 'batchfsm\[audit\]' \(in a clone: pip install '\.\[audit\]'\)$",
    ):
        said(zstd.compress(LOG))
