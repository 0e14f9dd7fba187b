"""Best-effort readers of the text forms in which people log a batch; they never guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Final, get_args

import attrs

from batchfsm.lifecycle import Status
from batchfsm.logs.sdk_text.detection import COLOUR, HEADS, TextForm
from batchfsm.logs.sdk_text.literals import (
    AMBIGUOUS,
    PARTNERS,
    Scanner,
    TextError,
    first_unreadable,
    is_balanced,
    nullable,
    scalar,
)
from batchfsm.snapshot import TEXT_FIELDS, TIME_FIELDS, UNREADABLE, WIRE_FIELDS, Style, Unreadable, to_case
from batchfsm.wire.envelope import is_batch

QUOTED_FORMS: Final = ("python", "node", "ruby", "rust")
"""The forms that put texts in quotes, so that the end of each value is certain."""


@attrs.frozen(kw_only=True)
class TextReading:
    """The fields that one text form shows: those of a batch, of a page of batches, or of an envelope with a time."""

    fields: Mapping[str, object]
    """Wire names and JSON-like values. Inside a page or an envelope, batches keep each `Unreadable`."""

    unread: Mapping[str, Unreadable] = attrs.field(factory=dict)
    """The fields that the text shows but that could not be read, by wire name: neither set nor null."""


def read_text(text: str, form: TextForm) -> TextReading:
    """
    Read the batch, or the printed list of batches, in a text; the text before and behind it does not matter.

    Raises:
        TextError: If it cannot be read at all: no batch begins there, one begins and does not end, the end
            of a field is not certain, or there are two outside a list.
    """
    found = _quoted(COLOUR.sub("", text), form) if form in QUOTED_FORMS else _unquoted(text, form)
    fields, unread = _split_unread(found)
    return TextReading(fields=fields, unread=unread)


def is_complete(text: str, form: TextForm) -> bool:
    """Return True if no further line is needed: the batch in the text is whole, or cannot be read with more lines."""
    try:
        read_text(text, form)
    except TextError as error:
        return not error.truncated
    return True


_NAMES: Final = {to_case(name, style): name for name in WIRE_FIELDS for style in ("snake", "camel", "pascal")}
# A second object may be anything in braces; a second batch begins like this.
_SECOND: Final = {
    **HEADS,
    "node": re.compile(r"\{\s*+(?:id: ['\"]|object: 'batch')"),
    "ruby": re.compile(r"#<[\w:]{0,80}?Batch|\{(?:\"id\" ?=>|:id ?=>|id: \")"),
}


def _find_head(text: str, form: TextForm) -> re.Match[str]:
    head = HEADS[form].search(text)
    if head is None:
        raise TextError(form, 1, "none begins here", truncated=True)
    return head


def _refuse_second(text: str, form: TextForm, at: int) -> None:
    # Reading only the first of two would lose the other without a report.
    if second := _SECOND[form].search(text, at):
        raise TextError(form, second.start() + 1, "a second one begins here")


def _split_unread(found: Mapping[str, object]) -> tuple[dict[str, object], dict[str, Unreadable]]:
    """Return the values that were read and those that were not, both by the wire's names."""
    fields: dict[str, object] = {}
    unread: dict[str, Unreadable] = {}
    for key, value in found.items():
        name = _NAMES.get(key, key)
        missed = first_unreadable(value)
        inner = None if missed is None else _batches_inside(name, value)
        if missed is not None and inner is None:
            unread[name] = missed
        else:
            fields[key if name in found else name] = value if inner is None else inner
    return fields, unread


def _batches_inside(name: str, value: object) -> object:
    """Return an envelope's batch, or a page's batches, each with its unread fields; None if the value is neither."""
    if isinstance(value, dict) and is_batch(value):
        return _with_unread(value)
    if name == "data" and isinstance(value, list) and any(isinstance(each, dict) and is_batch(each) for each in value):
        return [_with_unread(each) if isinstance(each, dict) else each for each in value]
    return None


def _with_unread(batch: Mapping[str, object]) -> dict[str, object]:
    fields, unread = _split_unread(batch)
    return {**fields, **unread}


