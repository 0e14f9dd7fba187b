"""Best-effort readers of the text forms in which people log a batch; what a form leaves open is never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import attrs

from batchfsm.logs.scanner import PARTNERS, UNREAD, Scanner, TextError, Unread, number
from batchfsm.snapshot import TEXT_FIELDS, TIME_FIELDS, WIRE_FIELDS, Style, spelled
from batchfsm.wire.envelope import is_batch

__all__ = ["TextError", "TextForm", "TextReading", "detect", "ends", "read_text"]

TextForm = Literal["python", "kotlin", "dart", "go", "node"]
"""What printed it: Python's `repr`, Kotlin's or Dart's `toString()`, Go's `%+v`, Node's `console.log`."""


@attrs.frozen(kw_only=True)
class TextReading:
    """What one text form says of one batch."""

    fields: Mapping[str, object]
    """Wire names and JSON-like values; as in JSON it may be an envelope or a page instead of a batch."""

    unread: tuple[str, ...] = ()
    """Wire names of the fields that are there and could not be read, in order: neither set nor null."""


def detect(line: str) -> TextForm | None:
    """
    Tell which form begins on a line, or on a few lines joined with newlines.

    Returns:
        None for JSON and for anything else. A lone `{` opens JSON and `console.log` alike:
        give it together with the next line.
    """
    text = _COLOUR.sub("", line)
    # Any object in braces looks like Node's; a logger's own may stand before a batch of another form.
    begins = {
        form: head.start() + len(text) * (form == "node")
        for form, pattern in _HEADS.items()
        if (head := pattern.search(text))
    }
    return None if _JSON.match(text) or not begins else min(begins, key=lambda form: begins[form])


def read_text(text: str, form: TextForm) -> TextReading:
    """
    Read the batch in a text; what stands before and behind it does not matter.

    Raises:
        TextError: If it cannot be read at all: none begins there, one begins and does not end, the end
            of a field cannot be told, or there are two.
    """
    if form in ("python", "node"):
        found = _quoted(_COLOUR.sub("", text), form)
    else:
        found = _go(text) if form == "go" else _bare(text, form)
    fields, unread = _parted(found)
    return TextReading(fields=fields, unread=tuple(unread))


def ends(text: str, form: TextForm) -> bool:
    """Tell whether no further line is needed: the batch in the text is whole, or beyond reading."""
    try:
        read_text(text, form)
    except TextError as error:
        return not error.truncated
    return True


_NAMES: Final = {spelled(name, style): name for name in WIRE_FIELDS for style in ("snake", "camel", "pascal")}
_ANY_NAME: Final = "|".join(_NAMES)
_COLOUR: Final = re.compile(r"\x1b\[[\d;]*+m")
# Before a class name stands no letter; but a colour does, and ends in one.
_EDGE: Final = r"(?:(?<!\w)|\x1b\[[\d;]{0,20}m)"
# openai-python's class, LiteLLM's, Groq's three, and the page that `batches.list()` returns.
_CLASS: Final = (
    r"(?<!\w)(?:(?:Sync|Async)CursorPage\[\w+\]|(?:LiteLLM)?Batch(?:(?:Create|Retrieve|Cancel)Response)?)\("
)
_JSON: Final = re.compile(r"\s*+(?:\[\s*+)*+\{\s*+[\"}]")
# Where two of them begin at one place, the first is meant.
_HEADS: Final[Mapping[TextForm, re.Pattern[str]]] = {
    "kotlin": re.compile(_EDGE + r"Batch(\()(?=id=(?!['\"]|None\b))"),
    "dart": re.compile(_EDGE + r"Batch(\[)(?=id=)|(\{)(?=id: (?!['\"`]))"),
    "go": re.compile(r"\{(?=ID:)"),
    "python": re.compile(_CLASS + r"(?=\s*+(?:$|[A-Za-z_]\w*+=))|\{(?=\s*+'\w++':)"),
    "node": re.compile(r"\{(?=\s*+(?:[A-Za-z_]\w*+|'[^'\n]*+'): )"),
}
# A second object may be anything in braces; a second batch begins like this.
_SECOND: Final = {**_HEADS, "node": re.compile(r"\{\s*+(?:id|object): ")}


def _start(text: str, form: TextForm) -> re.Match[str]:
    head = _HEADS[form].search(text)
    if head is None:
        raise TextError(form, 1, "none begins here", truncated=True)
    return head


def _refuse_second(text: str, form: TextForm, at: int) -> None:
    # To read the first of two would lose the other in silence.
    if second := _SECOND[form].search(text, at):
        raise TextError(form, second.start() + 1, "a second one begins here")


def _parted(found: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """Part what was read from the names of what was not; spell both as the wire does."""
    fields: dict[str, object] = {}
    unread: list[str] = []
    for key, value in found.items():
        name = _NAMES.get(key, key)
        if isinstance(value, dict) and is_batch(value):  # So `found` is its envelope.
            fields[name], inner = _parted(value)
            unread += inner
        elif _has_unread(value):
            unread.append(name)
        else:
            fields[key if name in found else name] = value
    return fields, unread


def _has_unread(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_unread, value.values()))
    return any(map(_has_unread, value)) if isinstance(value, list) else value is UNREAD


