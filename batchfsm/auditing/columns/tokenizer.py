"""
Tokenizer of JSON: the tokens of one value as arrays. Compiled.

It accepts no text that Python's `json` rejects. It rejects some that Python accepts: a key that stands twice in an
object, a key with escapes or non-ASCII letters, halves of surrogate pairs, `NaN`, more than `DEPTH_MAX` levels,
`KEYS_MAX` open keys that are no known words, or `TOKENS_MAX` tokens. Its callers leave those to the row engine.

Logs repeat their keys: each key is compared with the one that was last at its place among the tokens. If they are the
same bytes, its hash and its code are known.
"""

from __future__ import annotations

from array import array
from typing import Any

import cython

if cython.compiled:
    from cython.cimports.batchfsm.auditing.columns.text_values import WordTable, hash_text
    from cython.cimports.libc.string import memcmp
else:
    from batchfsm.auditing.columns.text_values import WordTable, hash_text

Bytes = cython.typedef(cython.const[cython.uchar][::1])

OBJECT, LIST, KEY, TEXT, UTF8_TEXT, ESCAPED_TEXT, INTEGER, NUMBER, TRUE, FALSE, NULL = range(11)
"""Kinds of tokens. `UTF8_TEXT` has letters beyond ASCII; `ESCAPED_TEXT` has escapes, and its bytes are not the text.
`INTEGER` has at most 17 digits; any other number is a `NUMBER`."""

INVALID = -1
"""Returned instead of a position: no value that is read here."""

TOKENS_MAX = 1024
KEYS_MAX = 64
DEPTH_MAX = 16
CODES_MAX = 63
"""Words with a code below are counted as keys by a bit for each code; a code from here on may stand for many words."""
PAD = 8
"""Bytes that must follow the text: the tokenizer looks so far ahead."""

_OBJECT = cython.declare(cython.uchar, OBJECT)
_LIST = cython.declare(cython.uchar, LIST)
_KEY = cython.declare(cython.uchar, KEY)
_TEXT = cython.declare(cython.uchar, TEXT)
_UTF8_TEXT = cython.declare(cython.uchar, UTF8_TEXT)
_ESCAPED_TEXT = cython.declare(cython.uchar, ESCAPED_TEXT)
_INTEGER = cython.declare(cython.uchar, INTEGER)
_NUMBER = cython.declare(cython.uchar, NUMBER)
_TRUE = cython.declare(cython.uchar, TRUE)
_FALSE = cython.declare(cython.uchar, FALSE)
_NULL = cython.declare(cython.uchar, NULL)
_TOKENS_MAX = cython.declare(cython.Py_ssize_t, TOKENS_MAX)
_KEYS_MAX = cython.declare(cython.int, KEYS_MAX)
_DEPTH_MAX = cython.declare(cython.int, DEPTH_MAX)
_CODES_MAX = cython.declare(cython.int, CODES_MAX)
_DIGITS_MAX = cython.declare(cython.int, 17)  # Every integer of so many digits fits into 64 bits.
_NUMBER_BYTES_MAX = cython.declare(cython.int, 100)  # Python refuses integers of more than 4,300 digits.