def _quoted(text: str, form: TextForm) -> dict[str, object]:
    """Return the first object on its line that is a batch or wraps one, or a list of them; else the first object."""
    head: re.Match[str] | None = _find_head(text, form)
    first: dict[str, object] | None = None
    end = 0
    while head:
        is_list = text.rstrip()[: head.start()].rstrip().endswith("[")
        is_sure = is_list or len(head[0]) > 1  # A class has a name, any other object has not.
        scanner = Scanner(text, form, text.rindex("[", 0, head.start()) + 1 if is_list else head.end())
        found: object = {"data": scanner.items()} if is_list else scanner.members(")" if head[0][-1] == "(" else "}")
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
    return _rust_status(first) if form == "rust" else first


_RUST_STATUSES: Final = {to_case(status, "pascal"): status for status in get_args(Status)}


def _rust_status(found: dict[str, object]) -> dict[str, object]:
    """Return a struct with the variant of its enum of statuses, such as `InProgress`, in the wire's spelling."""
    items, variant = found.get("data"), found.get("status")
    if isinstance(items, list):
        return found | {"data": [_rust_status(each) if isinstance(each, dict) else each for each in items]}
    known = _RUST_STATUSES.get(variant.text or "") if isinstance(variant, Unreadable) else None
    return found | {"status": known} if known else found


_SEPARATORS: Final[Mapping[str, str]] = {"kotlin": ", ", "dart": ", ", "java": ", ", "go": " "}


def _unquoted(text: str, form: TextForm) -> dict[str, object]:
    """
    Return the batch in a text, or the batches of a printed list.

    It is assumed that no text inside a batch spells a whole second batch.
    """
    start = _find_head(text, form).start()
    if not text.endswith("[", 0, start):
        return _UNQUOTED[form](text, form)[0]
    heads = [head.start() for head in HEADS[form].finditer(text)]
    separator = _SEPARATORS[form]
    batches: list[object] = []
    for begin, behind in pairwise([*heads, len(text)]):
        piece, is_last = text[begin:behind], behind == len(text)
        body = piece if is_last else piece.removesuffix(separator)
        found, end = _UNQUOTED[form](body, form)
        if is_last and not body.startswith("]", end):
            raise TextError(form, begin + end + 1, "the list has no end", truncated="]" not in body[end:])
        if not is_last and (body == piece or end < len(body)):
            raise TextError(form, begin + end + 1, "the list goes on with something that is no batch")
        batches.append(_with_unread(found))
    return {"data": batches}


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
    """Return a pattern for each kind of bracket: `template`, then these fields in this order, each of them optional."""
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


def _read_kotlin_or_dart(text: str, form: TextForm) -> tuple[dict[str, object], int]:
    """
    Return the fields of a class or map whose texts have no quotes, and the index behind its end.

    Most texts are ids, which need no quotes. But a message in `errors` may spell `]], status=`. The errors end where
    the rest of a batch follows, up to its closing bracket; if it follows in two places, the batch is refused.
    """
    start = _find_head(text, form).end()
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
    found = _typed_fields(first) | inner | _typed_fields(rest)
    if not text.startswith(metadata, rest.end()):
        return found, rest.end() + 1
    found["metadata"], behind = _metadata(text, form, rest.end() + len(metadata), closing)
    if isinstance(found["metadata"], Unreadable):
        # Fields that seem to come behind it may be part of the metadata.
        seeming = _KNOWN[opening].findall(text, rest.end())
        found |= {_NAMES[name]: AMBIGUOUS for name in seeming if _NAMES[name] not in found}
    return found, behind


def _typed_fields(part: re.Match[str]) -> dict[str, object]:
    return {name: _typed(name, value) for name, value in part.groupdict().items() if value is not None}


def _metadata(text: str, form: TextForm, at: int, closing: str) -> tuple[object, int]:
    """
    Return `metadata`, the last field, if it can be only one mapping, else `AMBIGUOUS`; and the index behind the batch.

    `{a=1, b=2}` is two pairs, or one pair whose value is the text `1, b=2` (as is
    `{params=temperature=0, top_p=1}`), so no more than one pair is certain. And `{a=(1})` may end there
    or go on, if another `})` follows or a bracket in it is open. An end that is not certain is the last one.
    """
    if text.startswith("null" + closing, at):
        return None, at + len("null" + closing)
    end = text.find("}" + closing, at)
    if end < 0 or text[at] != "{":
        raise TextError(form, len(text) + 1, "metadata has no end", truncated=end < 0)
    value, last = _pairs(text[at + 1 : end], "=" if form == "kotlin" else ": "), text.rindex("}" + closing)
    return (value if last == end else AMBIGUOUS), last + 2


