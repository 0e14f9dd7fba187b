"""A scanner of values in quotes and brackets, as Python's `repr` and Node's `util.inspect` print them."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from typing import Final

import attrs

from batchfsm.errors import BatchfsmError

NESTING_MAX: Final = 64
"""How deep brackets may nest; a batch needs six. Deeper ones are refused: they could exhaust the stack."""

NUMBER_LENGTH_MAX: Final = 300
"""How many characters of one number are read; Python refuses 4,301 digits with an error of its own."""


class TextError(BatchfsmError, ValueError):
    """A text holds no batch that can be read at all."""

    form: str
    """Which text form it was read as."""

    column: int
    """Where reading stopped: a character of the text, from 1, line ends counted and colour escapes not."""

    problem: str
    """What is wrong there."""

    truncated: bool
    """Whether the text only stops too early: with more lines it may become readable."""

    def __init__(self, form: str, column: int, problem: str, *, truncated: bool = False) -> None:
        """Hold where and why; `str` makes one sentence of it."""
        super().__init__(form, column, problem)
        self.form, self.column, self.problem, self.truncated = form, column, problem, truncated

    def __str__(self) -> str:
        return f"no batch in {self.form} text form: {self.problem} (column {self.column})"


class Unread(enum.Enum):
    """The one value that stands for "it is there, and nobody can say what it is"."""

    UNREAD = enum.auto()


UNREAD: Final = Unread.UNREAD

_WORDS: Final[Mapping[str, Mapping[str, object]]] = {
    "python": {"None": None, "True": True, "False": False},
    "node": {"null": None, "undefined": None, "true": True, "false": False},
}
_TOO_DEEP: Final = f"brackets nest deeper than {NESTING_MAX}"
_ENDS: Final = frozenset(",)]}")
PARTNERS: Final = {"(": ")", "[": "]", "{": "}", "<": ">"}
_STRINGS: Final = {
    quote: re.compile(rf"{quote}([^{quote}\\\n]*+(?:\\.[^{quote}\\\n]*+)*+){quote}") for quote in "'\"`"
}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"} | {
    char: char for char in "\\'\"`"
}
_JOIN: Final = re.compile(r"\s*+\+\s*+(?=['\"`])")
_SPACE: Final = re.compile(r"\s*+")
_NUMBER: Final = re.compile(r"-?\d++(?:\.\d++)?(?:e[+-]?\d++)?n?", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z_$][\w$.]*+")
_CALL: Final = re.compile(r"[A-Z]\w*+\(")
# What util.inspect writes before the brace of an object that is no plain one.
_CLASS: Final = re.compile(r"(?:<ref \*\d++>\s++)?(?:\[\w++: null prototype\]|[A-Za-z_$][\w$]*+)?\s*+(?=\{)")
_KEYWORD: Final = re.compile(r"([A-Za-z_]\w*+)=")
_IDENTIFIER: Final = re.compile(r"([A-Za-z_]\w*+)\s*+:")
_COLON: Final = re.compile(r"\s*+:")
_PLAIN: Final = re.compile(r"[^'\"`()\[\]{}<>,]*+")
# An apostrophe follows a letter, an opening quote does not; but Python's bytes are b'...'.
_OPENING_QUOTE: Final = re.compile(r"(?:(?<!\w)|(?<=\Wb))['\"`]")


@attrs.define
class Scanner:
    """A place in a printed text, from which values are read one after another."""

    text: str
    """What was printed, without colour escapes."""

    form: str
    """Who printed it: `python` or `node`."""

    at: int
    """The next character; from 0."""

    def members(self, closing: str, depth: int = 0) -> dict[str, object] | Unread:
        """
        Read what a dict, an object or a call holds, from behind its opening bracket to behind `closing`.

        Returns:
            The named values, of which some may be, or hold, UNREAD; UNREAD if a value
            has no name (a set, a `Map`, a positional argument).

        Raises:
            TextError: If no end of a value can be told for certain.
        """
        found: dict[str, object] = {}
        named = True
        self._skip_space()
        while not self.take(closing):
            name = self._name(closing)
            value = self._value(depth + 1)
            if name is None:
                named = False
            else:
                # Neither Python nor JavaScript prints one key twice: whoever did may have meant either.
                found[name] = UNREAD if name in found else value
            self._step(closing)
        return found if named else UNREAD

    def error(self, problem: str) -> TextError:
        """Say what is wrong at this place; at the end of the text it is only truncated."""
        return TextError(self.form, self.at + 1, problem, truncated=self.at >= len(self.text))

    def _skip_space(self) -> None:
        self.at = _end(_SPACE, self.text, self.at)

    def take(self, char: str) -> bool:
        taken = self.text.startswith(char, self.at)
        self.at += taken
        return taken

    def _step(self, closing: str) -> None:
        """Step over the comma between two values; before the closing bracket it may be missing."""
        if self.take(","):
            self._skip_space()
        elif not self.text.startswith(closing, self.at):
            raise self.error(f"a comma or {closing} is due")

    def _name(self, closing: str) -> str | None:
        """Read `name=` in a call, `name:` or `'name':` in braces; None, and no step, if no name is there."""
        pattern = _KEYWORD if closing == ")" else _IDENTIFIER
        if name := pattern.match(self.text, self.at):
            self.at = name.end()
            return name[1]
        start = self.at
        if closing == "}" and self.char() in _STRINGS:
            key = self._string()
            if isinstance(key, str) and (colon := _COLON.match(self.text, self.at)):
                self.at = colon.end()
                return key
        self.at = start
        return None

    def char(self) -> str:
        return self.text[self.at : self.at + 1]

    def _value(self, depth: int) -> object:
        """Read one value and go on to the comma or bracket behind it; what is no literal is UNREAD."""
        if depth > NESTING_MAX:
            raise self.error(_TOO_DEEP)
        self._skip_space()
        start = self.at
        value = self._literal(depth)
        self._skip_space()
        if self.char() not in _ENDS:
            value = UNREAD
            self._skip()
        if self.at == start:
            raise self.error("a value is due")
        return value

    def _literal(self, depth: int) -> object:
        """Read a value as the language writes it; UNREAD, perhaps after some steps, if it is none."""
        if self.form == "node":
            self.at = _end(_CLASS, self.text, self.at)
        if self.char() in _STRINGS:
            return self._string()
        if self.take("["):
            return self._list(depth)
        if self.take("{"):
            return self.members("}", depth)
        if self.form == "python" and (call := _CALL.match(self.text, self.at)):
            self.at = call.end()
            return self.members(")", depth)
        return self._atom()

    def _atom(self) -> object:
        """Read a number or one of the language's words for null and the booleans."""
        if token := _NUMBER.match(self.text, self.at):
            self.at = token.end()
            return number(token[0].removesuffix("n"))
        start, self.at = self.at, _end(_WORD, self.text, self.at)
        return _WORDS[self.form].get(self.text[start : self.at], UNREAD)

    def _list(self, depth: int) -> list[object]:
        found: list[object] = []
        self._skip_space()
        while not self.take("]"):
            found.append(self._value(depth + 1))
            self._step("]")
        return found

    def _string(self) -> str | Unread:
        """Read a string; Node prints a long one in several pieces with ` +` between them."""
        pieces: list[str | None] = []
        while True:
            token = _STRINGS[self.char()].match(self.text, self.at)
            if token is None:
                if "\n" not in self.text[self.at :]:
                    self.at = len(self.text)
                raise self.error("a quote is not closed")
            self.at = token.end()
            pieces.append(_unescaped(token[1]))
            join = _JOIN.match(self.text, self.at) if self.form == "node" else None
            if join is None:
                break
            self.at = join.end()
        return UNREAD if None in pieces else "".join(piece for piece in pieces if piece is not None)

    def _skip(self) -> None:
        """
        Go on to the comma or closing bracket that ends a value which is no literal.

        So `<Status.COMPLETED: 'completed'>`, `Map(1) { 1 => 'a, b' }` and `datetime(2026, 1, 2)` hide
        one field and not the whole batch.
        """
        inside: list[str] = []
        while True:
            self.at = _end(_PLAIN, self.text, self.at)
            char = self.char()
            if not inside and char in _ENDS:
                return
            if char in _STRINGS:
                self._skip_string()
                continue
            if char in PARTNERS and (char != "<" or self.form == "python"):
                inside.append(PARTNERS[char])
            elif inside and char == inside[-1]:
                inside.pop()
            elif char in _ENDS - {","} or not char:
                raise self.error("a value has no end")
            if len(inside) > NESTING_MAX:
                raise self.error(_TOO_DEEP)
            self.at += 1

    def _skip_string(self) -> None:
        # [Error: can't], note: 'it', more: [Error: can't] has enough quotes for three strings, wrong ones.
        if not _OPENING_QUOTE.match(self.text, self.at):
            raise self.error("a quote cannot be told from an apostrophe")
        self._string()


def number(token: str) -> int | float | Unread:
    """
    Read a number in decimal digits.

    Returns:
        UNREAD if it is longer than `NUMBER_LENGTH_MAX` or too large for a float.
    """
    if len(token) > NUMBER_LENGTH_MAX:
        return UNREAD
    if token.removeprefix("-").isdecimal():
        return int(token)
    value = float(token)
    return UNREAD if math.isinf(value) else value


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where a match that begins at `at` ends; `at` if there is none."""
    found = pattern.match(text, at)
    return found.end() if found else at


def _unescaped(body: str) -> str | None:
    """Undo the escapes in a string; None if one of them is none that the languages print."""
    try:
        return _ESCAPE.sub(_character, body)
    except (KeyError, ValueError, OverflowError):  # An unknown letter; a code above 10FFFF.
        return None


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    return chr(int(code, 16)) if code else _ESCAPED[escape[4]]
