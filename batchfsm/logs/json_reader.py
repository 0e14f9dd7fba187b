"""One open log, object by object: JSON in any layout, and text forms; bounded memory, linear time."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from json import JSONDecodeError
from typing import BinaryIO, Final

import attrs

from batchfsm.finding import LogPosition
from batchfsm.logs.compression import TruncatedStreamError, decompressing_reader
from batchfsm.logs.sdk_text.parsers import TextError, TextForm, detect, is_complete, read_text, starts_record
from batchfsm.snapshot import UNREADABLE, fast_constructor
from batchfsm.wire import decode_problem, decoder, make_scanner

OBJECT_CHARS_MAX: Final = 32 * 2**20
"""The longest object, or line, that is read; a longer one is passed over in pieces, and named."""

TEXT_LINES_MAX: Final = 256
"""The most lines that a text form is put together from; `console.log` of a batch takes fifty."""

_PATIENCE_MAX: Final = 64 * TEXT_LINES_MAX  # How many lines may be tried in vain, all in all,
_TRIES_A_LINE: Final = 8  # and how many more for each line that is passed.
_CHUNK_CHARS: Final = 2**16
_PASSED_CHARS_MAX: Final = 4 * _CHUNK_CHARS  # An error of JSON's counts the lines before it in the window.
_NO_OBJECT: Final = "expected an object"
_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_SPACE_OR_COMMA: Final = re.compile(r"[ \t\r\n,]*+")


@attrs.frozen
class RawRecord:
    """One object in a log, not read yet: a batch, an envelope, a page or something else."""

    place: LogPosition
    found: object


@attrs.frozen
class UnreadableEntry:
    """Something in a log that could not be read, or not in full."""

    place: LogPosition
    problem: str
    """What is wrong, in half a sentence."""


_make_place: Final[Callable[[str, int], LogPosition]] = fast_constructor(LogPosition)
_make_sighting: Final[Callable[[LogPosition, object], RawRecord]] = fast_constructor(RawRecord)


class RecordReader:
    """A window that moves over a binary stream; gzip and zstd are recognised by their first bytes."""

    def __init__(
        self, binary: BinaryIO, name: str, form: TextForm | None, *, detects: bool = True, line: int = 1
    ) -> None:
        """
        Read nothing yet.

        Args:
            binary: The stream; left open.
            name: What places call it.
            form: The text form that every line is in; None for JSON.
            detects: True if a line that is no JSON may be in a text form.
            line: Which line of the log the stream begins with.
        """
        self._binary, self._name, self._form, self._detects = binary, name, form, detects
        self._read: Callable[[int], bytes] = binary.read
        self._utf8 = codecs.getincrementaldecoder("utf-8")("strict")
        self._is_utf8 = True
        self._scan = make_scanner()
        self._text, self._at, self._line = "", 0, line
        self._ended = False
        self._broken: str | None = None
        self._retry_budget = _PATIENCE_MAX

    def __iter__(self) -> Iterator[RawRecord | UnreadableEntry]:
        """Yield every object, and whatever else stands there, in order."""
        self._open()
        in_array = False
        while True:
            if self._form is None and not in_array:
                yield from self._whole_objects()
            char = self._skip(_SPACE_OR_COMMA if in_array else _SPACE)
            if char is None:
                break
            if char == "]" and in_array:
                in_array = False
                self._advance(1)
            elif char == "[" and not in_array and self._form is None and self._opens_array():
                in_array = True
                self._advance(1)
            else:
                yield self._next(char, in_array=in_array)
        if self._broken is not None:
            yield UnreadableEntry(self._place(), self._broken)
        elif in_array:
            yield UnreadableEntry(self._place(), "the array is not closed: the log may be cut off")

    def _whole_objects(self) -> Iterator[RawRecord]:
        """Decode and pass objects, one a line, as long as they end inside the window; what follows needs more care."""
        text, name, scan = self._text, self._name, self._scan
        is_utf8, size = self._is_utf8 or text.isascii(), len(text)
        self._advance(text.startswith("\n", self._at))
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
            sighting = _make_sighting(_make_place(name, self._line), found)
            if text[end] == "\n" and self._retry_budget == _PATIENCE_MAX and text.find("\n", start, end) < 0:
                self._line += 1
                self._at = end + 1
            else:
                self._advance(end - start + text.startswith("\n", end))
            yield sighting

    def _next(self, char: str, *, in_array: bool) -> RawRecord | UnreadableEntry:
        """Return what stands here: an object, a text form, or a line that is neither."""
        place, problem = self._place(), None
        if self._form is None and (char in "{[" or in_array):
            found, problem = self._object()
            if problem is None:
                is_object = isinstance(found, dict | list)
                return RawRecord(place, found) if is_object else UnreadableEntry(place, _NO_OBJECT)
        line = self._lines(1)
        if line is None:
            self._drop_line()
            return UnreadableEntry(place, f"longer than {OBJECT_CHARS_MAX:,} characters")
        two, form = self._lines(2) or line, self._form
        if form is None and self._detects:
            form = detect(two)
        if form is not None and starts_record(two, form) and (text := self._text_form(form)) is not None:
            return RawRecord(place, text)
        self._advance(len(line))
        return UnreadableEntry(
            place, problem or (_scalar(line) if form is None else f"not read as {form}'s text of a batch")
        )

    def _object(self) -> tuple[object, str | None]:
        """Decode and pass what begins here; or say in its place why that cannot be."""
        if self._at > _PASSED_CHARS_MAX:
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
                return None, decode_problem(error)
            except (ValueError, RecursionError) as error:
                return None, decode_problem(error)
            if end == len(self._text) and not isinstance(found, dict | list) and self._fill_buffer():
                continue  # 12 may be the beginning of 123.
            self._advance(end - self._at)
            return found, None

    def _text_form(self, form: TextForm) -> dict[str, object] | None:
        """Read and pass the text form that begins on this line; None if it cannot be read."""
        few, many, most = 0, 1, min(self._retry_budget, TEXT_LINES_MAX)
        while many < most and not is_complete(self._lines(many) or "", form):
            few, many = many, many * 2
        while many - few > 1:  # The fewest lines that hold it whole: the next may hold another.
            middle = (few + many) // 2
            few, many = (few, middle) if is_complete(self._lines(middle) or "", form) else (middle, many)
        text = self._lines(many) or ""
        try:
            reading = read_text(text, form)
        except TextError:
            # A log full of beginnings without an end shall not cost 256 lines for each of its lines; but
            # a few of them shall not cost the good text behind them either.
            self._retry_budget = max(0, self._retry_budget - many)
            return None
        self._advance(len(text))
        return {**reading.fields, **dict.fromkeys(reading.unread, UNREADABLE)}

    def _open(self) -> None:
        self._read = decompressing_reader(self._binary)
        if self._fill_buffer() and self._line == 1 and self._text.startswith("\ufeff"):
            self._text = self._text[1:]  # Windows puts a byte order mark before UTF-8.

    def _fill_buffer(self) -> bool:
        """Widen the window: double what is unread, so that reading stays linear; False at the end."""
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
        """Decode the next bytes; once they are not UTF-8, the wrong ones become lone surrogates."""
        state = self._utf8.getstate()
        try:
            return self._utf8.decode(chunk, final=self._ended)
        except UnicodeDecodeError:
            self._is_utf8 = False
            self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
            self._utf8.setstate(state)
            return self._utf8.decode(chunk, final=self._ended)

    def _skip(self, blank: re.Pattern[str]) -> str | None:
        """Pass what is blank and return the next character without passing it; None at the end."""
        while True:
            self._advance(self._end_of(blank, self._at) - self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill_buffer():
                return None

    def _opens_array(self) -> bool:
        """Tell an array from a line such as `[2026-11-22] INFO ...`."""
        while True:
            behind = self._end_of(_SPACE, self._at + 1)
            if behind < len(self._text):
                return self._text[behind] in "{[]"
            if not self._fill_buffer():
                return False

    def _end_of(self, blank: re.Pattern[str], start: int) -> int:
        """Return where a blank ends that begins at `start`, or might."""
        found = blank.match(self._text, start)
        return found.end() if found else start

    def _lines(self, count: int) -> str | None:
        """Return some lines from here on, without passing them; None if the first is too long to hold."""
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

    def _drop_line(self) -> None:
        while True:
            end = self._text.find("\n", self._at) + 1
            if end:
                self._advance(end - self._at)
                return
            self._at = max(self._at, len(self._text) - 1)  # What is dropped need not be kept for the window.
            if not self._fill_buffer():
                self._at = len(self._text)
                return

    def _advance(self, chars: int) -> None:
        lines = self._text.count("\n", self._at, self._at + chars)
        self._retry_budget = min(self._retry_budget + lines * _TRIES_A_LINE, _PATIENCE_MAX)
        self._line += lines
        self._at += chars

    def _place(self) -> LogPosition:
        return LogPosition(self._name, self._line)


def _scalar(line: str) -> str:
    """Say why a line that is no object is not read."""
    try:
        decoder.decode(line.strip())
    except (ValueError, RecursionError) as error:
        return decode_problem(error)
    return _NO_OBJECT
