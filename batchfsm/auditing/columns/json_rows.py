"""
Rows out of JSON text: lines of a log, and the JSON columns of a table. Compiled.

A line is decoded if it holds one batch, bare or in one envelope, and every field has the wire's type and spelling.
Any other line is left to the row engine. This reader may reject a good line but must never misread one.
"""

from __future__ import annotations

from array import array
from math import nan
from typing import Any

import cython

from batchfsm.auditing.columns import layout, tokenizer
from batchfsm.auditing.columns.lookup_tables import null_times, status_codes
from batchfsm.dialects import Dialect
from batchfsm.logs import OBJECT_CHARS_MAX
from batchfsm.rules import RULES
from batchfsm.snapshot import TIME_FIELDS, WIRE_FIELDS
from batchfsm.wire import SPELLINGS, TIME_MAX

if cython.compiled:
    from cython.cimports.batchfsm.auditing.columns.text_values import (
        WordTable,
        count_lines,
        hash_text,
        id_seconds,
        observation_time,
        window_seconds,
    )
    from cython.cimports.batchfsm.auditing.columns.tokenizer import Tokenizer
else:
    from batchfsm.auditing.columns.text_values import (
        WordTable,
        count_lines,
        hash_text,
        id_seconds,
        observation_time,
        window_seconds,
    )
    from batchfsm.auditing.columns.tokenizer import Tokenizer

# The code of a key is the column of its value, or one of these: first the fields of a batch without a column of their
# own, then keys of errors, then keys of envelopes.
_CODES = dict(
    zip(
        ("id", "status", "object", "model", "errors", "request_counts", "usage", "metadata", "code", "message", "param",
         "line", "observed_at", "timestamp", "data"),
        range(layout.WIDTH, tokenizer.CODES_MAX),
        strict=False,
    )
) | {"wrapper": tokenizer.CODES_MAX, "other_spelling": tokenizer.CODES_MAX + 1}  # fmt: skip
_TEXTS = ("endpoint", "input_file_id", "completion_window", "output_file_id", "error_file_id")
_COUNT_FIELDS = layout.COLUMNS[layout.TOTAL : layout.FAILED + 1]
_KEYS = {
    **{spelling: _CODES["other_spelling"] for spelling, name in SPELLINGS.items() if name in WIRE_FIELDS},
    **{name.rpartition(".")[2]: layout.COLUMNS.index(name) for name in (*TIME_FIELDS, *_TEXTS, *_COUNT_FIELDS)},
    **{name: code for name, code in _CODES.items() if name not in {"wrapper", "other_spelling"}},
    **dict.fromkeys(("snapshot", "batch", "body"), _CODES["wrapper"]),
}
"""The code of each key of a batch, of its counts and errors, and of its envelope."""
_LIMITS: Any = RULES["S006"].kind

_ID = cython.declare(cython.int, _CODES["id"])
_STATUS = cython.declare(cython.int, _CODES["status"])
_OBJECT = cython.declare(cython.int, _CODES["object"])
_MODEL = cython.declare(cython.int, _CODES["model"])
_ERRORS = cython.declare(cython.int, _CODES["errors"])
_COUNTS = cython.declare(cython.int, _CODES["request_counts"])
_USAGE = cython.declare(cython.int, _CODES["usage"])
_METADATA = cython.declare(cython.int, _CODES["metadata"])
_OBSERVED_AT = cython.declare(cython.int, _CODES["observed_at"])
_TIMESTAMP = cython.declare(cython.int, _CODES["timestamp"])
_CODE = cython.declare(cython.int, _CODES["code"])
_LINE = cython.declare(cython.int, _CODES["line"])
_DATA = cython.declare(cython.int, _CODES["data"])
_WRAPPER = cython.declare(cython.int, _CODES["wrapper"])
_OTHER_SPELLING = cython.declare(cython.int, _CODES["other_spelling"])
_REQUIRED = cython.declare(
    cython.longlong, 1 << _CODES["id"] | 1 << _CODES["status"] | 1 << layout.CREATED
)  # The bits of the codes that every batch has.

