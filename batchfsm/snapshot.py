"""One observation of one batch object, frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, Literal, cast, get_args

import attrs

from batchfsm.lifecycle import ENDED_AT, STAMP_FIELDS, Status

Style = Literal["snake", "camel", "pascal"]
"""The spelling of keys: `input_file_id`, `inputFileId`, `InputFileID`."""

TIME_FIELDS: Final = (*STAMP_FIELDS, "expires_at")
"""The nine fields that hold Unix seconds."""

TEXT_FIELDS: Final = (
    "id",
    "status",
    "endpoint",
    "model",
    "input_file_id",
    "completion_window",
    "output_file_id",
    "error_file_id",
)
"""The fields that hold text; `object` apart, which is always `batch`."""

REQUIRED_FIELDS: Final = ("id", "status", "created_at")
"""The required fields of a batch."""

FILE_FIELDS: Final = ("input_file_id", "output_file_id", "error_file_id")
"""The fields that hold file ids, where `""` means null."""

COUNT_FIELDS: Final = ("total", "completed", "failed")
"""The numbers inside `request_counts`."""

ALL_TIME_FIELDS: Final = (*TIME_FIELDS, ENDED_AT)
"""Every field of a snapshot that holds Unix seconds, but `observed_at`."""

ROW_FIELDS: Final = (
    "status",
    *TIME_FIELDS,
    "endpoint",
    "model",
    "input_file_id",
    "completion_window",
    "output_file_id",
    "error_file_id",
    ENDED_AT,
)
"""The fields of a `SnapshotRow` but for its counts: every plain field but the id."""

SnapshotRow = tuple[Any, ...]
"""The plain values of a snapshot: those of `ROW_FIELDS`, then those of `COUNT_FIELDS`."""


@attrs.frozen(repr=False)
class Unreadable:
    """A value in `Snapshot.bad` that the log's text form shows and that cannot be read. No rule reports it."""

    text: str | None = None
    """The text in its place; None if the form hides the value."""

    def __repr__(self) -> str:
        return "unread"


UNREADABLE: Final = Unreadable()
"""A value that the text form hides: an address, `[Object]`."""

_STATUSES: Final = frozenset(get_args(Status))
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


def fast_constructor(kind: Any) -> Any:
    """Return a constructor for a frozen attrs class that takes a fifth of the time of its `__init__`."""

    # A frozen `__init__` calls `object.__setattr__` for each field. Here a mutable draft is filled, then sealed.
    def seal(draft: Any) -> None:
        draft.__class__ = kind

    fields = {field.name: attrs.field(default=field.default) for field in attrs.fields(kind)}
    filled: Any = attrs.make_class("Filled", fields, eq=False, class_body={"__attrs_post_init__": seal})
    thawed = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(kind.__name__, (kind,), thawed | {"__init__": filled.__init__, "__attrs_post_init__": seal})


@attrs.frozen
class RequestCounts:
    """Numbers of requests of a batch; None where unknown."""

    total: int | None = None
    """All requests; 0 while the input file is being validated."""

    completed: int | None = None
    """Requests that ended well."""

    failed: int | None = None
    """Requests that ended badly; requests cut off by the deadline or a cancel are in neither number."""


@attrs.frozen(kw_only=True)
class BatchErrorEntry:
    """One entry of `errors`: a reason why a batch failed."""

    code: str | None = None
    """For machines, such as `invalid_json_line`."""

    message: str | None = None
    """For people."""

    param: str | None = None
    """The parameter that caused it."""

    line: int | None = None
    """The line of the input file, from 1."""


