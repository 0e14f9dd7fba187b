"""Audits in columns, compiled or not."""

from array import array
from itertools import accumulate

import pytest

from batchfsm.auditing import optional, running


def enable_columns(patch, *, bytes_min=0):
    """
    Let audits read logs in columns, whether or not columns are compiled.

    An installation without compiled modules does not use columns, but they run uncompiled where Cython is installed.
    Skips the test if they cannot run.

    Args:
        patch: A `pytest.MonkeyPatch`.
        bytes_min: How large a log must be; bytes.
    """
    pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")
    patch.setattr(optional, "is_compiled", lambda: True)
    patch.setattr(running, "COLUMNS_BYTES_MIN", bytes_min)


def text_buffer(texts):
    """Return texts as columns take them: their bytes with the line ends behind, and their offsets."""
    from batchfsm.auditing.columns.tokenizer import PAD  # noqa: PLC0415  # It cannot be imported everywhere.

    offsets = array("q", accumulate(map(len, texts), initial=0))
    return bytearray(b"".join(texts) + b"\n" * PAD), offsets


def text_hash(text):
    """Return the hash of bytes: FNV-1a of 64 bits, mixed once more; by itself, without `batchfsm`."""
    return _hash(text, 0xCBF29CE484222325, 0x100000001B3)


def other_text_hash(text):
    """Return the second hash of bytes."""
    return _hash(text, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)


def _hash(text, state, prime):
    for byte in text:
        state = (state ^ byte) * prime % 2**64
    state = (state ^ state >> 32) * 0xBF58476D1CE4E5B9 % 2**64
    return (state ^ state >> 29) >> 1