_WIDTH = cython.declare(cython.Py_ssize_t, layout.WIDTH)
_ID_LOW = cython.declare(cython.int, layout.ID_LOW)
_ID_HIGH = cython.declare(cython.int, layout.ID_HIGH)
_STATUS_COLUMN = cython.declare(cython.int, layout.STATUS)
_FIRST_TIME = cython.declare(cython.int, layout.TRACKED)
_FIRST_TEXT = cython.declare(cython.int, layout.ENDPOINT)
_TOTAL = cython.declare(cython.int, layout.TOTAL)
_FAILED = cython.declare(cython.int, layout.FAILED)
_WINDOW = cython.declare(cython.int, layout.WINDOW)
_ERRORS_COLUMN = cython.declare(cython.int, layout.ERRORS)
_WINDOW_S = cython.declare(cython.int, layout.WINDOW_S)
_ID_TIME = cython.declare(cython.int, layout.ID_TIME)
_FLAGS = cython.declare(cython.int, layout.FLAGS)
_NULL = cython.declare(cython.longlong, layout.NULL)
_PUBLIC_SEED = cython.declare(cython.ulonglong, layout.PUBLIC_SEED)
_NAN = cython.declare(cython.double, nan)
_TIME_MAX = cython.declare(cython.longlong, TIME_MAX)
_COUNTS_SET = cython.declare(cython.longlong, layout.COUNTS_SET)
_METADATA_LIMIT = cython.declare(cython.longlong, layout.METADATA_LIMIT)
_NOT_A_BATCH = cython.declare(cython.longlong, layout.NOT_A_BATCH)
_PAIRS_MAX = cython.declare(cython.int, _LIMITS.pairs_max)
_KEY_BYTES_MAX = cython.declare(cython.int, _LIMITS.key_chars_max)
_VALUE_BYTES_MAX = cython.declare(cython.int, _LIMITS.value_chars_max)
_ENVELOPE = cython.declare(cython.longlong, -2)

_OBJECT_TOKEN = cython.declare(cython.uchar, tokenizer.OBJECT)
_LIST_TOKEN = cython.declare(cython.uchar, tokenizer.LIST)
_TEXT_TOKEN = cython.declare(cython.uchar, tokenizer.TEXT)
_UTF8_TOKEN = cython.declare(cython.uchar, tokenizer.UTF8_TEXT)
_ESCAPED_TOKEN = cython.declare(cython.uchar, tokenizer.ESCAPED_TEXT)
_INTEGER_TOKEN = cython.declare(cython.uchar, tokenizer.INTEGER)
_NUMBER_TOKEN = cython.declare(cython.uchar, tokenizer.NUMBER)
_NULL_TOKEN = cython.declare(cython.uchar, tokenizer.NULL)

FIELD_CODES = {name: _CODES[name] for name in ("request_counts", "errors", "metadata", "usage")}
"""The code of each field that `RowReader.read_fields` reads."""


