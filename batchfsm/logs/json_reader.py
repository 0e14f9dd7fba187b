"""Reader of one open log: JSON in any layout and text forms, in bounded memory and linear time."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from json import JSONDecodeError
from typing import BinaryIO, Final

import attrs

from batchfsm.errors import SourceError
from batchfsm.finding import LogPosition
from batchfsm.logs.compression import TruncatedStreamError, decompressing_reader
from batchfsm.logs.foreign_formats import HEAD_BYTES, PARQUET_MAGIC, reject_foreign_format
from batchfsm.logs.sdk_text.detection import TextForm, first_start, starts_record
from batchfsm.snapshot import fast_constructor
from batchfsm.wire import decode_problem, decoder, is_batch, make_scanner, unwrap

OBJECT_CHARS_MAX: Final = 32 * 2**20
"""The longest object, or line, that is read; a longer one is skipped and reported."""

TEXT_LINES_MAX: Final = 256
"""The most lines that one text form may take; `console.log` of a batch takes fifty."""

_RETRIES_MAX: Final = 64 * TEXT_LINES_MAX  # Lines that may be read in vain as the rest of a text form, in all;
_RETRIES_PER_LINE: Final = 8  # and so many more for each line that the reader advances.
_CHUNK_CHARS: Final = 2**16
# The window drops what was read beyond this: `JSONDecodeError` counts the line ends from the start of the window.
_CONSUMED_CHARS_MAX: Final = 4 * _CHUNK_CHARS
_JSON_HEAD: Final = re.compile(r"\{\s*+\"(?!\w*+\" ?=>)")
_NO_OBJECT: Final = "expected an object"
_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_SPACE_OR_COMMA: Final = re.compile(r"[ \t\r\n,]*+")
_SPACE_OR_EMPTY_ARRAYS: Final = re.compile(r"(?:[ \t\r\n]++|\[[ \t\r\n]*+\])*+")
_BLANK_OR_EMPTY_ARRAYS: Final = re.compile(r"(?:[ \t\r]++|\[[ \t\r]*+\])*+")
"""Beside objects an empty array is like a blank: it holds no batch, and is no unreadable place."""
_MORE_EMPTY_OBJECTS: Final = re.compile(r"(?:[ \t\r]++|\[[ \t\r]*+\]|\{[ \t\r]*+\})*+")
_MORE_EMPTY_ITEMS: Final = re.compile(r"(?:[ \t\r,]*+(?:\{[ \t\r]*+\}|\[[ \t\r]*+\]))*+")
"""Further empty values on the line of one: together they are one unreadable place, so one record is enough."""


@attrs.frozen
class RawRecord:
    """One decoded object of a log, not parsed yet: a batch, an envelope, a page or something else."""

    place: LogPosition
    found: object


@attrs.frozen
class UnreadableEntry:
    """A place in a log that could not be read, or not in full."""

    place: LogPosition
    """The position in the log."""
    problem: str
    """The reason, in half a sentence."""
    is_cut_off: bool = False
    """True if the log is incomplete from here on: a compressed stream or an array has no end."""
    is_partial: bool = False
    """True if a batch was read here, except for fields that the text does not show."""


_make_place: Final[Callable[[str, int], LogPosition]] = fast_constructor(LogPosition)
_make_record: Final[Callable[[LogPosition, object], RawRecord]] = fast_constructor(RawRecord)


class RecordReader:
    """Iterator over the objects of a binary stream; gzip and zstd are recognised by their first bytes."""

    def __init__(
        self, binary: BinaryIO, name: str, form: TextForm | None, *, detects: bool = True, line: int = 1
    ) -> None:
        """
        Store the stream; reading begins with iteration.

        Args:
            binary: The stream; left open.
            name: The name of the log in positions.
            form: The text form that every line is in; None for JSON.
            detects: True if lines that are not JSON are tried as text forms.
            line: The number of the first line of the stream.
        """
        self._binary, self._name, self._form, self._detects = binary, name, form, detects
        self._read: Callable[[int], bytes] = binary.read
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self._is_utf8 = True
        self._scan = make_scanner()
        self._text, self._at, self._line = "", 0, line
        self._array_line = line  # Of the last value in an array, or of its beginning.
        self._ended = False
        self._broken: str | None = None
        self._retry_budget = _RETRIES_MAX

    def __iter__(self) -> Iterator[RawRecord | UnreadableEntry]:
        """Yield every object, and an entry for every place that is none, in order."""
        self._open()
        in_array = False
        while True:
            if self._form is None:
                yield from self._whole_values() if in_array else self._whole_objects()
            char = self._skip(_SPACE_OR_COMMA if in_array else _SPACE)
            if char is None:
                break
            if char == "]" and in_array:
                in_array = False
                self._advance(1)
            elif char == "[" and not in_array and self._form is None and self._opens_array():
                in_array, self._array_line = True, self._line
                self._advance(1)
            else:
                yield self._read_next(char, in_array=in_array)
        if self._broken is not None:
            yield UnreadableEntry(self._place(), self._broken, is_cut_off=True)
        elif in_array:
            place = _make_place(self._name, self._array_line)
            yield UnreadableEntry(place, "the array is not closed: the log may be cut off", is_cut_off=True)

    def _whole_objects(self) -> Iterator[RawRecord]:
        """Yield objects as long as each ends inside the window; `_read_next` reads the others."""
        text, name, scan = self._text, self._name, self._scan
        is_utf8, size = self._is_utf8 or text.isascii(), len(text)
        self._advance(self._end_of(_SPACE_OR_EMPTY_ARRAYS, self._at) - self._at)
        while text.startswith("{", self._at):
            start = self._at
            try:
                found, end = scan(text, start)
                if end == size:
                    return
                if not is_utf8:
                    text[start:end].encode()  # Bytes that are not UTF-8 were let in as lone surrogates.
            except (ValueError, RecursionError):
                return
            record = _make_record(_make_place(name, self._line), found)
            if not found:
                end = self._end_of(_MORE_EMPTY_OBJECTS, end)
            if text[end : end + 1] == "\n" and self._retry_budget == _RETRIES_MAX and text.find("\n", start, end) < 0:
                self._line += 1
                self._at = end + 1
            else:
                end = self._end_of(_BLANK_OR_EMPTY_ARRAYS, end)
                self._advance(end - start + text.startswith("\n", end))
            yield record

    def _whole_values(self) -> Iterator[RawRecord | UnreadableEntry]:
        """Yield values of an array as long as each ends inside the window; one entry for each line with scalars."""
        text, scan, size, line = self._text, self._scan, len(self._text), 0
        is_utf8 = self._is_utf8 or text.isascii()
        while True:
            self._advance(self._end_of(_SPACE_OR_COMMA, self._at) - self._at)
            start = self._at
            if start == size or text[start] == "]":
                return
            try:
                found, end = scan(text, start)
                if end == size:
                    return
                if not is_utf8:
                    text[start:end].encode()  # Bytes that are not UTF-8 were let in as lone surrogates.
            except (ValueError, RecursionError):
                return
            place = _make_place(self._name, self._line)
            self._array_line = self._line
            if not found and isinstance(found, dict | list):
                end = self._end_of(_MORE_EMPTY_ITEMS, end)
            self._advance(end - start)
            if isinstance(found, dict | list):
                yield _make_record(place, found)
            elif place.line != line:
                line = place.line
                yield UnreadableEntry(place, _NO_OBJECT)

    def _read_next(self, char: str, *, in_array: bool) -> RawRecord | UnreadableEntry:
        """Return the object or the text form that begins here, or an entry for a line that is neither; advance."""
        place, problem = self._place(), None
        self._array_line = self._line
        if self._form is None and (char in "{[" or in_array):
            found, problem = self._decode_value()
            if problem is None:
                is_object = isinstance(found, dict | list)
                return RawRecord(place, found) if is_object else UnreadableEntry(place, _NO_OBJECT)
        line = self._lines(1)
        if line is None:
            self._skip_line()
            return UnreadableEntry(place, f"longer than {OBJECT_CHARS_MAX:,} characters")
        two, form = self._lines(2) or line, self._form
        start = first_start(two) if form is None and self._detects else None
        if form is None and (embedded := self._embedded_json(two, line, start)):
            return attrs.evolve(embedded, place=place)
        form = start[1] if start else form
        if form is not None and starts_record(two, form):
            found, problem = self._read_text_form(form)
            if found is not None:
                return RawRecord(place, found)
        elif form is not None:
            problem = f"not read as {form}'s text of a batch"
        self._advance(len(line))
        return UnreadableEntry(place, problem or _line_problem(line))

    def _embedded_json(
        self, two: str, line: str, text_start: tuple[int, TextForm] | None
    ) -> RawRecord | UnreadableEntry | None:
        """Return the batches of a line with JSON behind a logger's prefix, and advance; None if there are none."""
        head = _JSON_HEAD.search(two)
        if head is None or not 0 < head.start() < len(line) or (text_start and text_start[0] <= head.start()):
            return None
        batches: list[object] = []
        while head is not None:
            try:
                found, at = decoder.raw_decode(line, head.start())
                line[head.start() : at].encode()  # Bytes that are not UTF-8 were let in as lone surrogates.
            except JSONDecodeError as error:
                if batches or not _reaches_end(error, line):
                    break
                return self._embedded_lines(head.start(), line)
            except (ValueError, RecursionError):
                break
            if _holds_batch(found):
                batches.append(found)
            head = _JSON_HEAD.search(line, at)
        if not batches:
            return None
        self._advance(len(line))
        if head is not None:
            return UnreadableEntry(self._place(), "the JSON on this line breaks off")
        return RawRecord(self._place(), batches[0] if len(batches) == 1 else batches)

    def _embedded_lines(self, start: int, line: str) -> RawRecord | UnreadableEntry:
        """Read JSON that begins behind a prefix and continues on the next lines, and advance."""
        self._advance(start)
        found, problem = self._decode_value()
        if problem is None and _holds_batch(found):
            self._advance(len(self._lines(1) or ""))  # A logger's suffix.
            return RawRecord(self._place(), found)
        if problem is None:
            return UnreadableEntry(self._place(), "no batch in the JSON on this line")
        place = self._place()
        self._advance(len(line) - start)
        return UnreadableEntry(place, "the JSON on this line breaks off")

    def _decode_value(self) -> tuple[object, str | None]:
        """Decode the JSON value that begins here, and advance; or return the problem."""
        if self._at > _CONSUMED_CHARS_MAX:
            self._text, self._at = self._text[self._at :], 0
        while True:
            try:
                found, end = decoder.raw_decode(self._text, self._at)
                piece = self._text[self._at : end]
                if not piece.isascii():
                    piece.encode()  # Bytes that are not UTF-8 were let in as lone surrogates.
            except JSONDecodeError as error:
                # It may only be cut off by the window. A string is reported where it began.
                may_go_on = error.msg.startswith("Unterminated string") or error.pos + 16 > len(self._text)
                if may_go_on and len(self._text) - self._at <= OBJECT_CHARS_MAX and self._fill_buffer():
                    continue
                return None, self._json_problem(error)
            except (ValueError, RecursionError) as error:
                return None, decode_problem(error)
            if end == len(self._text) and not isinstance(found, dict | list) and self._fill_buffer():
                continue  # 12 may be the beginning of 123.
            self._advance(end - self._at)
            return found, None

    def _json_problem(self, error: JSONDecodeError) -> str:
        """Return why JSON that begins here could not be read, and whether it ends with its line."""
        end = self._text.find("\n", self._at)
        line = self._text[self._at : len(self._text) if end < 0 else end].rstrip()
        behind = self._text[self._at + len(line) : error.pos]
        is_cut = error.pos >= self._at + len(line) and not behind.strip()
        if is_cut or error.msg.startswith("Unterminated string"):
            return f"not JSON: the line breaks off (column {len(line) + 1})"
        return decode_problem(error)

    def _read_text_form(self, form: TextForm) -> tuple[dict[str, object] | None, str | None]:
        """Read the text form that begins on this line, and advance; or return the problem."""
        # Few logs hold text, and the patterns of its parsers would take a tenth of the start of each command.
        from batchfsm.logs.sdk_text.literals import TextError  # noqa: PLC0415
        from batchfsm.logs.sdk_text.parsers import is_complete, read_text  # noqa: PLC0415

        few, many, most = 0, 1, min(self._retry_budget, TEXT_LINES_MAX)
        if most > 1 and not is_complete(self._lines(1) or "", form):
            most = self._lines_before_json(most)
        while many < most and not is_complete(self._lines(many) or "", form):
            few, many = many, min(2 * many, most)
        while many - few > 1:  # Find the fewest lines with the whole form: the line after them may begin another one.
            middle = (few + many) // 2
            few, many = (few, middle) if is_complete(self._lines(middle) or "", form) else (middle, many)
        text = self._lines(many) or ""
        try:
            reading = read_text(text, form)
        except TextError as error:
            # In a log of many beginnings without an end, each line would be read up to 256 times: the budget bounds
            # that. It is large enough that a few of them do not make the good text behind them unreadable.
            self._retry_budget = max(0, self._retry_budget - many)
            if error.truncated or not is_complete((self._lines(1) or "").rstrip("\r\n"), form):
                return None, f"{form}'s text of a batch is cut off"
            return None, f"not read as {form}'s text of a batch: {error.problem}"
        self._advance(len(text))
        return {**reading.fields, **reading.unread}, None

    def _lines_before_json(self, most: int) -> int:
        """Return how many of the next lines come before one that is a JSON object by itself; `most` if none is."""
        # A text that does not close would find its end in the JSON behind it.
        _, *others = (self._lines(most) or "").split("\n", most)
        return next((number for number, line in enumerate(others, 1) if _is_json_object(line)), most)

    def _open(self) -> None:
        self._read = decompressing_reader(self._binary)
        self._fill_buffer()
        if self._line == 1:
            if self._detects and self._text.startswith(PARQUET_MAGIC.decode()):
                raise SourceError(f"{self._name}: Parquet from a pipe, or compressed: name an uncompressed file")
            reject_foreign_format(self._text[:HEAD_BYTES].encode(errors="surrogateescape")[:HEAD_BYTES], self._name)
            self._text = self._text.removeprefix("\ufeff")  # Programs on Windows write a byte order mark before UTF-8.

    def _fill_buffer(self) -> bool:
        """Double the unread part of the window, so that reading stays linear; False at the end."""
        if self._ended:
            return False
        unread = self._text[self._at :]
        pieces = [unread]
        wanted = max(_CHUNK_CHARS, len(unread))
        while wanted > 0 and not self._ended:
            try:
                chunk = self._read(wanted)
            except TruncatedStreamError as error:
                chunk, self._broken = b"", f"the log breaks off: {error}"
            self._ended = not chunk
            pieces.append(self._decoded(chunk))
            wanted -= len(chunk)
        self._text, self._at = "".join(pieces), 0
        return len(self._text) > len(unread) or not self._ended

    def _decoded(self, chunk: bytes) -> str:
        """Decode the next bytes; from the first that is not UTF-8 on, invalid bytes become lone surrogates."""
        state = self._utf8.getstate()
        try:
            return self._utf8.decode(chunk, final=self._ended)
        except UnicodeDecodeError:
            self._is_utf8 = False
            self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
            self._utf8.setstate(state)
            return self._utf8.decode(chunk, final=self._ended)

    def _skip(self, blank: re.Pattern[str]) -> str | None:
        """Skip blanks and return the next character, without advancing past it; None at the end."""
        while True:
            self._advance(self._end_of(blank, self._at) - self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill_buffer():
                return None

    def _opens_array(self) -> bool:
        """Return True if `[` begins a JSON array, not a line such as `[2026-11-22] INFO ...` or a printed list."""
        while True:
            start = self._end_of(_SPACE, self._at + 1)
            inside = self._end_of(_SPACE, start + 1)
            if inside < len(self._text):
                return (
                    self._text[start] in "[]"
                    or _JSON_HEAD.match(self._text, start) is not None
                    or (self._text.startswith("{", start) and self._text[inside] == "}")
                )
            if not self._fill_buffer():
                return self._text.startswith(("[", "]"), start)

    def _end_of(self, blank: re.Pattern[str], start: int) -> int:
        """Return the end of the blank that begins at `start`; `start` if there is none."""
        found = blank.match(self._text, start)
        return found.end() if found else start

    def _lines(self, count: int) -> str | None:
        """Return the next lines without advancing; None if the first is longer than the limit."""
        while True:
            end = self._at
            for _ in range(count):
                end = self._text.find("\n", end) + 1
                if not end:
                    break
            if end:
                return self._text[self._at : end]
            if len(self._text) - self._at > OBJECT_CHARS_MAX:
                return None
            if not self._fill_buffer():
                return self._text[self._at :]

    def _skip_line(self) -> None:
        while True:
            end = self._text.find("\n", self._at) + 1
            if end:
                self._advance(end - self._at)
                return
            self._at = max(self._at, len(self._text) - 1)  # A skipped line is not kept in the window.
            if not self._fill_buffer():
                self._at = len(self._text)
                return

    def _advance(self, chars: int) -> None:
        lines = self._text.count("\n", self._at, self._at + chars)
        self._retry_budget = min(self._retry_budget + lines * _RETRIES_PER_LINE, _RETRIES_MAX)
        self._line += lines
        self._at += chars

    def _place(self) -> LogPosition:
        return LogPosition(self._name, self._line)


def _is_json_object(line: str) -> bool:
    """Return whether a line is one JSON object, and not an empty one."""
    if _JSON_HEAD.match(line.lstrip()) is None:
        return False
    try:
        decoder.decode(line.strip())
    except (ValueError, RecursionError):
        return False
    return True


def _reaches_end(error: JSONDecodeError, line: str) -> bool:
    """Return whether JSON is valid up to the end of its line, and so may continue on the next one."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(line.rstrip())


def _holds_batch(found: object) -> bool:
    """Return whether an object is a batch, or an envelope or a page with one in it."""
    return any(isinstance(batch, dict) and is_batch(batch) for batch, _ in unwrap(found))


def _line_problem(line: str) -> str:
    """Return the reason why a line is no object, in half a sentence."""
    try:
        decoder.decode(line.strip())
    except (ValueError, RecursionError) as error:
        return decode_problem(error)
    return _NO_OBJECT