def _pairs(text: str, assign: str) -> object:
    """Return a mapping of one pair or none; `AMBIGUOUS` if the text may be another mapping."""
    key, *values = text.split(assign)
    if len(values) > 1 or not is_balanced(text):
        return AMBIGUOUS
    return {key: values[0]} if values else AMBIGUOUS if key else {}


def _errors(head: re.Match[str], text: str) -> object:
    """
    Return the entries of `errors`; `AMBIGUOUS` unless each entry names each of its parts once.

    `message=bad, param=x, param=null, line=1` has the message `bad, param=x` or the param `x, param=null`.
    It is assumed that no message spells a bracket, a comma and the class name of the next entry.
    """
    names = _PARTS[head[1]]
    entries: list[object] = []
    for entry in _ENTRIES[head[1]].split(text) if text else ():
        rest, *parts = re.split(f", ({'|'.join(names)})=", ", " + entry[entry.find(head[1]) + 1 : -1])
        if rest or sorted(parts[::2]) != names or not entry.endswith(PARTNERS[head[1]]):
            return AMBIGUOUS
        values = {name: nullable(value) for name, value in zip(parts[::2], parts[1::2], strict=True)}
        line = scalar(values["line"] or "null")
        if isinstance(line, str | Unreadable):
            return AMBIGUOUS
        entries.append(values | {"line": line})
    return ({"object": head[2]} if head[2] else {}) | {"data": entries}


def _typed(name: str, text: str) -> object:
    """Return an unquoted value with the type of its field; an `Unreadable` if the type is not certain."""
    wrapped = _WRAPPED.fullmatch(text)
    word = wrapped[1] if wrapped else text
    if word.endswith((")", "]", "}")):
        counts = dict(_COUNT.findall(word)) if name == "request_counts" else {}
        is_whole = len(counts) == len(re.findall("[=:]", word))
        return {key.lower(): scalar(value) for key, value in counts.items()} if counts and is_whole else AMBIGUOUS
    if name in TIME_FIELDS:
        return scalar(word)
    return nullable(word) if name in (*TEXT_FIELDS, "object") or word == "null" else AMBIGUOUS


_GO_FIELD: Final = re.compile(
    r"([A-Z]\w*+):(?:(<nil>)|(0x[0-9a-f]++)|(\{(?:[A-Z]\w*+:-?\d++ ?)++\}|[^\s{}\[\]<>&]*+))(?: |(?=\}))",
    re.ASCII,
)
_GO_NAME: Final = re.compile(r"(?<=[ {])([A-Z]\w*+):")


def _read_go(text: str, form: TextForm) -> tuple[dict[str, object], int]:
    """
    Return the fields of a struct as `%+v` prints it, and the index behind its end.

    A pointer is printed as an address, and so unreadable; a map or a struct as text without quotes.
    """
    at = _find_head(text, form).end()
    _refuse_second(text, form, at)
    if text.startswith('ID:"', at):
        raise TextError(form, at + 1, "Go's %#v is not read; %+v is, and JSON")
    found: dict[str, object] = {}
    while not text.startswith("}", at):
        field = _GO_FIELD.match(text, at)
        if field is None:
            break
        name = _NAMES.get(field[1], field[1])
        # In a field that is no pointer, Go prints null as 0, too: CancelledAt:0.
        is_known = not field[3] and (field[4] != "0" or name == "created_at") and name not in found
        found[name] = _typed(name, "null" if field[2] else field[4]) if is_known else UNREADABLE
        at = field.end()
    else:
        return found, at + 1
    if not _GO_NAME.match(text, at) or "}" not in text[at:]:
        raise TextError(form, at + 1, "a field is due", truncated="}" not in text[at:])
    # {Note:a Status:failed} may be one note: from a text without quotes on, every field is ambiguous.
    return found | {_NAMES.get(name, name): AMBIGUOUS for name in _GO_NAME.findall(text, at)}, text.rindex("}") + 1


# openai-java prints required fields first, then the others by name; an absent one as no text at all.
_JAVA_FIRST: Final = ("id", "completion_window", "created_at", "endpoint", "input_file_id", "object", "status")
_JAVA_FIRST_OPTIONAL: Final = ("cancelled_at", "cancelling_at", "completed_at", "error_file_id")
_JAVA_MIDDLE: Final = ("expired_at", "expires_at", "failed_at", "finalizing_at", "in_progress_at")
_JAVA_COUNTS: Final = r"BatchRequestCounts\{completed=\d++, failed=\d++, total=\d++, additionalProperties=\{\}\}"


