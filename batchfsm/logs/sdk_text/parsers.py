"""Best-effort readers of the text forms in which people log a batch; they never guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from batchfsm.logs.sdk_text.detection import COLOUR, HEADS, TextForm, detect, starts_record
from batchfsm.logs.sdk_text.literals import (
    PARTNERS,
    UNREADABLE,
    Scanner,
    TextError,
    is_balanced,
    is_unreadable_inside,
    nullable,
    scalar,
)
from batchfsm.snapshot import TEXT_FIELDS, TIME_FIELDS, WIRE_FIELDS, Style, to_case
from batchfsm.wire.envelope import is_batch

__all__ = ["TextError", "TextForm", "TextReading", "detect", "is_complete", "read_text", "starts_record"]


@attrs.frozen(kw_only=True)
class TextReading:
    """What one text form says of one batch."""

    fields: Mapping[str, object]
    """Wire names and JSON-like values; a page of batches, or an envelope with a time, is left as it is."""

    unread: tuple[str, ...] = ()
    """Wire names of the fields that are there and could not be read, in order: neither set nor null."""


def read_text(text: str, form: TextForm) -> TextReading:
    """
    Read the batch in a text; what stands before and behind it does not matter.

    Raises:
        TextError: If it cannot be read at all: none begins there, one begins and does not end, the end
            of a field cannot be told, or there are two.
    """
    if form in ("python", "node"):
        found = _quoted(COLOUR.sub("", text), form)
    else:
        found = _go(text) if form == "go" else _bare(text, form)
    fields, unread = _parted(found)
    return TextReading(fields=fields, unread=tuple(unread))


def is_complete(text: str, form: TextForm) -> bool:
    """Tell whether no further line is needed: the batch in the text is whole, or beyond reading."""
    try:
        read_text(text, form)
    except TextError as error:
        return not error.truncated
    return True


_NAMES: Final = {to_case(name, style): name for name in WIRE_FIELDS for style in ("snake", "camel", "pascal")}
# A second object may be anything in braces; a second batch begins like this.
_SECOND: Final = {**HEADS, "node": re.compile(r"\{\s*+(?:id: ['\"]|object: 'batch')")}


def _start(text: str, form: TextForm) -> re.Match[str]:
    head = HEADS[form].search(text)
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
        if is_unreadable_inside(value):
            unread.append(name)
        else:
            fields[key if name in found else name] = value
    return fields, unread


def _quoted(text: str, form: TextForm) -> dict[str, object]:
    """Return the first object on its line that is a batch or wraps one; the first object, if none does."""
    head: re.Match[str] | None = _start(text, form)
    first: dict[str, object] | None = None
    end = 0
    while head:
        is_sure = head[0].endswith("(")
        scanner = Scanner(text, form, head.end())
        found = scanner.members(")" if is_sure else "}")
        if isinstance(found, dict):
            parts = [] if is_sure else [found, *(each for name, each in found.items() if name != "metadata")]
            batches = [each for each in parts if isinstance(each, dict) and is_batch(each)]
            is_sure = is_sure or bool(batches)
            if is_sure or first is None:
                is_wrapper = len(batches) == 1 and found.keys().isdisjoint(("observed_at", "timestamp"))
                first, end = (batches[0] if is_wrapper else found), scanner.at
        head = None if is_sure else HEADS[form].search(text, scanner.at)
        head = head if head and "\n" not in text[scanner.at : head.start()] else None
    if first is None:
        raise TextError(form, end + 1, "its values have no names")
    _refuse_second(text, form, end)
    return first


# Numbers, ids, statuses, paths: no bracket, no line end, and no comma with a space behind it.
_PLAIN: Final = r"(?:[^,()\[\]{}\n]|,(?! ))*+"
_VALUE: Final = rf"\w*+[(\[{{](?:[^()\[\]{{}}\n]|[(\[{{][^()\[\]{{}}\n]*+[)\]}}])*+[)\]}}]|{_PLAIN}"
_WRAPPED: Final = re.compile(rf"\w+\((?:id|path|value)=({_PLAIN})\)")
_COUNT: Final = re.compile(r"(\w++)(?:=|: ?)(-?\d++|null)(?=[ ,)\]}])", re.ASCII)
_ERRORS: Final = re.compile(r", errors(?:=|: )\w++([(\[])(?:object=(\w++), )?data=\[")
_ENTRIES: Final = {"(": re.compile(r"(?<=\)), (?=\w++\(code=)"), "[": re.compile(r"(?<=\]), (?=\w++\[code=)")}
_PARTS: Final = {"(": ["code", "line", "message", "param", "type"], "[": ["code", "line", "message", "param"]}
_ASSIGN: Final = {"(": "=", "[": "=", "{": ": "}


def _patterns(template: str, names: Iterable[str] = ()) -> dict[str, re.Pattern[str]]:
    """Return for each kind of bracket: `template`, then these fields in this order, none of them required."""
    found: dict[str, re.Pattern[str]] = {}
    for opening, assign in _ASSIGN.items():
        style: Style = "snake" if opening == "{" else "camel"
        fields = (f"(?:, {to_case(name, style)}~(?P<{name}>{_VALUE}))?" for name in names)
        found[opening] = re.compile((template + "".join(fields)).replace("~", assign))
    return found


_FREE: Final = WIRE_FIELDS.index("errors")
_FIRST: Final = _patterns(f"id~(?P<id>{_VALUE})", WIRE_FIELDS[1:_FREE])
_REST: Final = _patterns("(?:, errors~(?P<errors>null))?", WIRE_FIELDS[_FREE + 1 : -1])
_KNOWN: Final = _patterns(f", ({'|'.join(_NAMES)})~")
_ERRORS_END: Final = _patterns(
    rf"(?<=[)\[\]])\](?:\]|, hasMore=\w++, firstId={_PLAIN}, lastId={_PLAIN}\))(?=, (?:{'|'.join(_NAMES)})~)"
)


def _bare(text: str, form: TextForm) -> dict[str, object]:
    """
    Read a class or map whose texts have no quotes; ids, which most of them are, need none.

    A message in `errors` may spell `]], status=`. Then what follows is hardly the rest of a batch up to
    its closing bracket; but where it is, in two places, nobody can say which of them is right.
    """
    start = _start(text, form).end()
    _refuse_second(text, form, start)
    opening = text[start - 1]
    closing, metadata = PARTNERS[opening], f", metadata{_ASSIGN[opening]}"
    first = _FIRST[opening].match(text, start)
    at = first.end() if first else start
    errors = _ERRORS.match(text, at)
    splits = [end.span() for end in _ERRORS_END[opening].finditer(text, at)] if errors else [(at, at)]
    rests = [(end, _REST[opening].match(text, behind)) for end, behind in splits]
    fits = [(end, rest) for end, rest in rests if rest and text.startswith((closing, metadata), rest.end())]
    if not first or len(fits) != 1:
        problem = "errors may end in two places" if fits else f"a known field or {closing} is due"
        column = max((rest.end() for _, rest in rests if rest), default=len(text)) + 1
        raise TextError(form, column, problem if splits else "errors has no end", truncated=not splits)
    end, rest = fits[0]
    inner = {"errors": _errors(errors, text[errors.end() : end])} if errors else {}
    found = _given(first) | inner | _given(rest)
    if text.startswith(metadata, rest.end()):
        found["metadata"] = _metadata(text, form, rest.end() + len(metadata), closing)
        # Of what seems to come behind it nothing is certain, not even that it is there.
        seeming = _KNOWN[opening].findall(text, rest.end()) if found["metadata"] is UNREADABLE else ()
        found |= {_NAMES[name]: UNREADABLE for name in seeming if _NAMES[name] not in found}
    return found


def _given(part: re.Match[str]) -> dict[str, object]:
    return {name: _typed(name, value) for name, value in part.groupdict().items() if value is not None}


def _metadata(text: str, form: TextForm, at: int, closing: str) -> object:
    """
    Read `metadata`, the last field, if it can be only one mapping.

    `{a=1, b=2}` is two pairs, or one pair whose value is the text `1, b=2` (as is
    `{params=temperature=0, top_p=1}`), so no more than one pair is certain. And `{a=(1})` may end there
    or go on, if another `})` follows or a bracket in it is open.
    """
    if text.startswith("null" + closing, at):
        return None
    end = text.find("}" + closing, at)
    if end < 0 or text[at] != "{":
        raise TextError(form, len(text) + 1, "metadata has no end", truncated=end < 0)
    key, *values = text[at + 1 : end].split("=" if form == "kotlin" else ": ")
    if len(values) > 1 or "}" + closing in text[end + 1 :] or not is_balanced(text[at + 1 : end]):
        return UNREADABLE
    return {key: values[0]} if values else UNREADABLE if key else {}


def _errors(head: re.Match[str], text: str) -> object:
    """
    Read the entries of `errors`, each of which must name each of its parts once.

    `message=bad, param=x, param=null, line=1` has the message `bad, param=x` or the param `x, param=null`.
    That no message spells a bracket, a comma and the class name of the next entry is taken for certain.
    """
    names = _PARTS[head[1]]
    entries: list[object] = []
    for entry in _ENTRIES[head[1]].split(text) if text else ():
        rest, *parts = re.split(f", ({'|'.join(names)})=", ", " + entry[entry.find(head[1]) + 1 : -1])
        if rest or sorted(parts[::2]) != names or not entry.endswith(PARTNERS[head[1]]):
            return UNREADABLE
        values = {name: nullable(value) for name, value in zip(parts[::2], parts[1::2], strict=True)}
        line = scalar(values["line"] or "null")
        if isinstance(line, str):
            return UNREADABLE
        entries.append(values | {"line": line})
    return ({"object": head[2]} if head[2] else {}) | {"data": entries}


def _typed(name: str, text: str) -> object:
    """Give a bare value the type that its field has; UNREAD if nobody knows that."""
    wrapped = _WRAPPED.fullmatch(text)
    word = wrapped[1] if wrapped else text
    if word.endswith((")", "]", "}")):
        counts = dict(_COUNT.findall(word)) if name == "request_counts" else {}
        is_whole = len(counts) == len(re.findall("[=:]", word))
        return {key.lower(): scalar(value) for key, value in counts.items()} if counts and is_whole else UNREADABLE
    if name in TIME_FIELDS:
        return scalar(word)
    return nullable(word) if name in (*TEXT_FIELDS, "object") or word == "null" else UNREADABLE


_GO_FIELD: Final = re.compile(
    r"([A-Z]\w*+):(?:(<nil>)|(0x[0-9a-f]++)|(\{(?:[A-Z]\w*+:-?\d++ ?)++\}|[^\s{}\[\]<>&]*+))(?: |(?=\}))",
    re.ASCII,
)
_GO_NAME: Final = re.compile(r"(?<=[ {])([A-Z]\w*+):")


def _go(text: str) -> dict[str, object]:
    """Read a struct as `%+v` prints it: of a pointer the address, of a map or struct inside free text."""
    at = _start(text, "go").end()
    _refuse_second(text, "go", at)
    found: dict[str, object] = {}
    while not text.startswith("}", at):
        field = _GO_FIELD.match(text, at)
        if field is None:
            break
        name = _NAMES.get(field[1], field[1])
        # Where a field is no pointer, 0 is Go's word for null too: CancelledAt:0.
        is_known = not field[3] and (field[4] != "0" or name == "created_at") and name not in found
        found[name] = _typed(name, "null" if field[2] else field[4]) if is_known else UNREADABLE
        at = field.end()
    else:
        return found
    if not _GO_NAME.match(text, at) or "}" not in text[at:]:
        raise TextError("go", at + 1, "a field is due")
    # {Note:a Status:failed} may be one note: from a free text on, all that seems to be there is unread.
    return found | {_NAMES.get(name, name): UNREADABLE for name in _GO_NAME.findall(text, at)}
