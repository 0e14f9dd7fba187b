"""A scanner of values in quotes and brackets, as Python, Node, Ruby and Rust print them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import attrs

from batchfsm.errors import BatchfsmError
from batchfsm.snapshot import UNREADABLE, Unreadable

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
    """The character at which reading stopped, from 1; line ends count, colour escapes do not."""

    problem: str
    """The reason, in a few words."""

    truncated: bool
    """True if the text ends too early: with more lines it may become readable."""

    def __init__(self, form: str, column: int, problem: str, *, truncated: bool = False) -> None:
        """Store the position and the reason; `str` returns one sentence."""
        super().__init__(form, column, problem)
        self.form, self.column, self.problem, self.truncated = form, column, problem, truncated

    def __str__(self) -> str:
        return f"no batch in {self.form} form: {self.problem} (column {self.column})"


AMBIGUOUS: Final = Unreadable("")
"""A value whose text has no quotes, so that its end or its type is not certain."""

_TOO_DEEP: Final = f"brackets nest deeper than {NESTING_MAX}"
_ENDS: Final = frozenset(",)]}")
_WORDS: Final[Mapping[str, Mapping[str, object]]] = {
    "python": {"None": None, "True": True, "False": False},
    "node": {"null": None, "undefined": None, "true": True, "false": False},
    "ruby": {"nil": None, "true": True, "false": False},
    "rust": {"None": None, "Null": None, "true": True, "false": False},
}
_STRINGS: Final = {quote: re.compile(rf"{quote}([^{quote}\\\n]*+(?:\\.[^{quote}\\\n]*+)*+){quote}") for quote in "'\"`"}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|u\{([0-9A-Fa-f]{1,6})\}|(.))")
_ESCAPED: Final = dict(zip("nrtbfv\\'\"`", "\n\r\t\b\f\v\\'\"`", strict=True))
_ESCAPED_BY_RUBY: Final = _ESCAPED | dict(zip("ae#$@", "\a\x1b#$@", strict=True))
_ESCAPED_BY: Final = {"ruby": _ESCAPED_BY_RUBY, "rust": _ESCAPED | {"0": "\0"}}
_JOIN: Final = re.compile(r"\s*+\+\s*+(?=['\"`])")
_SPACE: Final = re.compile(r"\s*+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z_$][\w$.]*+")
_CALL: Final = re.compile(r"[A-Z]\w*+\(")
_RUST_CLASS: Final = re.compile(r"[A-Z]\w*+(?:\s*+(?=[\[{])|(?=\())")
_RUBY_CLASS: Final = re.compile(r"#<[\w:]++\s++(?=\{)")
_RUBY_SYMBOL: Final = re.compile(r":(?:(?=\")|([A-Za-z_]\w*+[?!]?))(?!\s*=>)")
# `<Status.COMPLETED: 'completed'>`, as Python prints a member of an enum: its name, and its value.
_ENUM: Final = re.compile(r"<[A-Za-z_]\w*+(?:\.\w++)++: (?=['\"\d-])")
_DATETIME: Final = re.compile(
    r"datetime\.datetime\((\d{4}(?:, \d{1,6}){4,6}), tzinfo="
    r"(?:datetime\.timezone\.utc|TzInfo\((?:UTC|0)\)|(?:zoneinfo\.)?ZoneInfo\(key='UTC'\)|<UTC>"
    r"|datetime\.timezone\(datetime\.timedelta\((?:days=(-?\d), )?seconds=(\d{1,5})\)\))\)",
    re.ASCII,
)
_ISO_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?) ?(Z|UTC|[+-]\d\d:?\d\d)", re.ASCII)
# A form shows these in place of a value.
_HIDDEN: Final = re.compile(
    r"\[?(?:Object|Array|Circular \*\d+|\w*Function\b.*|Getter.*)\]?|\.\.\. .*|<.* at 0x[0-9a-fA-F]+>|#<.*>",
    re.DOTALL,
)
_SHOWN_CHARS_MAX: Final = 80
# The prefix that util.inspect writes before the brace of an object with a class or without a prototype.
_CLASS: Final = re.compile(r"(?:<ref \*\d++>\s++)?(?:\[\w++: null prototype\]|[A-Za-z_$][\w$]*+)?\s*+(?=\{)")
_KEYWORD: Final = re.compile(r"([A-Za-z_]\w*+)=")
_IDENTIFIER: Final = re.compile(r"([A-Za-z_]\w*+)\s*+:")
_RUBY_KEY: Final = re.compile(r"(?::([A-Za-z_]\w*+)\s*+=>|([A-Za-z_]\w*+):(?!:))")
_COLON: Final = re.compile(r"\s*+:")
_ARROW: Final = re.compile(r"\s*+(?:=>|:)")
_PLAIN: Final = re.compile(r"[^'\"`()\[\]{}<>,]*+")
# An apostrophe follows a letter, an opening quote does not; but Python's bytes are b'...'.
_OPENING_QUOTE: Final = re.compile(r"(?:(?<!\w)|(?<=\Wb))['\"`]")


@attrs.define
class Scanner:
    """A cursor in a printed text; reads values one after another."""

    text: str
    """The printed text, without colour escapes."""

    form: str
    """How it was printed: `python`, `node`, `ruby` or `rust`."""

    at: int
    """The index of the next character; from 0."""

    def members(self, closing: str, depth: int = 0) -> dict[str, object] | Unreadable:
        """
        Read a dict, an object or a call, from behind its opening bracket to behind `closing`.

        Returns:
            The values by name; some may be, or hold, an `Unreadable`. An `Unreadable` instead if a value has no name
            (a set, a `Map`, a positional argument).

        Raises:
            TextError: If the end of a value is not certain.
        """
        found: dict[str, object] = {}
        is_named = True
        self._skip_space()
        while not self._accept(closing):
            name = self._name(closing)
            value = self._value(depth + 1)
            if name is None:
                is_named = False
            else:
                # No language prints a key twice: in an edited text either value may be right.
                found[name] = UNREADABLE if name in found else value
            self._skip_comma(closing)
        return found if is_named else UNREADABLE

    def _error(self, problem: str) -> TextError:
        return TextError(self.form, self.at + 1, problem, truncated=self.at >= len(self.text))

    def _char(self) -> str:
        return self.text[self.at : self.at + 1]

    def _accept(self, char: str) -> bool:
        is_there = self.text.startswith(char, self.at)
        self.at += is_there
        return is_there

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Match a pattern here, and advance past the match."""
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found

    def _skip_space(self) -> None:
        self._match(_SPACE)

    def _skip_comma(self, closing: str) -> None:
        """Advance past the comma between two values; before the closing bracket it may be missing."""
        if self._accept(","):
            self._skip_space()
        elif self._char() != closing:
            raise self._error(f"a comma or {closing} is due")

    def _name(self, closing: str) -> str | None:
        """Read `name=` in a call, `name:`, `'name':` or Ruby's arrows in braces; None, without advancing, if absent."""
        identifier = _RUBY_KEY if self.form == "ruby" else _IDENTIFIER
        if name := self._match(_KEYWORD if closing == ")" else identifier):
            return name[name.lastindex or 0]
        start = self.at
        self.at += self.form == "ruby" and self.text.startswith(':"', start)
        key = self._string() if closing == "}" and self._char() in _STRINGS else UNREADABLE
        if isinstance(key, str) and self._match(_ARROW if self.form == "ruby" else _COLON):
            return key
        self.at = start
        return None

    def _value(self, depth: int) -> object:
        """Read a value, and advance to the comma or bracket behind it; return an `Unreadable` if it is no literal."""
        if depth > NESTING_MAX:
            raise self._error(_TOO_DEEP)
        self._skip_space()
        start = self.at
        value = self._literal(depth)
        self._skip_space()
        if self._char() not in _ENDS:
            value = UNREADABLE
            self._skip_unreadable()
        if self.at == start:
            raise self._error("a value is due")
        if isinstance(value, list) and len(value) == 1 and value[0] is UNREADABLE:
            return UNREADABLE  # `[Object]`.
        return _unreadable(self.text[start : self.at].rstrip()) if isinstance(value, Unreadable) else value

    def _literal(self, depth: int) -> object:
        """Read a value as the language writes it; an `Unreadable`, perhaps after a part of the text, if it is none."""
        if self.form in ("ruby", "rust"):
            return self._ruby_literal(depth) if self.form == "ruby" else self._rust_literal(depth)
        if self.form == "python" and (moment := self._match(_DATETIME)):
            return _seconds_of(moment)
        if self.form == "node" and (moment := self._match(_ISO_TIME)):
            return _iso_seconds(moment)
        start = self.at
        if self.form == "python" and self._match(_ENUM):
            return self._expect_closing(self._enum_value(), ">", start)
        if self.form == "node":
            self._match(_CLASS)
        if self.form == "python" and self._match(_CALL):
            return self.members(")", depth)
        return self._common_literal(depth)

    def _common_literal(self, depth: int) -> object:
        """Read a string, a list, an object, a number or a word."""
        if self._char() in _STRINGS and (self.form in ("python", "node") or self._char() == '"'):
            return self._string()
        if self._accept("["):
            return self.items(depth)
        if self._accept("{"):
            return self.members("}", depth)
        if token := self._match(_NUMBER):
            self.at += self.form == "node" and self._char() == "n"
            return scalar(token[0])
        word = self._match(_WORD)
        return _WORDS[self.form].get(word[0], UNREADABLE) if word else UNREADABLE

    def _enum_value(self) -> object:
        """Read the value of an enum's member."""
        if self._char() in _STRINGS:
            return self._string()
        token = self._match(_NUMBER)
        return scalar(token[0]) if token else UNREADABLE

    def _expect_closing(self, value: object, closing: str, start: int) -> object:
        """Advance past a closing bracket, and return the value; if it is missing, go back; return an `Unreadable`."""
        if self._accept(closing):
            return value
        self.at = start
        return UNREADABLE

    def _ruby_literal(self, depth: int) -> object:
        if moment := self._match(_ISO_TIME):
            return _iso_seconds(moment)
        if symbol := self._match(_RUBY_SYMBOL):
            return symbol[1] or self._string()
        start = self.at
        if self._match(_RUBY_CLASS):
            return self._expect_closing(self._common_literal(depth), ">", start)
        return self._common_literal(depth)

    def _rust_literal(self, depth: int) -> object:
        """Read `Some(1)`, `Counts { total: 1 }` and serde_json's `String("a")` as the values inside them."""
        start = self.at
        self._match(_RUST_CLASS)
        if not self._accept("("):
            return self._common_literal(depth)
        return self._expect_closing(self._value(depth + 1), ")", start)

    def items(self, depth: int = 0) -> list[object]:
        """Read a list, from behind its opening bracket to behind the closing one."""
        found: list[object] = []
        self._skip_space()
        while not self._accept("]"):
            found.append(self._value(depth + 1))
            self._skip_comma("]")
        return found

    def _string(self) -> str | Unreadable:
        """Read a string; Node prints a long one as several with ` +` between them."""
        pieces: list[str] = []
        while True:
            token = self._match(_STRINGS[self._char()])
            if token is None:
                self.at = self.at if "\n" in self.text[self.at :] else len(self.text)
                raise self._error("a quote is not closed")
            pieces.append(token[1])
            if self.form != "node" or not self._match(_JOIN):
                return _unescaped("".join(pieces), self.form)

    def _skip_unreadable(self) -> None:
        """
        Advance to the comma or closing bracket that ends a value which is no literal.

        So `Map(1) { 1 => 'a, b' }` and `datetime(2026, 1, 2)` make one field unreadable, and not the whole batch.
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
            if char in PARTNERS and (char != "<" or self.form in ("python", "ruby")):
                inside.append(PARTNERS[char])
            elif inside and char == inside[-1]:
                inside.pop()
            elif not char or char in ")]}":
                raise self._error("a value has no end")
            if len(inside) > NESTING_MAX:
                raise self._error(_TOO_DEEP)
            self.at += 1


def scalar(word: str) -> object:
    """Return a bare word as a number, None for `null`, or else text; an `Unreadable` for `007` and for huge numbers."""
    if not _NUMBER.fullmatch(word):
        return Unreadable(word) if _ZEROS.fullmatch(word) else nullable(word)
    if len(word) > NUMBER_LENGTH_MAX:
        return _unreadable(word)
    number = int(word) if word.removeprefix("-").isdecimal() else float(word)
    return _unreadable(word) if math.isinf(number) else number


_ZEROS: Final = re.compile(r"-?0\d{1,30}", re.ASCII)


def nullable(word: str) -> str | None:
    """Return a text, or None for `null`; a server could send the text `null`, but none is known to."""
    return None if word == "null" else word


def first_unreadable(value: object) -> Unreadable | None:
    """Return the first `Unreadable` that a value is or contains; None if there is none."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return next((found for found in map(first_unreadable, inner) if found is not None), None)
    return value if isinstance(value, Unreadable) else None