def _java_fields(names: Iterable[str]) -> str:
    return ", ".join(
        f"{'object_' if name == 'object' else to_case(name, 'camel')}=(?P<{name}>{_PLAIN})" for name in names
    )


_JAVA_HEAD: Final = re.compile(_java_fields((*_JAVA_FIRST, *_JAVA_FIRST_OPTIONAL)) + ", errors=")
_JAVA_BODY: Final = re.compile(", " + _java_fields(_JAVA_MIDDLE) + ", metadata=")
_JAVA_TAIL: Final = re.compile(
    rf"(?:, model=(?P<model>{_PLAIN}))?, outputFileId=(?P<output_file_id>{_PLAIN})"
    rf", requestCounts=(?P<request_counts>{_JAVA_COUNTS}|null|)"
    r"(?P<usage>, usage=(?:null|BatchUsage\{[\w={}, ]*?\}\})?)?"
    r", additionalProperties=\{(?P<extra>[^{}]*+)\}\}"
)
_JAVA_METADATA: Final = re.compile(r"Metadata\{additionalProperties=\{(.*)\}\}", re.DOTALL)
_JAVA_ERROR: Final = re.compile(
    r"BatchError\{code=(.*), line=(\d*+|null), message=(.*), param=(.*), additionalProperties=\{\}\}", re.DOTALL
)
_JAVA_ERRORS: Final = re.compile(r"Errors\{data=\[(.*)\], object_=list, additionalProperties=\{\}\}", re.DOTALL)


def _read_java(text: str, form: TextForm) -> tuple[dict[str, object], int]:
    """
    Return the fields of a batch as openai-java's `toString()` prints it, and the index behind its end.

    A text in `errors` or `metadata` may spell the fields behind it; then they may begin in two places, and the batch
    is refused.
    """
    start = _find_head(text, form).end()
    _refuse_second(text, form, start)
    head = _JAVA_HEAD.match(text, start)
    if head is None:
        raise TextError(form, start + 1, "the fields of openai-java's Batch are due", truncated="}" not in text[start:])
    fits = [
        (body, tail) for body in _JAVA_BODY.finditer(text, head.end()) for tail in _JAVA_TAIL.finditer(text, body.end())
    ]
    if len(fits) != 1:
        problem = "errors or metadata may end in two places" if fits else "the fields behind errors are due"
        raise TextError(form, len(text) + 1, problem, truncated=not fits)
    body, tail = fits[0]
    found = {name: _typed(name, value) for part in (head, body) for name, value in part.groupdict().items() if value}
    found |= {name: _typed(name, tail[name]) for name in ("model", "output_file_id") if tail[name]}
    found["errors"] = _java_errors(text[head.end() : body.start()])
    found["metadata"] = _java_metadata(text[body.end() : tail.start()])
    if tail["request_counts"]:
        counts = dict(_COUNT.findall(tail["request_counts"]))
        found["request_counts"] = {name: scalar(value) for name, value in counts.items()}
    unknown = {"usage": len(tail["usage"] or "") > len(", usage="), "additional_properties": bool(tail["extra"])}
    return found | {name: AMBIGUOUS for name, is_there in unknown.items() if is_there}, tail.end()


def _java_errors(text: str) -> object:
    if text in ("", "null"):
        return None
    errors = _JAVA_ERRORS.fullmatch(text)
    entries: list[object] = []
    for each in re.split(r"(?<=\{\}\}), (?=BatchError\{)", errors[1]) if errors and errors[1] else ():
        parts = _JAVA_ERROR.fullmatch(each)
        if not parts or any(f", {name}=" in parts[n] for n in (1, 3, 4) for name in ("line", "message", "param")):
            return AMBIGUOUS
        code, line, message, param = (None if part in ("", "null") else part for part in parts.groups())
        entries.append({"code": code, "message": message, "param": param, "line": int(line) if line else None})
    return {"object": "list", "data": entries} if errors else AMBIGUOUS


def _java_metadata(text: str) -> object:
    if text in ("", "null"):
        return None
    metadata = _JAVA_METADATA.fullmatch(text)
    return _pairs(metadata[1], "=") if metadata else AMBIGUOUS


_UNQUOTED: Final[Mapping[TextForm, Callable[[str, TextForm], tuple[dict[str, object], int]]]] = {
    "kotlin": _read_kotlin_or_dart,
    "dart": _read_kotlin_or_dart,
    "go": _read_go,
    "java": _read_java,
}
