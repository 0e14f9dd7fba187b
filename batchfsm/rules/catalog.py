"""The 33 rules, one row each: what it means, who says so, and what to do about a breach."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from batchfsm.lifecycle import ALL_STAMP_FIELDS, ENDED_AT
from batchfsm.rules.examples import BORN_AT, CANCELLING, DAY_S, EXPIRED, FAILED, QUEUED, RUNNING
from batchfsm.rules.kinds import (
    ChangedAfterEnd,
    CountsOverflow,
    CountsUnfinished,
    DeadlineWindow,
    IdTime,
    IllegalMove,
    Immutable,
    ImpossibleStamps,
    InvalidField,
    Limit,
    Monotonic,
    MustBeNull,
    MustBeSet,
    OutputMissing,
    OwnStampMissing,
    SkippedStamp,
    StampOrder,
    TimeLimit,
    UnknownStatus,
)  # fmt: skip
from batchfsm.rules.rule import Rule, row
from batchfsm.snapshot import TIME_FIELDS

# fmt: off
_NOT_OPENAI: Final = "If the server is not OpenAI's, judge it by its own dialect (--dialect)."
_IDENTITY: Final = ("created_at", "input_file_id", "endpoint", "completion_window", "expires_at")
_REPAIR: Final = "Repair the writer of the log; if the server is not OpenAI's, judge it by its own dialect."
_REPORT: Final = "Keep both snapshots and report them to whoever runs the server or the proxy."

_WIRE: Final = (
    row(
        "S001", "missing-field", "error", MustBeSet(("id", "status", "created_at")),
        "`id`, `status` or `created_at` is absent or null.",
        because="Required by openai-openapi, schema Batch; set in all real objects.",
        do="Look for what cut the object short: a projection, a log formatter, an old export.",
        example={"created_at": None},
    ),
    row(
        "S002", "wrong-type", "error", InvalidField(()),
        "A field has a type that the wire does not allow. It then says nothing; the others are judged.",
        because="Types of openai-openapi. R's jsonlite writes null as {}, spreadsheets numbers as text.",
        do=_REPAIR,
        example={"endpoint": 5},
    ),
    row(
        "S003", "not-a-batch", "error", InvalidField(("object",)),
        "`object` is present and is not `batch`.",
        because="openai-openapi: the object type, which is always `batch`.",
        do="Filter the log: a file, an event or a list got among the batches.",
        example={"object": "file"},
    ),
    row(
        "S004", "unknown-status", "error", UnknownStatus(),
        "The status is a word that the lifecycle does not have; it says nothing about the way.",
        because="openai-openapi, enum of eight. AIBrix says `scheduling`, production-stack `running`.",
        do=_NOT_OPENAI + " A new word of OpenAI's own wants a new release of this library.",
        example={"status": "paused"},
    ),
    row(
        "S005", "bad-timestamp", "error", InvalidField((*TIME_FIELDS, ENDED_AT)),
        "A time is not whole Unix seconds: text, a bool, a fraction, ≤ 0, or > 10^11 (milliseconds).",
        because="openai-openapi, format unixtime; no real object has another.",
        do=_REPAIR,
        example={"completed_at": 1_711_493_163_000},
    ),
    row(
        "S006", "metadata-limit", "warning", Limit(16, 64, 512),
        "`metadata` has over 16 pairs, a key over 64 or a value over 512 characters, or a value not text.",
        because="openai-openapi, schema Metadata.",
        do="Shorten what you attach at creation: OpenAI refuses it, other servers may cut it.",
        example={"metadata": {"note": "x" * 513}},
    ),
)
_PRESENCE: Final = (
    row(
        "P101", "stamp-missing", "error", OwnStampMissing(),
        "The stamp of the present status is null.",
        because="All 1,321 completed and 1,097 cancelled real objects have their own stamp.",
        do=_NOT_OPENAI,
        example={"completed_at": None},
    ),
    row(
        "P102", "stamp-forbidden", "error", ImpossibleStamps(),
        "No walk to the status passes all its set stamps; a warning where one with tolerated steps does.",
        because="The lifecycle table. Seen once: in_progress with finalizing_at, a stale status.",
        do="Read the batch again by its id; if it stays, the status was cached apart from the rest.",
        example={"failed_at": BORN_AT + 30},
    ),
    row(
        "P103", "stamp-skipped", "error", SkippedStamp(),
        "Each walk through the set stamps also passes another status whose stamp is null; a warning where "
        "one with tolerated steps avoids it.",
        because="1,321 of 1,321 completed real objects have in_progress_at and finalizing_at.",
        do=_NOT_OPENAI,
        example={"finalizing_at": None},
    ),
    row(
        "P104", "deadline-missing", "note", MustBeSet(("expires_at",)),
        "`expires_at` is null, so nobody can tell when to give up.",
        because="Set in 2,627 of 2,629 real objects, from the first answer on.",
        do="Give your poller a time-out of its own.",
        example={"expires_at": None},
    ),
)
_TIMES: Final = (
    row(
        "T201", "stamps-out-of-order", "error", StampOrder(),
        "A status that comes before another on every walk has the later second; equal seconds are fine.",
        because="No violation in 2,629 real objects; equal seconds in hundreds.",
        do="Look for stamps taken by two clocks. " + _REPORT,
        example={"finalizing_at": BORN_AT + 21_700},
    ),
    row(
        "T202", "deadline-mismatch", "warning", DeadlineWindow(),
        "`expires_at - created_at` is not `completion_window`.",
        because="86,400 seconds in 2,627 of 2,627 real objects. Azure's are 3 or 4 seconds off.",
        do="Trust expires_at, not the window, when you wait for the end.",
        example={"expires_at": BORN_AT + 2 * DAY_S},
    ),
    row(
        "T203", "expired-early", "error", TimeLimit(("expires_at",), "expired_at"),
        "The batch expired before its deadline.",
        because="Real batches expire 607 seconds after it, never before.",
        do=_REPORT,
        example={**EXPIRED, "expired_at": BORN_AT + 25_000, "finalizing_at": BORN_AT + 24_000},
    ),
    row(
        "T204", "finished-late", "warning", TimeLimit(("completed_at",), "expires_at"),
        "The batch was completed after its deadline.",
        because="Never on OpenAI; Azure says that jobs run on past 24 hours.",
        do="Do not drop a batch at its deadline: it may still come in.",
        example={"finalizing_at": BORN_AT + DAY_S + 10, "completed_at": BORN_AT + DAY_S + 20},
    ),
    row(
        "T205", "stamp-in-future", "error", TimeLimit(ALL_STAMP_FIELDS, "observed_at", None),
        "A stamp is later than the observation and the allowed skew between clocks.",
        because="The server stamps what has happened. Needs `observed_at`.",
        do="Compare the clocks (--skew); milliseconds read as seconds look so too.",
        example={"observed_at": BORN_AT + 20_000},
    ),
    row(
        "T206", "id-time-mismatch", "note", IdTime(60),
        "The time in a `batch_` id of 32 hex digits is more than 60 seconds from `created_at`.",
        because="2,352 real ids begin with the time of creation, 0 to 19 seconds off.",
        do="An invented id, or an object put together from two: look where it was logged.",
        example={"id": "batch_" + "6" * 32},
    ),
    row(
        "T207", "overdue", "warning", TimeLimit(("observed_at",), "expires_at", DAY_S, open_only=True),
        "The batch is still open more than a day after its deadline.",
        because="Open for 10 minutes past it is normal, for a day it happened once. Needs `observed_at`.",
        do="Cancel it, and ask whoever runs the server; some answer in_progress for ever after a restart.",
        example={**RUNNING, "observed_at": BORN_AT + 3 * DAY_S},
    ),
)
_COUNTS: Final = (
    row(
        "C301", "counts-overflow", "error", CountsOverflow(),
        "A count is negative, or more requests are done than there are.",
        because="No violation in 2,629 real objects.",
        do=_REPORT,
        example={"request_counts": {"total": 100, "completed": 99, "failed": 5}},
    ),
    row(
        "C302", "counts-unsettled", "error", CountsUnfinished(),
        "The batch is completed, and completed + failed is less than total.",
        because="Equal in 1,321 of 1,321 completed real objects; expired and cancelled ones have a rest.",
        do="Read the batch again before you count its results.",
        example={"request_counts": {"total": 100, "completed": 90, "failed": 5}},
    ),
    row(
        "C303", "counts-early", "warning", MustBeNull(("request_counts.total",), ("validating",)),
        "The batch is validating and has a total already.",
        because="0 in 107 of 107 validating real objects: the lines are counted by the validation.",
        do=_NOT_OPENAI,
        example={**QUEUED, "request_counts": {"total": 100, "completed": 0, "failed": 0}},
    ),
    row(
        "C304", "counts-missing", "note", MustBeSet(("request_counts",), unless=("validating", "failed")),
        "`request_counts` is null though the batch was accepted.",
        because="Set in all real objects.",
        do=_NOT_OPENAI,
        example={"request_counts": None},
    ),
)
_FILES: Final = (
    row(
        "F401", "file-early", "warning", MustBeNull(("output_file_id", "error_file_id")),
        "There is an output or error file before the end.",
        because="On OpenAI files appear with a terminal status. OGX gives the ids at once.",
        do="Do not download before the batch has ended: the file may be cut short.",
        example={**RUNNING, "output_file_id": "file-cvaTdG"},
    ),
    row(
        "F402", "output-missing", "warning", OutputMissing(),
        "The batch is completed, requests ended well, and no output file is there; it may come later.",
        because="LiteLLM reports completed seen before output_file_id was filled.",
        do="Read the batch again in a few seconds.",
        example={"output_file_id": None},
    ),
    row(
        "F403", "errors-unexpected", "warning", MustBeNull(("errors",), unless=("failed",)),
        "`errors` is not empty and the batch has not failed.",
        because="`errors` tells of the validation; null in all real objects that passed it.",
        do="Read them: on some servers they are warnings.",
        example={"errors": [{"code": "invalid_json_line", "message": "line 7"}]},
    ),
    row(
        "F404", "errors-missing", "note", MustBeSet(("errors",), ("failed",)),
        "The batch failed and does not say why.",
        because="Validation errors come with a code and mostly a line.",
        do="Validate the input file yourself, and ask whoever runs the server.",
        example={**FAILED, "errors": None},
    ),
)
_HISTORY: Final = (
    row(
        "H501", "illegal-transition", "error", IllegalMove(),
        "No walk leads from the known status to the new one; a warning if only tolerated steps do.",
        because="The lifecycle table, closed over polls that missed a status.",
        do=_REPORT,
        example=(CANCELLING, {**RUNNING, "in_progress_at": BORN_AT + 6}),
    ),
    row(
        "H502", "terminal-left", "error", IllegalMove(),
        "The known status is final, and the new one differs.",
        because="No real batch leaves a final status; some servers retry failed ones.",
        do=_REPORT,
        example=({}, {**FAILED, "failed_at": BORN_AT + 30_000}),
    ),
    row(
        "H503", "identity-changed", "error",
        Immutable(_IDENTITY, null_counts=False),
        "`created_at`, `input_file_id`, `endpoint`, `completion_window` or `expires_at` changed once set.",
        because="Fixed at creation; no change in 73 batches seen more than once.",
        do="Two batches under one id: look for a proxy that makes up ids.",
        example=(RUNNING, {"input_file_id": "file-other"}),
    ),
    row(
        "H504", "stamp-changed", "error",
        Immutable(ALL_STAMP_FIELDS[1:], null_counts=True),
        "A stamp that was set changed or became null.",
        because="No change in 73 batches seen more than once.",
        do=_REPORT,
        example=(RUNNING, {"in_progress_at": BORN_AT + 6}),
    ),
    row(
        "H505", "count-decreased", "error", Monotonic(),
        "`completed` or `failed` went down, or a total above zero changed.",
        because="No decrease in any source with a known order.",
        do="Show the highest count you saw. " + _REPORT,
        example=(RUNNING, {**RUNNING, "request_counts": {"total": 100, "completed": 39, "failed": 1}}),
    ),
    row(
        "H506", "file-changed", "error",
        Immutable(("output_file_id", "error_file_id"), null_counts=True),
        "An output or error file id that was set changed or became null.",
        because="No change in any source with a known order.",
        do="Keep the file that you have. " + _REPORT,
        example=({}, {"output_file_id": "file-other"}),
    ),
    row(
        "H507", "stale-read", "note", IllegalMove(),
        "An earlier, agreeing view of the batch came later; it is believed in nothing.",
        because="Lists and caches lag behind; LiteLLM's list kept validating after the end.",
        do="Nothing: it was seen through. If it is frequent, poll without the cache.",
        example=({}, RUNNING),
    ),
    row(
        "H508", "terminal-changed", "warning", ChangedAfterEnd(),
        "The batch had ended, and then counts went up, `errors` changed, or a stamp that was null was set.",
        because="A completed batch may get its output file late; anything else moving is odd.",
        do="Read the batch once more before you take its numbers.",
        example=({**FAILED}, {**FAILED, "errors": [{"code": "empty_file", "message": "no lines"}]}),
    ),
)

# fmt: on

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {rule.code: rule for rule in (*_WIRE, *_PRESENCE, *_TIMES, *_COUNTS, *_FILES, *_HISTORY)}
)
"""Every rule by its code, in the order in which findings are reported."""
