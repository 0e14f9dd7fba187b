"""The text forms in which people log a batch, recognised by their beginnings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

TextForm = Literal["python", "kotlin", "dart", "go", "node", "java", "ruby", "rust"]
"""
Python's `repr`, Kotlin's, Dart's and openai-java's `toString()`, Go's `%+v`, Node's `console.log`, Ruby's `inspect`,
Rust's `{:?}`.
"""

COLOUR: Final = re.compile(r"\x1b\[[\d;]*+m")
"""A colour escape; it is no part of a text."""

# No letter stands before a class name, except for the one that ends a colour escape.
_EDGE: Final = r"(?:(?<!\w)|\x1b\[[\d;]{0,20}m)"
# openai-python's class, LiteLLM's, Groq's three, and the page that `batches.list()` returns.
_CLASS: Final = r"(?<!\w)(?:(?:Sync|Async)CursorPage\[\w+\]|(?:LiteLLM)?Batch(?:(?:Create|Retrieve|Cancel)Response)?)\("
_JSON: Final = re.compile(r"\s*+(?:\[\s*+)*+\{\s*+(?:\}|\"(?!\w*+\" ?=>))")
HEADS: Final[Mapping[TextForm, re.Pattern[str]]] = {
    "kotlin": re.compile(_EDGE + r"Batch\((?=id=(?!['\"]|None\b))"),
    "dart": re.compile(_EDGE + r"Batch\[(?=id=)|\{(?=id: [^,'\"`{}\n]*+, object: )"),
    "java": re.compile(_EDGE + r"Batch\{(?=id=)"),
    "go": re.compile(r"\{(?=ID:)"),
    "rust": re.compile(r"(?<!\w)\w{0,40}?Batch\w{0,40} \{(?=\s*+[a-z_]\w*+: (?:\"|Some\(|None\b))"),
    "ruby": re.compile(
        r"#<[\w:]{0,80}?Batch\w*+(?::0x[0-9a-f]++)? \{|\{(?=(?:\"\w++\" ?=>|:\w++ ?=>|[a-z_]\w*+: (?:\"|:[a-z\"])))"
    ),
    "python": re.compile(_CLASS + r"(?=\s*+(?:$|[A-Za-z_]\w*+=))|\{(?=\s*+'\w++':)"),
    "node": re.compile(r"\{(?=\s*+(?:[A-Za-z_]\w*+|'[^'\n]*+'): )"),
}
"""How each form begins."""


def detect(line: str) -> TextForm | None:
    """
    Return the form that begins on a line; the lines after it, joined with newlines, may be given too.

    Returns:
        None for JSON and for anything else. A lone `{` opens JSON and `console.log` alike:
        give it together with the next line.
    """
    start = first_start(line)
    return None if start is None else start[1]


def first_start(line: str) -> tuple[int, TextForm] | None:
    """Return the index at which a form begins on a line, colour escapes left out, and the form; else as `detect`."""
    text = COLOUR.sub("", line)
    heads = ((form, pattern.search(text)) for form, pattern in HEADS.items())
    starts = [(head.start(), form) for form, head in heads if head and "\n" not in text[: head.start()]]
    # Any object in braces looks like Node's, and a logger may print one of its own before a batch of another form.
    # Where kotlin and python begin at one place, the form is kotlin, whose pattern is more specific.
    starts = [start for start in starts if start[1] != "node"] or starts
    return min(starts) if starts and not _JSON.match(text) else None


def starts_record(text: str, form: TextForm) -> bool:
    """Return whether a form begins on the first line of a text."""
    head = HEADS[form].search(COLOUR.sub("", text))
    return head is not None and "\n" not in head.string[: head.start()]
