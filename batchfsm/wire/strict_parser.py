"""`parse`: reads one batch object, and refuses every fault."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from batchfsm.dialects import AUTO, Dialect, get_dialect
from batchfsm.errors import SnapshotError
from batchfsm.lifecycle import Lifecycle
from batchfsm.snapshot import REQUIRED_FIELDS, Snapshot, similar_key
from batchfsm.wire.marks import snapshot_mark_hint
from batchfsm.wire.parser import reader
from batchfsm.wire.provider_reader import ProviderReader
from batchfsm.wire.values import expected_message, short_repr


def parse(
    obj: object, *, dialect: str | Dialect | Lifecycle = "openai", observed_at: float | str | datetime | None = None
) -> Snapshot:
    """
    Read one batch object strictly.

    Args:
        obj: A mapping, JSON text, a `Snapshot`, or an SDK object with
            `model_dump` or `to_dict`; keys in snake_case, camelCase or
            PascalCase; bare or in an envelope.
        dialect: The dialect of the server that wrote the object; `auto` recognises each provider by the mark of its
            objects.
        observed_at: The time at which it was seen; Unix seconds, RFC 3339 text or an
            aware `datetime`. It takes precedence over the time of an envelope.

    Raises:
        SnapshotError: With the `$.path` of everything that was refused.
        UnknownNameError: If no dialect has that name.
        TypeError: If `observed_at` is a `datetime` without a time zone.
    """
    if dialect == AUTO:
        snapshot = ProviderReader().read_row(obj, observed_at).snapshot
    else:
        snapshot = reader(get_dialect(dialect)).read(obj, observed_at)
    missing = [name for name in REQUIRED_FIELDS if getattr(snapshot, name) is None and name not in snapshot.bad]
    problems = [(f"$.{name}", missing_message(name, snapshot.extra)) for name in missing]
    problems += [(f"$.{name}", expected_message(name, value)) for name, value in snapshot.bad.items()]
    if problems:
        hint = "" if dialect == AUTO else snapshot_mark_hint(snapshot, get_dialect(dialect))
        problems += [("$", hint.removeprefix("; "))] if hint else []
        raise SnapshotError(problems)
    return snapshot


def missing_message(name: str, keys: Iterable[object]) -> str:
    """Return the problem of a required field that is absent, with the key that was found instead of it."""
    other = similar_key(name, keys)
    return "a value is missing" if other is None else f"a value is missing; there is {short_repr(other)} instead"
