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

PARTNERS: Final = {"(": ")", "[": "]", "{": "}", "<": ">"}
"""The bracket that closes each opening one."""


class TextError(BatchfsmError, ValueError):
    """A text holds no batch that can be read at all."""

    form: str
    """Which text form it was read as."""

    column: int
    """Where reading stopped: a character of the text, from 1; line ends count, colour escapes do not."""

    problem: str
    """What is wrong there."""

    truncated: bool
    """Whether the text only stops too early: with more lines it may become readable."""

    def __init__(self, form: str, column: int, problem: str, *, truncated: bool = False) -> None:
        """Hold where and why; `str` makes one sentence of it."""
        super().__init__(form, column, problem)
        self.form, self.column, self.problem, self.truncated = form, column, problem, truncated

    def __str__(self) -> str:
        return f"no batch in {self.form} form: {self.problem} (column {self.column})"


class Unread(enum.Enum):
    """Has one member, which stands for a value that is there and cannot be read."""

    UNREAD = enum.auto()


UNREADABLE: Final = Unread.UNREAD

_TOO_DEEP: Final = f"brackets nest deeper than {NESTING_MAX}"
_ENDS: Final = frozenset(",)]}")
_WORDS: Final[Mapping[str, Mapping[str, object]]] = {
    "python": {"None": None, "True": True, "False": False},
    "node": {"null": None, "undefined": None, "true": True, "false": False},
}
_STRINGS: Final = {quote: re.compile(rf"{quote}([^{quote}\\\n]*+(?:\\.[^{quote}\\\n]*+)*+){quote}") for quote in "'\"`"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPED: Final = dict(zip("nrtbfv\\'\"`", "\n\r\t\b\f\v\\'\"`", strict=True))
_JOIN: Final = re.compile(r"\s*+\+\s*+(?=['\"`])")
_SPACE: Final = re.compile(r"\s*+")
_NUMBER: Final = re.compile(r"-?\d++(?:\.\d++)?(?:[eE][+-]?\d++)?", re.ASCII)
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
    """How it was printed: `python` or `node`."""

    at: int
    """The next character; from 0."""

    def members(self, closing: str, depth: int = 0) -> dict[str, object] | Unread:
        """
        Read a dict, an object or a call, from behind its opening bracket to behind `closing`.

        Returns:
            The named values, of which some may be, or hold, UNREAD; UNREAD if a value
            has no name (a set, a `Map`, a positional argument).

        Raises:
            TextError: If the end of a value cannot be told.
        """
        found: dict[str, object] = {}
        is_named = True
        self._skip_space()
        while not self._take(closing):
            name = self._name(closing)
            value = self._value(depth + 1)
            if name is None:
                is_named = False
            else:
                # Neither language prints one key twice: whoever did may have meant either value.
                found[name] = UNREADABLE if name in found else value
            self._step(closing)
        return found if is_named else UNREADABLE

    def _error(self, problem: str) -> TextError:
        return TextError(self.form, self.at + 1, problem, truncated=self.at >= len(self.text))

    def _char(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, char: str) -> bool:
        is_there = self.text.startswith(char, self.at)
        self.at += is_there
        return is_there

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go on behind what the pattern finds here."""
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found

    def _skip_space(self) -> None:
        self._match(_SPACE)

    def _step(self, closing: str) -> None:
        """Go on behind the comma between two values; before the closing bracket it may be missing."""
        if self._take(","):
            self._skip_space()
        elif self._char() != closing:
            raise self._error(f"a comma or {closing} is due")

    def _name(self, closing: str) -> str | None:
        """Read `name=` in a call, `name:` or `'name':` in braces; None, and no step, if none is there."""
        if name := self._match(_KEYWORD if closing == ")" else _IDENTIFIER):
            return name[1]
        start = self.at
        key = self._string() if closing == "}" and self._char() in _STRINGS else UNREADABLE
        if isinstance(key, str) and self._match(_COLON):
            return key
        self.at = start
        return None

    def _value(self, depth: int) -> object:
        """Read a value and go on to the comma or bracket behind it; UNREAD if it is no literal."""
        if depth > NESTING_MAX:
            raise self._error(_TOO_DEEP)
        self._skip_space()
        start = self.at
        value = self._literal(depth)
        self._skip_space()
        if self._char() not in _ENDS:
            value = UNREADABLE
            self._skip()
        if self.at == start:
            raise self._error("a value is due")
        return value

    def _literal(self, depth: int) -> object:
        """Read a value as the language writes it; UNREAD, perhaps after some steps, if it is none."""
        if self.form == "node":
            self._match(_CLASS)
        if self._char() in _STRINGS:
            return self._string()
        if self._take("["):
            return self._list(depth)
        if self._take("{"):
            return self.members("}", depth)
        if self.form == "python" and self._match(_CALL):
            return self.members(")", depth)
        if token := self._match(_NUMBER):
            self.at += self.form == "node" and self._char() == "n"
            return scalar(token[0])
        word = self._match(_WORD)
        return _WORDS[self.form].get(word[0], UNREADABLE) if word else UNREADABLE

    def _list(self, depth: int) -> list[object]:
        found: list[object] = []
        self._skip_space()
        while not self._take("]"):
            found.append(self._value(depth + 1))
            self._step("]")
        return found

    def _string(self) -> str | Unread:
        """Read a string; Node prints a long one as several with ` +` between them."""
        pieces: list[str] = []
        while True:
            token = self._match(_STRINGS[self._char()])
            if token is None:
                self.at = self.at if "\n" in self.text[self.at :] else len(self.text)
                raise self._error("a quote is not closed")
            pieces.append(token[1])
            if self.form == "python" or not self._match(_JOIN):
                return _unescaped("".join(pieces))

    def _skip(self) -> None:
        """
        Go on to the comma or closing bracket that ends a value which is no literal.

        So `<Status.COMPLETED: 'completed'>`, `Map(1) { 1 => 'a, b' }` and `datetime(2026, 1, 2)` hide
        one field and not the whole batch.
        """
        inside: list[str] = []
        while True:
            self._match(_PLAIN)
            char = self._char()
            if not inside and char in _ENDS:
                return
            if char in _STRINGS:
                # [Error: can't], note: 'it', [Error: can't] has enough quotes for strings, but wrong ones.
                if not _OPENING_QUOTE.match(self.text, self.at):
                    raise self._error("a quote cannot be told from an apostrophe")
                self._string()
                continue
            if char in PARTNERS and (char != "<" or self.form == "python"):
                inside.append(PARTNERS[char])
            elif inside and char == inside[-1]:
                inside.pop()
            elif not char or char in ")]}":
                raise self._error("a value has no end")
            if len(inside) > NESTING_MAX:
                raise self._error(_TOO_DEEP)
            self.at += 1


def scalar(word: str) -> object:
    """Read a number, `null`, or else text; UNREAD if the number is too long or too large for a float."""
    if not _NUMBER.fullmatch(word):
        return nullable(word)
    if len(word) > NUMBER_LENGTH_MAX:
        return UNREADABLE
    number = int(word) if word.removeprefix("-").isdecimal() else float(word)
    return UNREADABLE if math.isinf(number) else number


def nullable(word: str) -> str | None:
    """Read text or null; a text that spells `null` looks like it, but no server is known to send that."""
    return None if word == "null" else word


def is_unreadable_inside(value: object) -> bool:
    """Tell whether a value is UNREAD or holds it."""
    if isinstance(value, dict):
        return any(map(is_unreadable_inside, value.values()))
    return any(map(is_unreadable_inside, value)) if isinstance(value, list) else value is UNREADABLE


def is_balanced(text: str) -> bool:
    """Tell whether every bracket in a text has its partner."""
    inside: list[str] = []
    for bracket in re.findall(r"[()\[\]{}]", text):
        if bracket in PARTNERS:
            inside.append(PARTNERS[bracket])
        elif not inside or inside.pop() != bracket:
            return False
    return not inside


def _unescaped(text: str) -> str | Unread:
    """Undo the escapes in a string; UNREAD if one of them is none that the languages print."""
    try:
        return _ESCAPE.sub(_character, text)
    except (KeyError, ValueError, OverflowError):  # An unknown letter; a code above 10FFFF.
        return UNREADABLE


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    return chr(int(code, 16)) if code else _ESCAPED[escape[4]]