# Not keyword-only: keywords would cost the reader half a microsecond of every observation.
@attrs.frozen(repr=False)
class Snapshot:
    """
    One observation of one batch; build it with `parse`, or by keywords.

    A null field and a bad field are None; bad ones are in `bad`, too. Snapshots compare
    by value and have no hash. In snapshots from an audit, which also reads damaged rows,
    `id` and `status` may be None, against their type; everywhere else they are text.
    """

    id: str
    """The batch's id."""

    status: str
    """The lifecycle's word for the status, or an unknown word as the server wrote it."""

    created_at: int | None = None
    """When the server made it; Unix seconds."""

    in_progress_at: int | None = None
    """When its requests began to run; Unix seconds."""

    finalizing_at: int | None = None
    """When the last request was done or the time was up; Unix seconds."""

    completed_at: int | None = None
    """When it was completed; Unix seconds."""

    failed_at: int | None = None
    """When it failed; Unix seconds."""

    expired_at: int | None = None
    """When it expired; Unix seconds."""

    cancelling_at: int | None = None
    """When a cancel was asked for; Unix seconds."""

    cancelled_at: int | None = None
    """When it was cancelled; Unix seconds."""

    expires_at: int | None = None
    """The deadline; Unix seconds. None if the server gave none."""

    endpoint: str | None = None
    """The API path its requests go to."""

    model: str | None = None
    """The model that serves it; None while it is being validated."""

    input_file_id: str | None = None
    """The file of its requests."""

    completion_window: str | None = None
    """The time it may take, such as `24h`."""

    output_file_id: str | None = None
    """The file of the requests that ended well; expired and cancelled batches may have one."""

    error_file_id: str | None = None
    """The file of the requests that ended badly."""

    ended_at: int | None = None
    """When it ended, in whichever final status; Unix seconds. None where each status has its own stamp."""

    request_counts: RequestCounts | None = None
    """The numbers of requests."""

    errors: tuple[BatchErrorEntry, ...] | None = None
    """The errors of a failed batch; None if there are none."""

    usage: Mapping[str, object] | None = None
    """Tokens used, as the server wrote them; a read-only view."""

    metadata: Mapping[str, object] | None = None
    """The owner's key-value pairs; a read-only view. None for `null`, `{}` and `[]`."""

    observed_at: float | None = None
    """When it was seen; Unix seconds. None if the envelope has no time."""

    bad: Mapping[str, object] = _NOTHING
    """Invalid fields, with the values of the server; a read-only view. Empty from `parse`."""

    extra: Mapping[str, object] = _NOTHING
    """Unknown keys, and under `status` the wire's word where an alias was read; a read-only view."""

    __hash__ = None  # type: ignore[assignment]  # Mappings inside: snapshots compare by value and have no hash.

    def __repr__(self) -> str:
        """Show the fields that are set."""
        values = ((field.name, getattr(self, field.name), field.default) for field in attrs.fields(Snapshot))
        shown = ", ".join(f"{name}={_to_plain(value)!r}" for name, value, default in values if value != default)
        return f"Snapshot({shown})"

    @property
    def is_named(self) -> bool:
        """True if it has an id; always, but for damaged rows of an audit."""
        return cast("str | None", self.id) is not None

    @property
    def known_status(self) -> Status | None:
        """The status, if it is one of OpenAI's eight words."""
        return cast("Status", self.status) if self.status in _STATUSES else None

    @property
    def results_available(self) -> bool:
        """
        True if there is a file with answers to download: an output file, or an error file.

        The status does not matter: expired and cancelled batches have answers, too, and they
        are paid for. A file counts unless `request_counts` says that it holds no answer.
        """
        counts = self.request_counts or RequestCounts()
        has_outputs = self.output_file_id is not None and counts.completed != 0
        return has_outputs or (self.error_file_id is not None and counts.failed != 0)

    def to_dict(self, *, style: Style = "snake") -> dict[str, object]:
        """
        Return the wire's form: nulls explicit, bad fields and unknown keys unchanged.

        Args:
            style: How to spell the keys. Keys that are not the wire's own stay as they came.
        """
        wire: dict[str, object] = {"id": self.id, "object": "batch"}
        wire |= {name: getattr(self, name) for name in WIRE_FIELDS if name not in wire}
        if self.ended_at is not None:
            wire[ENDED_AT] = self.ended_at
        wire["request_counts"] = self.request_counts and _renamed(attrs.asdict(self.request_counts), style)
        wire["errors"] = self.errors and _renamed(
            {"object": "list", "data": [_renamed(attrs.asdict(error), style) for error in self.errors]}, style
        )
        wire["usage"] = _to_plain(self.usage)
        wire["metadata"] = _to_plain(self.metadata)
        for name, value in self.bad.items():
            field, _, inner = name.partition(".")
            if field == "observed_at":
                continue  # It is the envelope's.
            if inner:
                cast("dict[str, object]", wire[field])[to_case(inner, style)] = _to_plain(value)
            else:
                wire[field] = _to_plain(value)
        word = {"status": self.extra["status"]} if "status" in self.extra else {}
        own = {key: _to_plain(value) for key, value in self.extra.items() if key != "status"}
        return own | _renamed(wire | word, style)


make_counts: Final[Callable[..., RequestCounts]] = fast_constructor(RequestCounts)
make_snapshot: Final[Callable[..., Snapshot]] = fast_constructor(Snapshot)
_flat = attrgetter(*ROW_FIELDS)


def to_row(snapshot: Snapshot) -> SnapshotRow:
    """Return a snapshot's plain values; None where null or bad."""
    counts = snapshot.request_counts
    numbers = (None, None, None) if counts is None else (counts.total, counts.completed, counts.failed)
    flat: SnapshotRow = _flat(snapshot)
    return flat + numbers


# fmt: off
WIRE_FIELDS: Final = (
    "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window", "status",
    "output_file_id", "error_file_id", "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at",
    "failed_at", "expired_at", "cancelling_at", "cancelled_at", "request_counts", "usage", "metadata",
)
# fmt: on
"""The 22 fields of the Batch object, in the order of the wire. Source: openai-openapi, schema `Batch`."""


def to_case(name: str, style: Style) -> str:
    """
    Spell a wire name in another style.

    PascalCase is Go's, with its acronym: `input_file_id` is `InputFileID`.
    """
    if style == "snake":
        return name
    first, *rest = name.split("_")
    camel = first + "".join(part.capitalize() for part in rest)
    if style == "camel":
        return camel
    pascal = camel[0].upper() + camel[1:]
    return pascal[:-2] + "ID" if pascal.endswith("Id") else pascal


_OTHER_KEYS: Final = {"id": {"batchid"}, "status": {"batchstatus", "state"}, "created_at": {"created", "createtime"}}


def similar_key(name: str, keys: Iterable[object]) -> str | None:
    """
    Return the key that stands for a required field in other programs' objects; None if there is none.

    >>> similar_key("id", ["batch_id", "status"])
    'batch_id'
    """
    texts = (key for key in keys if isinstance(key, str))
    return next((key for key in texts if key.replace("_", "").lower() in _OTHER_KEYS[name]), None)


def _renamed(wire: Mapping[str, object], style: Style) -> dict[str, object]:
    return {to_case(name, style): value for name, value in wire.items()}


def _to_plain(value: object) -> object:
    """Return a read-only view as plain dicts and lists again."""
    if isinstance(value, Mapping):
        return {key: _to_plain(inner) for key, inner in value.items()}
    return [_to_plain(inner) for inner in value] if isinstance(value, tuple) else value