@cython.final
@cython.cclass
class RowReader:
    """Reads JSON text as one dialect writes it; used by one thread at a time."""

    _tokens: Tokenizer
    _statuses: WordTable
    _any_spelling: cython.bint
    _null_times: cython.longlong[::1]
    _milliseconds: cython.bint
    _null_text: cython.bint
    _null_counts: cython.bint
    _batch_hash: cython.longlong
    _line_bytes_max: cython.Py_ssize_t
    _seed: cython.ulonglong
    _rows: cython.longlong[::1]
    _observed_at: cython.double
    _timestamp: cython.double

    def __init__(self, dialect: Dialect, seed: int = layout.HASH_SEED) -> None:
        self._seed = seed
        self._tokens = Tokenizer(WordTable(_KEYS, seed))
        self._statuses = WordTable(status_codes(dialect), seed)
        self._any_spelling = dialect.any_spelling
        self._null_times = null_times(dialect)
        self._milliseconds = "milliseconds" in dialect.time_formats
        self._null_text, self._null_counts = dialect.null_text, dialect.null_counts
        self._batch_hash = hash_text(b"batch", 0, 5, seed)
        self._line_bytes_max = OBJECT_CHARS_MAX
        self._rows = array("q")
        self._observed_at = self._timestamp = _NAN

    def read_lines(self, text: Any, is_utf8: bool) -> tuple[int, int, Any, Any, Any, Any, Any]:
        """
        Read whole lines.

        Args:
            text: The lines, each with its end, and `PAD` line ends more; a bytearray.
            is_utf8: True if all of it is UTF-8.

        Returns:
            How many lines there are, and how many rows: the lines that are not blank. Then of each row its values,
            its time of observation (NaN if absent), 1 if it is decoded, the offset of its line, and the index of its
            line.
        """
        lines = count_lines(text, len(text) - tokenizer.PAD)
        rows, observed_at, decoded = layout.new_rows(lines), array("d", bytes(8 * lines)), bytearray(lines)
        offsets, indices = array("q", bytes(8 * lines)), array("q", bytes(8 * lines))
        times: cython.double[::1] = observed_at
        marks: cython.uchar[::1] = decoded
        starts: cython.longlong[::1] = offsets
        numbers: cython.longlong[::1] = indices
        kept: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = 0
        self._rows = rows
        self._tokens.load(text, is_utf8)
        with cython.nogil:
            for line in range(lines):
                start = at
                at = self._tokens.skip_space(at)
                if self._tokens.text[at] == 10:
                    at += 1
                    continue
                end = self._read_line(at, kept * _WIDTH)
                marks[kept] = end >= 0
                times[kept] = self._timestamp if self._observed_at != self._observed_at else self._observed_at
                starts[kept], numbers[kept] = start, line
                at = end if end >= 0 else at
                while self._tokens.text[at] != 10:
                    at += 1
                at += 1
                if at - start > self._line_bytes_max:
                    marks[kept] = 0
                kept += 1
        self._tokens.unload()
        self._rows = times = marks = starts = numbers = None
        if kept < lines:
            del rows[kept * layout.WIDTH :], observed_at[kept:], decoded[kept:], offsets[kept:], indices[kept:]
        return lines, kept, rows, observed_at, decoded, offsets, indices

    def read_documents(self, text: Any, offsets: Any, rows: Any, observed_at: Any, decoded: Any) -> None:
        """
        Read texts of one JSON document each.

        Args:
            text: The texts, one behind the other, and `PAD` line ends; without line ends inside. A bytearray, in
                which one byte is written over for a moment.
            offsets: Where each text begins, and the last one ends; `array('q')`.
            rows: Filled with the values of each row.
            observed_at: Filled with the times that the documents give; NaN for none.
            decoded: Set to 0 for each row that is not decoded.
        """
        letters: cython.uchar[::1] = text
        starts: cython.longlong[::1] = offsets
        times: cython.double[::1] = observed_at
        marks: cython.uchar[::1] = decoded
        self._rows = rows
        self._tokens.load(text, True)
        with cython.nogil:
            for row in range(len(marks)):
                at = self._scan_span(letters, starts[row], starts[row + 1])
                self._observed_at = self._timestamp = _NAN
                if at < 0 or not self._read_document(row * _WIDTH):
                    marks[row] = 0
                times[row] = self._timestamp if self._observed_at != self._observed_at else self._observed_at
        self._tokens.unload()
        self._rows = None

    def read_fields(self, code: int, text: Any, offsets: Any, rows: Any, decoded: Any) -> None:
        """
        Read texts that hold the JSON value of one field each; an empty text is null.

        Args:
            code: Out of `FIELD_CODES`.
            text: As for `read_documents`.
            offsets: As for `read_documents`.
            rows: The columns of the field are filled.
            decoded: Set to 0 for each row whose text is not of the wire's type.
        """
        letters: cython.uchar[::1] = text
        starts: cython.longlong[::1] = offsets
        marks: cython.uchar[::1] = decoded
        field: cython.int = code
        self._rows = rows
        self._tokens.load(text, True)
        with cython.nogil:
            for row in range(len(marks)):
                if starts[row] == starts[row + 1]:
                    continue
                at = self._scan_span(letters, starts[row], starts[row + 1])
                if at < 0 or not self._read_value(field, 0, row * _WIDTH):
                    marks[row] = 0
        self._tokens.unload()
        self._rows = None

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _scan_span(
        self, text: cython.uchar[::1], start: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Scan the one value of `text[start:end]`; return its end, or INVALID if anything else is there."""
        behind = text[end]
        # A value that breaks off ends here. Else it could reach to the end of the buffer, and so could the next one.
        text[end] = 10
        at = self._tokens.skip_space(start)
        at = self._tokens.scan(at) if at < end else -1
        if at >= 0 and self._tokens.skip_space(at) < end:
            at = -1
        text[end] = behind
        return at

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_line(self, at: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a line into the row at `base`; return where the line ends, or INVALID if it is not decoded."""
        self._observed_at = self._timestamp = _NAN
        if self._tokens.text[at] != 123:  # {
            return -1
        at = self._tokens.scan(at)
        if at < 0:
            return -1
        at = self._tokens.skip_space(at)
        return at if self._tokens.text[at] == 10 and self._read_document(base) else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_document(self, base: cython.Py_ssize_t) -> cython.int:
        """Read the scanned value, a batch or an envelope, into the row at `base`; return whether it is decoded."""
        self._clear(base)
        if self._tokens.kinds[0] != _OBJECT_TOKEN:
            return False
        met = self._read_batch(0, base, False)
        if met == _ENVELOPE:
            self._clear(base)
            return self._read_envelope(base)
        return met >= 0 and met & _REQUIRED == _REQUIRED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _clear(self, base: cython.Py_ssize_t) -> cython.int:
        for column in range(_WIDTH):
            self._rows[base + column] = _NULL
        self._rows[base + _FLAGS] = 0
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _hash(self, token: cython.Py_ssize_t, seed: cython.ulonglong) -> cython.longlong:
        """Return the hash of the bytes of a token."""
        return hash_text(self._tokens.text, self._tokens.starts[token], self._tokens.ends[token], seed)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _behind(self, token: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Return the token behind a value."""
        if self._tokens.kinds[token] > _LIST_TOKEN:  # No container; those come first.
            return token + 1
        return cython.cast(cython.Py_ssize_t, self._tokens.values[token])

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _is_container(self, token: cython.Py_ssize_t) -> cython.bint:
        return self._tokens.kinds[token] <= _LIST_TOKEN

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_batch(self, token: cython.Py_ssize_t, base: cython.Py_ssize_t, is_inside: cython.bint) -> cython.longlong:
        """
        Read the object at a token as a batch.

        Returns:
            The bits of the codes of its keys; `_ENVELOPE` if the object may be an envelope and is not itself inside
            one; INVALID if a field is not of the wire's type or spelling.
        """
        end = self._behind(token)
        met: cython.longlong = 0
        token += 1
        while token < end:
            code = self._tokens.codes[token]
            token += 1
            if code == _OTHER_SPELLING:
                return -1
            if code == _WRAPPER or code == _DATA:
                if not is_inside and self._is_container(token):
                    return _ENVELOPE
            elif 0 <= code < _TOTAL or _ID <= code <= _METADATA:
                if not self._read_value(code, token, base):
                    return -1 if is_inside else _ENVELOPE  # An envelope may have a `status` of HTTP: 200.
                met |= cython.cast(cython.longlong, 1) << code
            token = self._behind(token)
        return met

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_envelope(self, base: cython.Py_ssize_t) -> cython.int:
        """Read the scanned object as an envelope of one batch; return whether it is decoded."""
        token: cython.Py_ssize_t = 1
        end = self._behind(0)
        is_found: cython.bint = False
        met: cython.longlong = 0
        while token < end:
            code = self._tokens.codes[token]
            token += 1
            if code == _OBJECT or code == _OTHER_SPELLING:
                return False
            if (code == _WRAPPER or code == _DATA) and self._is_container(token):
                if is_found or self._tokens.kinds[token] != _OBJECT_TOKEN:
                    return False  # A page, or one of two wrappers: the row engine chooses.
                is_found = True
                met_inside = self._read_batch(token, base, True)
                if met_inside < 0 or met_inside & _REQUIRED != _REQUIRED:
                    return False
            elif code == _OBSERVED_AT or code == _TIMESTAMP:
                if not self._read_observation_time(code, token):
                    return False
            elif 0 <= code < _WRAPPER:
                met |= cython.cast(cython.longlong, 1) << code
            token = self._behind(token)
        # With all that a batch needs the object would be a batch itself.
        return is_found and met & _REQUIRED != _REQUIRED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_observation_time(self, code: cython.int, token: cython.Py_ssize_t) -> cython.int:
        """Read `observed_at` or `timestamp`; return False if it is no time that is read here."""
        kind = self._tokens.kinds[token]
        if kind == _NULL_TOKEN:
            return True
        if kind != _TEXT_TOKEN and kind != _INTEGER_TOKEN and kind != _NUMBER_TOKEN:
            return False
        seconds = observation_time(
            self._tokens.text, self._tokens.starts[token], self._tokens.ends[token], kind == _TEXT_TOKEN
        )
        if code == _OBSERVED_AT:
            self._observed_at = seconds
        else:
            self._timestamp = seconds
        return seconds == seconds  # Not NaN.

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_value(self, code: cython.int, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        """Read the value of a field into its columns; return False if it is not of the wire's type."""
        kind = self._tokens.kinds[token]
        if code == _ID:
            return self._read_id(token, base)
        if code == _STATUS:
            return self._read_status(token, base)
        if kind == _NULL_TOKEN:
            return True
        if code < _FIRST_TEXT:
            return kind == _INTEGER_TOKEN and self._read_time(code, self._tokens.values[token], base)
        if code < _TOTAL:
            return self._read_text(code, token, base)
        if code == _OBJECT:
            return self._read_object(token, base)
        if code == _COUNTS:
            return kind == _OBJECT_TOKEN and self._read_counts(token, base)
        if code == _ERRORS:
            return self._read_errors(token, base)
        if code == _METADATA:
            return self._read_metadata(token, base)
        # No rule reads the others, but the wire has a type for each.
        if code == _MODEL:
            return kind == _TEXT_TOKEN or kind == _UTF8_TOKEN or kind == _ESCAPED_TOKEN
        return kind == _OBJECT_TOKEN  # usage

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_time(self, column: cython.int, value: cython.longlong, base: cython.Py_ssize_t) -> cython.int:
        for index in range(len(self._null_times)):
            if value == self._null_times[index]:
                return True
        if self._milliseconds and value > _TIME_MAX:
            value //= 1000
        self._rows[base + column] = value
        return 0 < value <= _TIME_MAX

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_text(self, column: cython.int, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        start = self._tokens.starts[token]
        end = self._tokens.ends[token]
        if self._tokens.kinds[token] != _TEXT_TOKEN and self._tokens.kinds[token] != _UTF8_TOKEN:
            return False
        if start == end and (self._null_text or (column != _FIRST_TEXT and column != _WINDOW)):
            return True  # An empty file id is null.
        self._rows[base + column] = self._hash(token, self._seed)
        if column == _WINDOW:
            self._rows[base + _WINDOW_S] = window_seconds(self._tokens.text, start, end)
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _is_word(self, token: cython.Py_ssize_t) -> cython.bint:
        """Return whether a token is a text without escapes that is not empty."""
        kind = self._tokens.kinds[token]
        if kind != _TEXT_TOKEN and kind != _UTF8_TOKEN:
            return False
        return self._tokens.starts[token] < self._tokens.ends[token]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_id(self, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        start = self._tokens.starts[token]
        end = self._tokens.ends[token]
        if not self._is_word(token):
            return False
        self._rows[base + _ID_LOW] = self._hash(token, _PUBLIC_SEED)
        self._rows[base + _ID_HIGH] = self._hash(token, self._seed)
        self._rows[base + _ID_TIME] = id_seconds(self._tokens.text, start, end)
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_status(self, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        if not self._is_word(token):
            return False
        code = self._statuses.find(
            self._hash(token, self._seed), self._tokens.text, self._tokens.starts[token], self._tokens.ends[token]
        )  # -1: UNKNOWN.
        self._rows[base + _STATUS_COLUMN] = code
        return code >= 0 or not self._any_spelling  # Another spelling of a known word: the row engine reads it.

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_object(self, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        if not self._is_word(token):
            return False  # An escape may spell the word, and an empty text be null.
        if self._hash(token, self._seed) != self._batch_hash:
            self._rows[base + _FLAGS] |= _NOT_A_BATCH
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_counts(self, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        end = self._behind(token)
        given: cython.int = 0
        token += 1
        while token < end:
            column = self._tokens.codes[token]
            if not _TOTAL <= column <= _FAILED:
                return False
            if self._tokens.kinds[token + 1] == _INTEGER_TOKEN:
                self._rows[base + column] = self._tokens.values[token + 1]
                given += 1
            elif self._tokens.kinds[token + 1] != _NULL_TOKEN:
                return False
            token += 2
        self._rows[base + _FLAGS] |= _COUNTS_SET
        return given == 3 or self._null_counts

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_errors(self, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        """Read a list of errors, or an object that holds one; the column is the hash of the bytes."""
        first = token
        end = self._behind(token)
        entries: cython.int = 0
        if self._tokens.kinds[token] == _LIST_TOKEN:
            entries = self._count_errors(token)
        elif self._tokens.kinds[token] == _OBJECT_TOKEN:
            token += 1
            while token < end:
                code = self._tokens.codes[token]
                token += 1
                if code == _DATA:
                    if self._tokens.kinds[token] == _LIST_TOKEN:
                        entries = self._count_errors(token)
                    elif self._tokens.kinds[token] != _NULL_TOKEN:
                        return False
                elif code != _OBJECT or self._is_container(token):
                    return False
                token = self._behind(token)
            if token == first + 1:
                return False  # An object without keys is no list.
        else:
            return False
        if entries > 0:
            self._rows[base + _ERRORS_COLUMN] = self._hash(first, self._seed)
        return entries >= 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _count_errors(self, token: cython.Py_ssize_t) -> cython.int:
        """Return how many errors a list holds; -1 if one is not as the wire has it."""
        end = self._behind(token)
        count: cython.int = 0
        token += 1
        while token < end:
            if self._tokens.kinds[token] != _OBJECT_TOKEN:
                return -1
            inner_end = self._behind(token)
            token += 1
            while token < inner_end:
                code = self._tokens.codes[token]
                kind = self._tokens.kinds[token + 1]
                if not _CODE <= code <= _LINE:
                    return -1
                if kind != _NULL_TOKEN:
                    if code == _LINE:
                        if kind != _INTEGER_TOKEN:
                            return -1
                    elif kind != _TEXT_TOKEN and kind != _UTF8_TOKEN and kind != _ESCAPED_TOKEN:
                        return -1
                token += 2
            count += 1
        return count

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _read_metadata(self, token: cython.Py_ssize_t, base: cython.Py_ssize_t) -> cython.int:
        """Read metadata and check their size (S006); False where characters decide, and not bytes."""
        end = self._behind(token)
        pairs: cython.int = 0
        is_beyond: cython.bint = False
        if self._tokens.kinds[token] == _LIST_TOKEN:
            return end == token + 1  # PHP writes an empty object so.
        if self._tokens.kinds[token] != _OBJECT_TOKEN:
            return False
        token += 1
        while token < end:
            is_beyond = is_beyond or self._tokens.ends[token] - self._tokens.starts[token] > _KEY_BYTES_MAX
            token += 1
            kind = self._tokens.kinds[token]
            size = self._tokens.ends[token] - self._tokens.starts[token]
            if kind == _TEXT_TOKEN:
                is_beyond = is_beyond or size > _VALUE_BYTES_MAX
            elif kind == _UTF8_TOKEN or kind == _ESCAPED_TOKEN:
                if size > _VALUE_BYTES_MAX:
                    return False
            else:
                is_beyond = True  # A value that is no text.
            pairs += 1
            token = self._behind(token)
        if is_beyond or pairs > _PAIRS_MAX:
            self._rows[base + _FLAGS] |= _METADATA_LIMIT
        return True
