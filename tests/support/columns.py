"""Columnar audits, compiled or not, and decoded rows computed from snapshots in plain Python."""

import re
from array import array
from itertools import accumulate

import pytest

from batchfsm.auditing import api, optional
from batchfsm.snapshot import COUNT_FIELDS, TIME_FIELDS

NULL = -(2**63)
COUNTS_SET, METADATA_LIMIT, NOT_A_BATCH = 1, 2, 4
TEXT_FIELDS = ("endpoint", "input_file_id", "completion_window", "output_file_id", "error_file_id")


def enable_columns(patch, *, bytes_min=0):
    """
    Make audits read logs in columns, compiled or not; skip the test if columns cannot run.

    An installation without compiled modules does not use columns, but they run uncompiled if Cython is installed. A log
    that is sorted on disk has 4 buckets there, enough for small logs: 16 to 256 files take longer than the audit.

    Args:
        patch: A `pytest.MonkeyPatch`.
        bytes_min: The least size of a log that is read in columns; bytes.
    """
    pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")
    patch.setattr(optional, "is_compiled", lambda: True)
    patch.setattr(api, "COLUMNS_BYTES_MIN", bytes_min)
    patch.setattr("batchfsm.auditing.columns.partition._BUCKETS_MIN", 4)
    patch.setattr("batchfsm.auditing.columns.partition._BUCKETS_MAX", 4)


def text_buffer(texts):
    """Return texts in the form that columns need: their bytes with padding behind, and their offsets."""
    from batchfsm.auditing.columns.tokenizer import PAD  # noqa: PLC0415  # Not importable everywhere.

    offsets = array("q", accumulate(map(len, texts), initial=0))
    return bytearray(b"".join(texts) + b"\n" * PAD), offsets


class FullFile:
    """A temporary file on a full disk."""

    def __enter__(self):
        """Return the file."""
        return self

    def __exit__(self, *args):
        """Do nothing."""

    def write(self, _):
        """Raise as a full disk does."""
        no_file()


def no_file():
    """Raise the error of a full disk."""
    raise OSError(28, "No space left on device")


# ---------------------------------------------------------------- expected rows


PUBLIC_SEED = 0x9E3779B97F4A7C15


def text_hash(text, seed=None):
    """Return the hash of bytes under the seed of this process, or under a given one."""
    from batchfsm.auditing.columns import HASH_SEED  # noqa: PLC0415  # Not importable everywhere.

    secret = HASH_SEED if seed is None else seed
    factor = (secret ^ 0xBF58476D1CE4E5B9) * 0xBF58476D1CE4E5B9 % 2**64 | 1
    state, ended = secret, bytes(text) + b"\1"
    for start in range(0, len(ended), 8):
        high, low = divmod((state ^ int.from_bytes(ended[start : start + 8], "little")) * factor, 2**64)
        state = high ^ low
    return state >> 1


COLLIDING = ("gQBEb6VE-B0-4-4A", "Nga3CcCy3x2B9a9r")
"""Two texts with the same hash under the seed 0: with a known seed, the second word can undo a change of the first."""


def window_seconds(text):
    """Return a completion window in seconds, or NULL if it is not a window."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text or "")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]] if found else NULL


def id_seconds(text):
    """Return the time at the beginning of an id in OpenAI's form, or NULL for any other id."""
    found = re.fullmatch(r"batch_([0-9a-f]{8})[0-9a-f]{24}", text)
    return int(found[1], 16) if found else NULL


def expected_row(snapshot, dialect, seed=None):
    """
    Return the columns of a decoded row by name, without `errors`.

    Args:
        snapshot: The row as the row engine read it; it has an id and a status.
        dialect: The dialect of the log.
    """
    statuses, batch_id = dialect.lifecycle.statuses, snapshot.id.encode()
    counts = snapshot.request_counts
    row = {
        "id_low": text_hash(batch_id, PUBLIC_SEED),
        "id_high": text_hash(batch_id, seed),
        "status": statuses.index(snapshot.status) if snapshot.status in statuses else -1,
        **{name: getattr(snapshot, name) for name in TIME_FIELDS},
        **{name: None if (text := getattr(snapshot, name)) is None else text_hash(text.encode(), seed) for name in TEXT_FIELDS},
        **{f"request_counts.{name}": counts and getattr(counts, name) for name in COUNT_FIELDS},
        "window_s": window_seconds(snapshot.completion_window),
        "id_time": id_seconds(snapshot.id),
        "flags": (counts is not None) * COUNTS_SET
        + _is_beyond(snapshot.metadata or {}) * METADATA_LIMIT
        + ("object" in snapshot.bad) * NOT_A_BATCH,
    }  # fmt: skip
    return {name: NULL if value is None else value for name, value in row.items()}


def _is_beyond(metadata):
    """Return whether metadata has over 16 pairs, a key over 64 characters, or a value over 512 or not text."""
    return len(metadata) > 16 or any(
        len(key) > 64 or not isinstance(value, str) or len(value) > 512 for key, value in metadata.items()
    )


class RowComparison:
    """Compares decoded rows of one log with the snapshots of the row engine."""

    def __init__(self, dialect, seed=None):
        self.dialect, self.seed = dialect, seed
        self.errors = {}

    def compare(self, values, observed_at, snapshot):
        """
        Assert that a decoded row has the values of the row engine.

        Args:
            values: The columns of the row, in order.
            observed_at: The time of observation; NaN for none.
            snapshot: The row as the row engine read it.
        """
        from batchfsm.auditing.columns.layout import COLUMNS  # noqa: PLC0415  # Not importable everywhere.

        found = dict(zip(COLUMNS, values, strict=True))
        errors = found.pop("errors")

        assert {} == {name: value for name, value in snapshot.bad.items() if name != "object"}
        assert expected_row(snapshot, self.dialect, self.seed) == found
        assert (errors == NULL) == (snapshot.errors is None)
        # Equal hashes mean equal errors; different hashes may belong to spellings of equal errors.
        assert self.errors.setdefault(errors, snapshot.errors) == snapshot.errors
        assert (None if observed_at != observed_at else observed_at) == snapshot.observed_at  # noqa: PLR0124  # NaN
