"""The marks by which objects of the known providers are recognised."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from batchfsm.dialects import DIALECTS, Dialect
from batchfsm.snapshot import WIRE_FIELDS, Snapshot
from batchfsm.wire.envelope import SPELLINGS
from batchfsm.wire.translation import Translator

OPENAI: Final = "openai"
"""The name of the mark that all dialects without a map share."""

PROVIDERS: Final = tuple(dialect for dialect in DIALECTS.values() if dialect.wire is not None)
"""The dialects with a map, and so a mark of their own."""


@cache
def translators() -> dict[str, Translator]:
    """Return a translator for each provider, for all readers: they remember which keys have a mark."""
    return {
        dialect.name: Translator(dialect.wire, dialect.canonical_status)
        for dialect in PROVIDERS
        if dialect.wire is not None
    }


def marks_of(found: Mapping[Any, Any]) -> list[str]:
    """Return the providers whose mark an object has; `openai` stands for all dialects without a map."""
    marks = [name for name, translator in translators().items() if translator.is_marked(found)]
    windows = [found[key] for key in found if isinstance(key, str) and SPELLINGS.get(key) == "completion_window"]
    if windows:
        is_openai = any(window is not None for window in windows)
    else:
        is_openai = not marks and found.get("object", found.get("Object")) == "batch"
    return [OPENAI, *marks] if is_openai else marks


def mark_hint(found: Mapping[Any, Any], dialect: Dialect) -> str:
    """Return that an object has the marks of other dialects than its own, as the end of a sentence; else nothing."""
    marks, named = marks_of(found), OPENAI if dialect.wire is None else dialect.name
    if not marks or named in marks or dialect.name not in DIALECTS:
        return ""
    return f"; it has the mark of {' and '.join(marks)}, not of {named}: name that dialect"


def snapshot_mark_hint(snapshot: Snapshot, dialect: Dialect) -> str:
    """Return the sentence of `mark_hint` on an object that was read as a snapshot."""
    fields = {name: value for name in WIRE_FIELDS if (value := getattr(snapshot, name, None)) is not None}
    invalid = {name.partition(".")[0]: value for name, value in snapshot.bad.items()}
    return mark_hint({**snapshot.extra, **fields, **invalid}, dialect)