def _quoted(text: str, form: TextForm) -> dict[str, object]:
    """Return the first object that is a batch or its envelope; if none is, the first object."""
    head: re.Match[str] | None = _start(text, form)
    first: dict[str, object] | Unread = UNREAD
    end = 0
    while head:
        scanner = Scanner(text, form, head.end())
        is_call = head[0].endswith("(")
        found = scanner.members(")" if is_call else "}")
        inside = (found, *found.values()) if isinstance(found, dict) else ()
        is_sure = is_call or any(isinstance(each, dict) and is_batch(each) for each in inside)
        if is_sure or first is UNREAD:
            first, end = found, scanner.at
        head = None if is_sure else _HEADS[form].search(text, scanner.at)
    if not isinstance(first, dict):
        raise TextError(form, end + 1, "its values have no names")
    _refuse_second(text, form, end)
    return first


# Numbers, ids, statuses, paths: no bracket, no line end, and no comma with a space behind it.
_TOKEN: Final = r"(?:[^,()\[\]{}\n]|,(?! ))*+"
_RECORD: Final = r"\w*+[(\[{](?:[^()\[\]{}\n]|[(\[{][^()\[\]{}\n]*+[)\]}])*+[)\]}]"
_WRAPPED: Final = re.compile(rf"\w+\((?:id|path|value)=({_TOKEN})\)")
_COUNT: Final = re.compile(r"(\w++)(?:=|: ?)(-?\d++|null)(?=[ ,)\]}])", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d++(?:\.\d++)?(?:[eE][+-]?\d++)?", re.ASCII)
_ERRORS: Final = re.compile(r"(?:, )?errors(?:=|: )\w++([(\[])(?:object=(\w++), )?data=\[")
_ENTRIES: Final = {
    "(": re.compile(r"(?<=\)), (?=\w++\(code=)"),
    "[": re.compile(r"(?<=\]), (?=\w++\[code=)"),
}
_PARTS: Final = {
    "(": re.compile(r", (code|message|param|type|line)="),
    "[": re.compile(r", (code|message|param|line)="),
}


@attrs.frozen
class _Printer:
    """How a language prints the fields of a batch, in the order of the wire; any of them may be missing."""

    closing: str
    assign: str
    pair: str
    first: re.Pattern[str]
    errors_end: re.Pattern[str]
    rest: re.Pattern[str]
    known: re.Pattern[str]


def _printer(closing: str, assign: str, style: Style, *, pair: str) -> _Printer:
    def chain(names: Iterable[str]) -> str:
        return "".join(
            rf"(?:, {spelled(name, style)}{assign}(?P<{name}>{_RECORD}|{_TOKEN}))?" for name in names
        )

    known = "|".join(spelled(name, style) for name in WIRE_FIELDS)
    before, after = (
        WIRE_FIELDS[1 : WIRE_FIELDS.index("errors")],
        WIRE_FIELDS[WIRE_FIELDS.index("errors") + 1 : -1],
    )
    page = rf", hasMore=\w++, firstId={_TOKEN}, lastId={_TOKEN}\)"
    return _Printer(
        closing,
        assign,
        pair,
        re.compile(
            rf"id{assign}(?P<id>{_RECORD}|{_TOKEN}){chain(before)}(?:, errors{assign}(?P<errors>null))?"
        ),
        re.compile(rf"(?<=[)\[\]])\](?:\]|{page})(?=, (?:{known}){assign})"),
        re.compile(chain(after)),
        re.compile(rf", ({known}){assign}"),
    )


_PRINTERS: Final = {
    "(": _printer(")", "=", "camel", pair="="),
    "[": _printer("]", "=", "camel", pair=": "),
    "{": _printer("}", ": ", "snake", pair=": "),
}


def _bare(text: str, form: TextForm) -> dict[str, object]:
    """
    Read a class or map whose texts have no quotes; ids, which most of them are, need none.

    A message in `errors` may spell `]], status=`. Then what follows is hardly the rest of a batch up to
    its closing bracket; but where it is, in two places, nobody can say which of them is right.
    """
    head = _start(text, form)
    _refuse_second(text, form, head.end())
    printer = _PRINTERS[text[head.end() - 1]]
    first = printer.first.match(text, head.end())
    errors = _ERRORS.match(text, first.end()) if first else None
    parts = list(printer.errors_end.finditer(text, errors.end())) if errors else [first]
    fits = [
        (part, rest)
        for part in parts
        if part
        and (rest := printer.rest.match(text, part.end()))
        and text.startswith((printer.closing, ", metadata" + printer.assign), rest.end())
    ]
    if first is None or len(fits) != 1:
        problem = "it has an unknown field, or errors may end in two places" if parts else "errors has no end"
        at = first.end() if first else head.end()
        raise TextError(form, at + 1, problem, truncated=not parts)
    part, rest = fits[0]
    found = {name: _typed(name, value) for name, value in first.groupdict().items() if value is not None}
    if errors:
        found["errors"] = _errors(errors, text[errors.end() : part.start()])
    found |= {name: _typed(name, value) for name, value in rest.groupdict().items() if value is not None}
    if not text.startswith(printer.closing, rest.end()):
        found["metadata"] = _metadata(text, form, rest.end() + len(", metadata" + printer.assign), printer)
    return found


def _metadata(text: str, form: TextForm, at: int, printer: _Printer) -> object:
    """
    Read `metadata`, the last field, if it can be only one mapping.

    `{a=1, b=2}` is two pairs, or one pair whose value is the text `1, b=2` (as is
    `{params=temperature=0, top_p=1}`), so no more than one pair is certain. And `{a=(1})` may end there
    or go on, if another `})` follows or a bracket in it is open.
    """
    if text.startswith(("null" + printer.closing, "{}" + printer.closing), at):
        return None if text[at] == "n" else {}
    closing = "}" + printer.closing
    end = text.find(closing, at)
    if end < 0:
        raise TextError(form, len(text) + 1, "metadata has no end", truncated=True)
    content = text[at + 1 : end]
    key, *values = content.split(printer.pair)
    is_one = len(values) == 1 and text.find(closing, end + 1) < 0 and _is_balanced(content)
    return {key: values[0]} if is_one and text[at] == "{" else UNREAD


def _is_balanced(text: str) -> bool:
    inside: list[str] = []
    for bracket in re.findall(r"[()\[\]{}]", text):
        if bracket in PARTNERS:
            inside.append(PARTNERS[bracket])
        elif not inside or inside.pop() != bracket:
            return False
    return not inside


def _errors(head: re.Match[str], text: str) -> object:
    """
    Read the entries of `errors`, each of which must name each of its parts once.

    `message=bad, param=x, param=null, line=1` has the message `bad, param=x` or the param `x, param=null`.
    That no message spells a bracket, a comma and the class name of the next entry is taken for certain.
    """
    opening = head[1]
    names = ["code", "line", "message", "param"] + ["type"] * (opening == "(")
    entries: list[object] = []
    for entry in _ENTRIES[opening].split(text) if text else ():
        rest, *parts = _PARTS[opening].split(", " + entry[entry.find(opening) + 1 : -1])
        if rest or sorted(parts[::2]) != names:
            return UNREAD
        values = {
            name: None if value == "null" else value
            for name, value in zip(parts[::2], parts[1::2], strict=True)
        }
        entries.append(values | {"line": _typed("created_at", values["line"] or "null")})
    return ({"object": head[2]} if head[2] else {}) | {"data": entries}


def _typed(name: str, text: str) -> object:
    """Give a bare value the type that its field has; UNREAD if nobody knows that."""
    wrapped = _WRAPPED.fullmatch(text)
    token = wrapped[1] if wrapped else text
    if token.endswith((")", "]", "}")):
        counts = _COUNT.findall(token)
        is_whole = name == "request_counts" and len(counts) == token.count("=") + token.count(":") > 0
        return {key[0].lower() + key[1:]: _scalar(value) for key, value in counts} if is_whole else UNREAD
    if token == "null" or name in TIME_FIELDS:
        return _scalar(token)
    return token if name in TEXT_FIELDS or name == "object" else UNREAD


def _scalar(token: str) -> object:
    # The word null and a text that spells it look alike; no server is known to send the word.
    if token == "null":
        return None
    return number(token) if _NUMBER.fullmatch(token) else token


_GO_FIELD: Final = re.compile(
    r"([A-Z]\w*+):(?:(<nil>)|(0x[0-9a-f]++)|(\{(?:[A-Z]\w*+:-?\d++ ?)++\}|[^\s{}\[\]<>&]*+))(?: |(?=\}))",
    re.ASCII,
)
_GO_NAME: Final = re.compile(r"(?<=[ {])([A-Z]\w*+):")


def _go(text: str) -> dict[str, object]:
    """Read a struct as `%+v` prints it: of a pointer the address, of a map or struct inside free text."""
    head = _start(text, "go")
    _refuse_second(text, "go", head.end())
    found: dict[str, object] = {}
    at = head.end()
    while not text.startswith("}", at):
        field = _GO_FIELD.match(text, at)
        if field is None:
            break
        name, token = _NAMES.get(field[1], field[1]), field[4]
        # Where a field is no pointer, 0 is Go's word for null too: CancelledAt:0.
        is_known = not field[3] and (token != "0" or name == "created_at") and name not in found
        found[name] = _typed(name, "null" if field[2] else token) if is_known else UNREAD
        at = field.end()
    else:
        return found
    if not _GO_NAME.match(text, at) or "}" not in text[at:]:
        raise TextError("go", at + 1, "a field is due")
    # {Note:a Status:failed} may be one note: from a free text on, all that seems to be there is unread.
    return found | {_NAMES.get(name, name): UNREAD for name in _GO_NAME.findall(text, at)}
