"""The catalog of rules: when each is violated, the evidence for it, and what to do about a violation."""

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
    OpenAfterDeadline,
    OutputMissing,
    OwnStampMissing,
    SkippedStamp,
    StampOrder,
    StuckInStatus,
    TimeLimit,
    UnexpectedErrorFile,
    UnknownStatus,
)  # fmt: skip
from batchfsm.rules.rule import Rule, rule
from batchfsm.snapshot import TIME_FIELDS

# fmt: off
_NOT_OPENAI: Final = "If the server is not OpenAI's, name its dialect (--dialect)."
_IDENTITY: Final = ("created_at", "input_file_id", "endpoint", "completion_window", "expires_at")
_REPAIR: Final = "Repair the program that writes the log; if the server is not OpenAI's, name its dialect."
_FILES_KEPT_S: Final = 30 * DAY_S
"""How long OpenAI keeps the output and error files of a batch, and the longest `output_expires_after`; seconds."""
_REPORT_ONE: Final = "Keep the snapshot and report it to the operator of the server or the proxy."
_REPORT: Final = "Keep both snapshots and report them to the operator of the server or the proxy."

_WIRE: Final = (
    rule(
        "S001", "missing-field", "error", MustBeSet(("id", "status", "created_at")),
        "`id`, `status` or `created_at` is absent or null.",
        evidence="Required by openai-openapi, schema Batch; set in all real objects.",
        remedy="Look for a step that removes fields: a projection, a log formatter, an old export.",
        example={"created_at": None},
    ),
    rule(
        "S002", "wrong-type", "error", InvalidField(()),
        "A field has a type that the wire does not allow. The field is ignored; the others are checked.",
        evidence="Types of openai-openapi. R's jsonlite writes null as {}, spreadsheets numbers as text.",
        remedy=_REPAIR,
        example={"endpoint": 5},
    ),
    rule(
        "S003", "not-a-batch", "error", InvalidField(("object",)),
        "`object` is present and is not `batch`.",
        evidence="openai-openapi: the object type, which is always `batch`.",
        remedy="Filter the log: it has a file, an event or a list among the batches.",
        example={"object": "file"},
    ),
    rule(
        "S004", "unknown-status", "error", UnknownStatus(),
        "The lifecycle does not have the status; the known status of the batch stays.",
        evidence="openai-openapi, enum of eight. AIBrix says `scheduling`, production-stack `running`.",
        remedy=_NOT_OPENAI + " If OpenAI has added the status, you need a newer batchfsm.",
        example={"status": "paused"},
    ),
    rule(
        "S005", "bad-timestamp", "error", InvalidField((*TIME_FIELDS, ENDED_AT)),
        "A time is not whole Unix seconds: text, a bool, a fraction, ≤ 0, or > 10^11 (milliseconds).",
        evidence="openai-openapi, format unixtime; no real object has another.",
        remedy=_REPAIR,
        example={"completed_at": 1_711_493_163_000},
    ),
    rule(
        "S006", "metadata-limit", "warning", Limit(16, 64, 512),
        "`metadata` has over 16 pairs, a key over 64 or a value over 512 characters, or a value that is no text.",
        evidence="openai-openapi, schema Metadata.",
        remedy="Shorten the metadata of the request: OpenAI refuses it, other servers may cut it.",
        example={"metadata": {"note": "x" * 513}},
    ),
)
_PRESENCE: Final = (
    rule(
        "P101", "stamp-missing", "error", OwnStampMissing(),
        "The stamp of the present status is null.",
        evidence="All 1,321 completed and 1,097 cancelled real objects have their own stamp.",
        remedy=_NOT_OPENAI,
        example={"completed_at": None},
    ),
    rule(
        "P102", "stamp-forbidden", "error", ImpossibleStamps(),
        "No walk to the status passes every status that has a stamp; a warning if a walk with tolerated steps does.",
        evidence="The lifecycle table. Seen once: in_progress with finalizing_at, a stale status.",
        remedy="Retrieve the batch again by its id. If it stays, a cache combines an old status with new fields.",
        example={"failed_at": BORN_AT + 30},
    ),
    rule(
        "P103", "stamp-skipped", "error", SkippedStamp(),
        "Each walk that passes every status with a stamp also passes a status whose stamp is null; a warning if "
        "a walk with tolerated steps does not.",
        evidence="1,321 of 1,321 completed real objects have in_progress_at and finalizing_at.",
        remedy=_NOT_OPENAI,
        example={"finalizing_at": None},
    ),
    rule(
        "P104", "deadline-missing", "note", MustBeSet(("expires_at",)),
        "`expires_at` is null, so the deadline is unknown.",
        evidence="Set in 2,627 of 2,629 real objects, from the first response on.",
        remedy="Give your poller a time-out.",
        example={"expires_at": None},
    ),
)
_TIMES: Final = (
    rule(
        "T201", "stamps-out-of-order", "error", StampOrder(),
        "A status that comes before another one on every walk has a later stamp; equal stamps are in order.",
        evidence="No violation in 2,629 real objects; equal seconds in hundreds.",
        remedy="Look for two clocks that set the stamps. " + _REPORT_ONE,
        example={"finalizing_at": BORN_AT + 21_700},
    ),
    rule(
        "T202", "deadline-mismatch", "warning", DeadlineWindow(),
        "`expires_at - created_at` is not `completion_window`.",
        evidence="86,400 seconds in 2,627 of 2,627 real objects. Azure's are 3 or 4 seconds off.",
        remedy="Wait until expires_at, not for the window.",
        example={"expires_at": BORN_AT + 2 * DAY_S},
    ),
    rule(
        "T203", "expired-early", "error", TimeLimit(("expires_at",), "expired_at"),
        "The batch expired before its deadline.",
        evidence="Real batches expire 607 seconds after it, never before.",
        remedy=_REPORT_ONE,
        example={**EXPIRED, "expired_at": BORN_AT + 25_000, "finalizing_at": BORN_AT + 24_000},
    ),
    rule(
        "T204", "finished-late", "warning", TimeLimit(("completed_at",), "expires_at"),
        "The batch was completed after its deadline.",
        evidence="Never on OpenAI; by Azure's documentation jobs continue after 24 hours.",
        remedy="Do not drop a batch at its deadline: it may still complete.",
        example={"finalizing_at": BORN_AT + DAY_S + 10, "completed_at": BORN_AT + DAY_S + 20},
    ),
    rule(
        "T205", "stamp-in-future", "error", TimeLimit(ALL_STAMP_FIELDS, "observed_at", None),
        "A stamp is later than the observation by more than the allowed skew between clocks.",
        evidence="A stamp is the time of a past event. Needs `observed_at`.",
        remedy="Compare the clocks (--skew). Milliseconds read as seconds also cause this.",
        example={"observed_at": BORN_AT + 20_000},
    ),
    rule(
        "T206", "id-time-mismatch", "note", IdTime(60),
        "The time in a `batch_` id of 32 hex digits is more than 60 seconds from `created_at`.",
        evidence="2,352 real ids begin with the time of creation, 0 to 19 seconds off.",
        remedy="The id is invented, or the object is a mixture of two: check the program that logged it.",
        example={"id": "batch_" + "6" * 32},
    ),
    rule(
        "T207", "overdue", "warning", OpenAfterDeadline(DAY_S),
        "The batch is still open more than a day after its deadline; reported once for each status.",
        evidence="Ten minutes after the deadline is normal; a day happened once. Needs `observed_at`.",
        remedy="Cancel it, and ask the operator of the server; after a restart some return in_progress for ever.",
        example={**RUNNING, "observed_at": BORN_AT + 3 * DAY_S},
    ),
    rule(
        "T208", "stuck", "note", StuckInStatus(),
        "The batch stays in a status longer than the dialect's bound for it: on OpenAI 6 hours in validating, 1 hour "
        "in finalizing or cancelling; reported once for each status.",
        evidence="finalizing took at most 584 seconds, cancelling 605 to 607 in 97 % of real objects but 8 hours "
        "once. Needs `observed_at`.",
        remedy="Ask the operator of the server: after a restart some return cancelling for ever. If hours are usual, "
        "set `Dialect.stuck_after_s`.",
        example={**CANCELLING, "observed_at": BORN_AT + 4_000},
    ),
)
_COUNTS: Final = (
    rule(
        "C301", "counts-overflow", "error", CountsOverflow(),
        "A count is negative, or completed + failed is more than total.",
        evidence="No violation in 2,629 real objects.",
        remedy=_REPORT_ONE,
        example={"request_counts": {"total": 100, "completed": 99, "failed": 5}},
    ),
    rule(
        "C302", "counts-unsettled", "error", CountsUnfinished(),
        "The batch is completed, and completed + failed is less than total.",
        evidence="Equal in 1,321 of 1,321 completed real objects; expired and cancelled ones have open requests.",
        remedy="Retrieve the batch again before you use its counts.",
        example={"request_counts": {"total": 100, "completed": 90, "failed": 5}},
    ),
    rule(
        "C303", "counts-early", "warning", MustBeNull(("request_counts.total",), ("validating",)),
        "The batch is validating, and its total is already set.",
        evidence="0 in 107 of 107 validating real objects: validation counts the lines.",
        remedy=_NOT_OPENAI,
        example={**QUEUED, "request_counts": {"total": 100, "completed": 0, "failed": 0}},
    ),
    rule(
        "C304", "counts-missing", "note", MustBeSet(("request_counts",), unless=("validating", "failed")),
        "`request_counts` is null, although the batch was accepted.",
        evidence="Set in all real objects.",
        remedy=_NOT_OPENAI,
        example={"request_counts": None},
    ),
    rule(
        "C305", "answers-early", "off", MustBeNull(("request_counts.completed", "request_counts.failed")),
        "The batch has not ended, and requests are already completed or failed; for servers that count at the end.",
        evidence="Anthropic's reference: counts of results are 0 until the batch has ended; in 4 of 4 real objects.",
        remedy="Do not use the counts as progress, and do not fetch results before the end.",
        example=RUNNING,
    ),
)
_FILES: Final = (
    rule(
        "F401", "file-early", "warning", MustBeNull(("output_file_id", "error_file_id")),
        "There is an output or error file before the end.",
        evidence="On OpenAI files appear with a final status. OGX sets the ids at once.",
        remedy="Do not download before the batch has ended: the file may be incomplete.",
        example={**RUNNING, "output_file_id": "file-cvaTdG"},
    ),
    rule(
        "F402", "output-missing", "warning", OutputMissing(_FILES_KEPT_S),
        "The batch is completed, requests succeeded, and there is no output file; it may come later. Not checked "
        "more than 30 days after the end: by then the file may have expired.",
        evidence="LiteLLM reports completed seen before output_file_id was filled. OpenAI keeps the files of a batch "
        "for 30 days.",
        remedy="Retrieve the batch again in a few seconds.",
        example={"output_file_id": None},
    ),
    rule(
        "F403", "errors-unexpected", "warning", MustBeNull(("errors",), unless=("failed",)),
        "`errors` is not empty and the batch has not failed.",
        evidence="`errors` holds errors of the validation; null in all real objects that passed it.",
        remedy="Read them: on some servers they are warnings.",
        example={"errors": [{"code": "invalid_json_line", "message": "line 7"}]},
    ),
    rule(
        "F404", "errors-missing", "note", MustBeSet(("errors",), ("failed",)),
        "The batch failed, and `errors` is empty.",
        evidence="Validation errors come with a code and mostly a line.",
        remedy="Validate the input file yourself, and ask the operator of the server.",
        example={**FAILED, "errors": None},
    ),
    rule(
        "F405", "error-file-unexpected", "note", UnexpectedErrorFile(),
        "The batch is completed, no request failed, and there is an error file.",
        evidence="On OpenAI there is an error file only if requests failed; gateways counted failed ones as completed.",
        remedy="Read the error file: failed requests may have been counted as completed.",
        example={"request_counts": {"total": 100, "completed": 100, "failed": 0}, "error_file_id": "file-errors"},
    ),
)
_HISTORY: Final = (
    rule(
        "H501", "illegal-transition", "error", IllegalMove(),
        "No walk leads from the known status to the new one; a warning if only tolerated steps do.",
        evidence="The lifecycle table; a walk may have statuses that no poll saw.",
        remedy=_REPORT,
        example=(CANCELLING, {**RUNNING, "in_progress_at": BORN_AT + 6}),
    ),
    rule(
        "H502", "terminal-left", "error", IllegalMove(is_from_final=True),
        "The known status is final, and the new one differs.",
        evidence="No real batch leaves a final status; some servers retry failed ones.",
        remedy=_REPORT,
        example=({}, {**FAILED, "failed_at": BORN_AT + 30_000}),
    ),
    rule(
        "H503", "identity-changed", "error",
        Immutable(_IDENTITY, null_counts=False),
        "`created_at`, `input_file_id`, `endpoint`, `completion_window` or `expires_at` changed after it was set.",
        evidence="Fixed at creation; no change in 73 batches seen more than once.",
        remedy="Two batches have one id: look for a proxy that invents ids, or, if `created_at` is later, for a "
        "restart of the server.",
        example=(RUNNING, {"input_file_id": "file-other"}),
    ),
    rule(
        "H504", "stamp-changed", "error",
        Immutable(ALL_STAMP_FIELDS[1:], null_counts=True),
        "A stamp that was set changed or became null.",
        evidence="No change in 73 batches seen more than once.",
        remedy=_REPORT,
        example=(RUNNING, {"in_progress_at": BORN_AT + 6}),
    ),
    rule(
        "H505", "count-decreased", "error", Monotonic(),
        "`completed` or `failed` went down, or a total above zero changed.",
        evidence="No decrease in any source with a known order.",
        remedy="Show the highest count so far. " + _REPORT,
        example=(RUNNING, {**RUNNING, "request_counts": {"total": 100, "completed": 39, "failed": 1}}),
    ),
    rule(
        "H506", "file-changed", "error",
        Immutable(("output_file_id", "error_file_id"), null_counts=True, kept_s=_FILES_KEPT_S),
        "An output or error file id that was set changed or became null. More than 30 days after the end a null is "
        "no violation: by then the file may have expired.",
        evidence="No change in any source with a known order. OpenAI keeps the files of a batch for 30 days, or for "
        "less if `output_expires_after` says so.",
        remedy="Keep the file that you have. A file whose id is gone earlier was deleted, or has a shorter "
        "`output_expires_after`. " + _REPORT,
        example=({}, {"output_file_id": "file-other"}),
    ),
    rule(
        "H507", "stale-read", "note", IllegalMove(),
        "An earlier view of the batch, without contradiction, came later; it changes nothing. T207, T208 ignore it.",
        evidence="Lists and caches lag behind; LiteLLM's list kept validating after the end. After a restart, servers "
        "that keep batches in memory, or are restored from a copy, return earlier views.",
        remedy="One such row among later ones is a stale read: nothing to do; if it is frequent, poll without the "
        "cache. If all later rows are earlier views, or `created_at` has changed (H503), the server was reset: create "
        "the batch again if its results are gone.",
        example=({}, RUNNING),
    ),
    rule(
        "H508", "terminal-changed", "warning", ChangedAfterEnd(),
        "The batch had ended, and then counts went up, `errors` changed, or a stamp that was null was set.",
        evidence="A completed batch may get its output file late; no other field should change.",
        remedy="Retrieve the batch again before you use its counts.",
        example=({**FAILED}, {**FAILED, "errors": [{"code": "empty_file", "message": "no lines"}]}),
    ),
)

# fmt: on

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {each.code: each for each in (*_WIRE, *_PRESENCE, *_TIMES, *_COUNTS, *_FILES, *_HISTORY)}
)
"""Every rule by its code, in the order in which findings are reported."""