def is_balanced(text: str) -> bool:
    """Return whether every bracket in a text has its partner."""
    inside: list[str] = []
    for bracket in re.findall(r"[()\[\]{}]", text):
        if bracket in PARTNERS:
            inside.append(PARTNERS[bracket])
        elif not inside or inside.pop() != bracket:
            return False
    return not inside


def _unreadable(text: str) -> Unreadable:
    """Return an `Unreadable` with the text of a value; without a text if the form hides the value."""
    return UNREADABLE if _HIDDEN.fullmatch(text) else Unreadable(text[:_SHOWN_CHARS_MAX])


def _seconds_of(moment: re.Match[str]) -> object:
    """Return an aware `datetime` in Unix seconds, whole where it is whole."""
    numbers = [int(number) for number in moment[1].split(", ")]
    offset = timedelta(days=int(moment[2] or 0), seconds=int(moment[3] or 0))
    try:
        found = datetime(*numbers, tzinfo=timezone(offset) if offset else UTC)  # type: ignore[misc, arg-type]
    except (ValueError, OverflowError):
        return UNREADABLE
    return _number_of(found)


def _iso_seconds(moment: re.Match[str]) -> object:
    """Return a time with its offset in Unix seconds, whole where it is whole."""
    offset = "+00:00" if moment[3] in ("Z", "UTC") else moment[3]
    try:
        return _number_of(datetime.fromisoformat(f"{moment[1]}T{moment[2]}{offset}"))
    except ValueError:
        return UNREADABLE


def _number_of(moment: datetime) -> int | float:
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _unescaped(text: str, form: str) -> str | Unreadable:
    """Replace the escapes in a string; return an `Unreadable` if the language does not print one of them."""
    letters = _ESCAPED_BY.get(form, _ESCAPED)

    def character(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2] or escape[3] or escape[4]
        return chr(int(code, 16)) if code else letters[escape[5]]

    try:
        return _ESCAPE.sub(character, text)
    except (KeyError, ValueError, OverflowError):  # An unknown letter; a code above 10FFFF.
        return UNREADABLE