@cython.final
@cython.cclass
class Tokenizer:
    """The text, and the tokens of the value that was scanned last."""

    def __init__(self, words: WordTable) -> None:
        self._words = words
        self.kinds = bytearray(TOKENS_MAX)
        self.starts = array("q", bytes(8 * TOKENS_MAX))
        self.ends = array("q", bytes(8 * TOKENS_MAX))
        self.values = array("q", bytes(8 * TOKENS_MAX))
        self.codes = array("i", bytes(4 * TOKENS_MAX))
        self._keys = array("q", bytes(8 * KEYS_MAX))
        self._parents = array("q", bytes(8 * DEPTH_MAX))
        self._bases = array("q", bytes(8 * DEPTH_MAX))
        self._met = array("q", bytes(8 * DEPTH_MAX))
        self.text = b""
        self.is_utf8 = False
        self.count = self._keys_count = 0

    def load(self, text: Any, is_utf8: bool) -> None:  # Compiled code takes no keywords.
        """
        Set the text.

        Args:
            text: Bytes, the last `PAD` of them line ends.
            is_utf8: True if all of it is UTF-8; else texts with bytes beyond ASCII are invalid.
        """
        self.text, self.is_utf8 = text, is_utf8
        self.kinds = bytearray(TOKENS_MAX)  # No key of another text is compared.

    def unload(self) -> None:
        """Release the text."""
        self.text = b""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def skip_space(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Return the position of the first byte that is no space, tab or carriage return."""
        while self.text[at] == 32 or self.text[at] == 9 or self.text[at] == 13:
            at += 1
        return at

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def scan(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Scan the value that begins at a position; return the position behind it, or INVALID."""
        depth: cython.int = 0
        self.count = self._keys_count = 0
        while True:
            if depth > 0 and self.kinds[self._parents[depth - 1]] == _OBJECT:
                at = self._scan_key(at, depth - 1)
                if at < 0:
                    return -1
            if self.text[at] <= 32:  # In most logs there is no space, and a call takes longer than this.
                at = self.skip_space(at)
            byte = self.text[at]
            if byte == 123 or byte == 91:  # { [
                token = self._add(_OBJECT if byte == 123 else _LIST, at, at, 0)
                if token < 0 or depth == _DEPTH_MAX:
                    return -1
                self._parents[depth], self._bases[depth], self._met[depth] = token, self._keys_count, 0
                depth += 1
                at = self.skip_space(at + 1)
                if self.text[at] != byte + 2:  # Not closed at once.
                    continue
            else:
                at = self._scan_scalar(at)
                if at < 0:
                    return -1
            while depth > 0:
                if self.text[at] <= 32:
                    at = self.skip_space(at)
                token = self._parents[depth - 1]
                if self.text[at] == 44:  # ,
                    at += 1
                    break
                if self.text[at] != (125 if self.kinds[token] == _OBJECT else 93):  # } ]
                    return -1
                at += 1
                self.ends[token], self.values[token] = at, self.count
                self._keys_count = cython.cast(cython.int, self._bases[depth - 1])
                depth -= 1
            if depth == 0:
                return at

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _add(
        self, kind: cython.uchar, start: cython.Py_ssize_t, end: cython.Py_ssize_t, value: cython.longlong
    ) -> cython.Py_ssize_t:
        """Add a token; return its index, or INVALID if there are too many."""
        token = self.count
        if token == _TOKENS_MAX:
            return -1
        self.kinds[token], self.starts[token], self.ends[token], self.values[token] = kind, start, end, value
        self.count = token + 1
        return token

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _scan_key(self, at: cython.Py_ssize_t, depth: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Scan a key of the object at a depth, and its colon; return the position behind them, or INVALID."""
        token = self.count
        if self.text[at] <= 32:
            at = self.skip_space(at)
        if self.text[at] != 34:
            return -1
        start = at + 1
        if self._is_repeated(start, token):
            at = start + self.ends[token] - self.starts[token]
            self.starts[token], self.ends[token] = start, at
            self.count = token + 1
            at += 1
        else:
            at = self._scan_text(start)
            if at < 0 or self.kinds[token] != _TEXT:
                return -1
            self.kinds[token] = _KEY
            self.values[token] = hash_text(self.text, start, at - 1, self._words.seed)
            self.codes[token] = self._words.find(self.values[token], self.text, start, at - 1)
        if not self._add_key(token, depth):
            return -1
        if self.text[at] != 58:  # :
            at = self.skip_space(at)
        return at + 1 if self.text[at] == 58 else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _is_repeated(self, start: cython.Py_ssize_t, token: cython.Py_ssize_t) -> cython.bint:
        """Return whether the text behind a quote is the key that was last at this place among the tokens."""
        if token == _TOKENS_MAX or self.kinds[token] != _KEY:
            return False
        last = self.starts[token]
        size = self.ends[token] - last + 1  # With the quote behind it.
        if start + size > len(self.text) or last + size > len(self.text):
            return False
        if cython.compiled:
            return memcmp(cython.address(self.text[last]), cython.address(self.text[start]), size) == 0
        return bool(self.text[last : last + size] == self.text[start : start + size])

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _add_key(self, token: cython.Py_ssize_t, depth: cython.Py_ssize_t) -> cython.bint:
        """Add a key to the object at a depth; return False if the object has it, or there are too many."""
        if 0 <= self.codes[token] < _CODES_MAX:
            bit = cython.cast(cython.longlong, 1) << self.codes[token]
            if self._met[depth] & bit:
                return False
            self._met[depth] |= bit
            return True
        if self._keys_count == _KEYS_MAX:
            return False
        for index in range(self._bases[depth], self._keys_count):
            # Two keys of one hash are taken for one that stands twice: the line is left to the row engine.
            if self._keys[index] == self.values[token]:
                return False
        self._keys[self._keys_count] = self.values[token]
        self._keys_count += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _scan_text(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Scan the text behind a quote; return the position behind the closing quote, or INVALID."""
        start = at
        kind = _TEXT
        while True:
            byte = self.text[at]
            if byte == 34:
                return at + 1 if self._add(kind, start, at, 0) >= 0 else -1
            if byte < 32:
                return -1
            if byte == 92:
                kind = _ESCAPED_TEXT
                at = self._skip_escape(at + 1)
                if at < 0:
                    return -1
                continue
            if byte > 127:
                if not self.is_utf8:
                    return -1
                if kind == _TEXT:
                    kind = _UTF8_TEXT
            at += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _skip_escape(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Return the position behind an escape whose letter is at a position; INVALID for half a surrogate pair."""
        byte = self.text[at]
        value: cython.int = 0
        if byte == 34 or byte == 92 or byte == 47 or byte == 98 or byte == 102 or byte == 110:  # " \ / b f n
            return at + 1
        if byte == 114 or byte == 116:  # r t
            return at + 1
        if byte != 117:  # u
            return -1
        for place in range(at + 1, at + 5):
            byte = self.text[place]
            if 48 <= byte <= 57:
                byte -= 48
            elif 97 <= byte <= 102:
                byte -= 87
            elif 65 <= byte <= 70:
                byte -= 55
            else:
                return -1
            value = value * 16 + byte
        return -1 if 0xD800 <= value <= 0xDFFF else at + 5

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _scan_scalar(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Scan a text, number or word; return the position behind it, or INVALID."""
        byte = self.text[at]
        if byte == 34:
            return self._scan_text(at + 1)
        if byte == 110:  # null
            if self.text[at + 1] == 117 and self.text[at + 2] == 108 and self.text[at + 3] == 108:
                return at + 4 if self._add(_NULL, at, at + 4, 0) >= 0 else -1
            return -1
        if byte == 116:  # true
            if self.text[at + 1] == 114 and self.text[at + 2] == 117 and self.text[at + 3] == 101:
                return at + 4 if self._add(_TRUE, at, at + 4, 0) >= 0 else -1
            return -1
        if byte == 102:  # false
            if self.text[at + 1] == 97 and self.text[at + 2] == 108:
                if self.text[at + 3] == 115 and self.text[at + 4] == 101:
                    return at + 5 if self._add(_FALSE, at, at + 5, 0) >= 0 else -1
            return -1
        return self._scan_number(at)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _scan_number(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Scan a number; return the position behind it, or INVALID."""
        start = at
        value: cython.longlong = 0
        is_integer: cython.bint = True
        if self.text[at] == 45:  # -
            at += 1
        digits = at
        while 48 <= self.text[at] <= 57:
            if at - digits < _DIGITS_MAX:
                value = value * 10 + (self.text[at] - 48)
            at += 1
        if at == digits or at - digits > _NUMBER_BYTES_MAX or (at - digits > 1 and self.text[digits] == 48):
            return -1
        if at - digits > _DIGITS_MAX:
            is_integer = False
        if self.text[at] == 46:  # .
            is_integer = False
            at = self._skip_digits(at + 1)
            if at < 0:
                return -1
        if self.text[at] == 101 or self.text[at] == 69:  # e E
            is_integer = False
            at += 1
            if self.text[at] == 43 or self.text[at] == 45:  # + -
                at += 1
            at = self._skip_digits(at)
            if at < 0:
                return -1
        if self.text[start] == 45:
            value = -value
        return at if self._add(_INTEGER if is_integer else _NUMBER, start, at, value) >= 0 else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def _skip_digits(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Return the position behind one or more digits, or INVALID."""
        start = at
        while 48 <= self.text[at] <= 57:
            at += 1
        return -1 if at == start or at - start > _NUMBER_BYTES_MAX else at


def tokens(texts: list[bytes], words: WordTable) -> list[tuple[int, list[tuple[int, int, int, int]]]]:
    """
    Return the tokens of JSON values, scanned one after the other: for tests and for reading by people.

    Args:
        texts: The values, in one line each.
        words: The known keys.

    Returns:
        Of each text the length of the value, or INVALID; and of each token `(kind, start, end, value)`, where the
        value of a key is its code.
    """
    tokenizer = Tokenizer(words)
    tokenizer.load(b"\n".join(texts) + PAD * b"\n", True)
    found, begin = [], 0
    for text in texts:
        end = tokenizer.scan(begin)
        scanned = [
            (
                tokenizer.kinds[at],
                tokenizer.starts[at] - begin,
                tokenizer.ends[at] - begin,
                tokenizer.codes[at] if tokenizer.kinds[at] == KEY else tokenizer.values[at],
            )
            for at in range(tokenizer.count)
        ]
        found.append((end - begin if end >= 0 else INVALID, scanned))
        begin += len(text) + 1
    return found
