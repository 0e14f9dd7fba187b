"""The dialects of providers whose objects are not OpenAI's: a lifecycle and a map each, with their evidence."""

from __future__ import annotations

from typing import Final

from batchfsm.dialects.dialect import Dialect
from batchfsm.dialects.wire_map import Wire
from batchfsm.lifecycle import Lifecycle, Severity, State, Step

# Severities that all of them share: no real object of theirs shows that a breach is the server's fault.
_UNPROVEN: Final[dict[str, Severity]] = {"C301": "warning", "C302": "warning", "T202": "warning"}

_ANTHROPIC_DOC: Final = "Anthropic API reference, Message Batches"
_ANTHROPIC_REAL: Final = "published objects of the Anthropic API"
_OGX: Final = "OGX 1.5.0, recorded"
_GEMINI_REAL: Final = "published objects of the Gemini API"
_GEMINI_ISSUES: Final = "python-genai issues 1482 and 2439"
_GEMINI_TEST: Final = "a public test written after a live session"
_BEDROCK_DOC: Final = "Amazon Bedrock API reference, GetModelInvocationJob"
_BEDROCK_REAL: Final = "published Bedrock jobs"
_MISTRAL_REAL: Final = "published Mistral jobs"
_FIREWORKS_REAL: Final = "a published capture of the Fireworks API"
_VERTEX_DOC: Final = "Vertex AI API reference, JobState"

# Steps without a source are inferred: a batch may take them, with a warning.
# fmt: off
_ANTHROPIC: Final = Dialect(
    name="anthropic",
    base=Lifecycle(
        name="anthropic",
        initial="in_progress",
        states=(
            State("in_progress", "created_at"),
            State("cancelling",  "cancelling_at"),
            State("ended",       "ended_at", terminal=True),
        ),
        steps=(
            Step("in_progress", "end",    "ended",      "documented", (_ANTHROPIC_DOC, _ANTHROPIC_REAL)),
            Step("in_progress", "cancel", "cancelling", "documented", (_ANTHROPIC_DOC, _OGX)),
            Step("cancelling",  "end",    "ended",      "documented", (_ANTHROPIC_DOC, _OGX)),
        ),
    ),
    aliases={"canceling": "cancelling"},
    time_formats={"iso", "datetime"},
    wire=Wire(
        mark=("type", "processing_status", "request_counts"),
        fields={
            "id": "id",
            "status": "processing_status",
            "created_at": "created_at",
            "cancelling_at": "cancel_initiated_at",
            "ended_at": "ended_at",
            "expires_at": "expires_at",
            "output_file_id": "results_url",
        },
        counts={
            "total": (
                "request_counts.processing", "request_counts.succeeded", "request_counts.errored",
                "request_counts.canceled", "request_counts.expired",
            ),
            "completed": "request_counts.succeeded",
            "failed": "request_counts.errored",
        },
        pages=("data",),
    ),
    severities=_UNPROVEN | {"C305": "warning"},
    sources=(_ANTHROPIC_DOC, _ANTHROPIC_REAL, "anthropic 2.14.0, types"),
)

_GEMINI: Final = Dialect(
    name="gemini",
    base=Lifecycle(
        name="gemini",
        initial="pending",
        states=(
            State("pending",             "created_at"),
            State("in_progress"),
            State("completed",           "ended_at", terminal=True),
            State("partially_completed", "ended_at", terminal=True),
            State("failed",              "ended_at", terminal=True),
            State("expired",             "ended_at", terminal=True),
            State("cancelled",           "ended_at", terminal=True),
        ),
        steps=(
            Step("pending",     "start",           "in_progress",         "documented", (_GEMINI_REAL,)),
            Step("in_progress", "complete",        "completed",           "documented", (_GEMINI_REAL,)),
            Step("pending",     "expire",          "expired",             "documented", (_GEMINI_ISSUES,)),
            Step("pending",     "stop",            "cancelled",           "documented", (_GEMINI_TEST,)),
            Step("pending",     "fail",            "failed",              "tolerated"),
            Step("in_progress", "complete_partly", "partially_completed", "tolerated"),
            Step("in_progress", "fail",            "failed",              "tolerated"),
            Step("in_progress", "expire",          "expired",             "tolerated"),
            Step("in_progress", "stop",            "cancelled",           "tolerated"),
        ),
    ),
    aliases={
        f"{prefix}_{word}": status
        for prefix in ("BATCH_STATE", "JOB_STATE")
        for word, status in {
            "PENDING": "pending", "RUNNING": "in_progress", "SUCCEEDED": "completed", "FAILED": "failed",
            "PARTIALLY_SUCCEEDED": "partially_completed", "EXPIRED": "expired", "CANCELLED": "cancelled",
        }.items()
    },
    # Real ends are successes only; what other ends give is known from tests and SDK texts.
    optional_stamps={"partially_completed", "failed", "expired", "cancelled"},
    time_formats={"iso", "datetime"},
    wire=Wire(
        mark=("name", ("metadata.state", "state"), ("metadata.createTime", "create_time")),
        foreign_keys=("batch_id", "batchId"),  # xAI's objects have a name, a state, which is no status, and a time.
        fields={
            "id": ("name", "metadata.name"),
            "status": ("metadata.state", "state"),
            "created_at": ("metadata.createTime", "create_time"),
            "ended_at": ("metadata.endTime", "end_time"),
            "model": ("metadata.model", "model"),
            "input_file_id": "metadata.inputConfig.fileName",
            "output_file_id": ("metadata.output.responsesFile", "dest.file_name"),
            "errors": "error",
        },
        counts={
            "total": "metadata.batchStats.requestCount",
            "completed": "metadata.batchStats.successfulRequestCount",
            "failed": "metadata.batchStats.failedRequestCount",
        },
        text_counts=True,
        pages=("operations", "batches"),
        # The answers themselves are in the object of an inline batch, twice, and so are its requests.
        dropped=(
            "response", "metadata.output.inlinedResponses", "metadata.output.inlinedEmbedContentResponses",
            "metadata.inputConfig.requests", "dest.inlined_responses", "dest.inlined_embed_content_responses",
            "src",
        ),
    ),
    severities=_UNPROVEN | {"P104": "off", "C304": "off", "F402": "off", "F403": "off", "F404": "off"},
    sources=(_GEMINI_REAL, "google-genai 3.6.1, types", _GEMINI_ISSUES, _GEMINI_TEST),
)

_BEDROCK: Final = Dialect(
    name="bedrock",
    base=Lifecycle(
        name="bedrock",
        initial="submitted",
        states=(
            State("submitted",           "created_at"),
            State("validating"),
            State("scheduled"),
            State("in_progress"),
            State("completed",           "ended_at", terminal=True),
            State("partially_completed", "ended_at", terminal=True),
            State("failed",              "ended_at", terminal=True),
            State("expired",             "ended_at", terminal=True),
            State("cancelling"),
            State("cancelled",           "ended_at", terminal=True),
        ),
        steps=(
            Step("submitted",   "validate",        "validating",          "documented", (_BEDROCK_DOC,)),
            Step("validating",  "schedule",        "scheduled",           "documented", (_BEDROCK_DOC,)),
            Step("validating",  "fail",            "failed",              "documented", (_BEDROCK_DOC,)),
            Step("scheduled",   "start",           "in_progress",         "documented", (_BEDROCK_DOC,)),
            Step("scheduled",   "expire",          "expired",             "documented", (_BEDROCK_DOC, _BEDROCK_REAL)),
            Step("in_progress", "complete",        "completed",           "documented", (_BEDROCK_DOC, _BEDROCK_REAL)),
            Step("in_progress", "complete_partly", "partially_completed", "documented", (_BEDROCK_DOC,)),
            Step("in_progress", "fail",            "failed",              "documented", (_BEDROCK_DOC, _BEDROCK_REAL)),
            Step("in_progress", "cancel",          "cancelling",          "documented", (_BEDROCK_DOC,)),
            Step("cancelling",  "stop",            "cancelled",           "documented", (_BEDROCK_DOC,)),
            Step("submitted",   "cancel",          "cancelling",          "tolerated"),
            Step("validating",  "cancel",          "cancelling",          "tolerated"),
            Step("scheduled",   "cancel",          "cancelling",          "tolerated"),
            Step("cancelling",  "complete",        "completed",           "tolerated"),
            Step("cancelling",  "complete_partly", "partially_completed", "tolerated"),
        ),
    ),
    aliases={
        "Submitted": "submitted", "Validating": "validating", "Scheduled": "scheduled", "InProgress": "in_progress",
        "Completed": "completed", "PartiallyCompleted": "partially_completed", "Failed": "failed",
        "Expired": "expired", "Stopping": "cancelling", "Stopped": "cancelled",
    },
    optional_stamps={"expired"},
    time_formats={"iso", "datetime"},
    wire=Wire(
        mark=("jobArn", "submitTime"),
        fields={
            "id": "jobArn",
            "status": "status",
            "created_at": "submitTime",
            "ended_at": "endTime",
            "expires_at": "jobExpirationTime",
            "model": "modelId",
            "errors": "message",
        },
        counts={
            "total": "totalRecordCount", "completed": "successRecordCount", "failed": "errorRecordCount",
        },
        pages=("invocationJobSummaries",),
        dropped=("ResponseMetadata",),
        # Of real expired jobs, endTime is four minutes after the submission and a day before the end.
        silent={"ended_at": ("expired",)},
    ),
    severities=_UNPROVEN | {"P104": "off", "C304": "off", "F402": "off", "F404": "off"},
    sources=(_BEDROCK_DOC, _BEDROCK_REAL, "botocore 1.44.8, service model of bedrock"),
)

_MISTRAL: Final = Dialect(
    name="mistral",
    base=Lifecycle(
        name="mistral",
        initial="queued",
        states=(
            State("queued",      "created_at"),
            State("in_progress", "in_progress_at"),
            State("completed",   "ended_at", terminal=True),
            State("failed",      "ended_at", terminal=True),
            State("expired",     "ended_at", terminal=True),
            State("cancelling"),
            State("cancelled",   "ended_at", terminal=True),
        ),
        steps=(
            Step("queued",      "start",    "in_progress", "documented", (_MISTRAL_REAL,)),
            Step("in_progress", "complete", "completed",   "documented", (_MISTRAL_REAL,)),
            Step("queued",      "cancel",   "cancelling",  "tolerated"),
            Step("queued",      "fail",     "failed",      "tolerated"),
            Step("queued",      "expire",   "expired",     "tolerated"),
            Step("in_progress", "cancel",   "cancelling",  "tolerated"),
            Step("in_progress", "fail",     "failed",      "tolerated"),
            Step("in_progress", "expire",   "expired",     "tolerated"),
            Step("cancelling",  "stop",     "cancelled",   "tolerated"),
            Step("cancelling",  "complete", "completed",   "tolerated"),
            Step("cancelling",  "fail",     "failed",      "tolerated"),
            Step("cancelling",  "expire",   "expired",     "tolerated"),
        ),
    ),
    aliases={
        "QUEUED": "queued", "RUNNING": "in_progress", "SUCCESS": "completed", "FAILED": "failed",
        "TIMEOUT_EXCEEDED": "expired", "CANCELLATION_REQUESTED": "cancelling", "CANCELLED": "cancelled",
    },
    optional_stamps={"failed", "expired", "cancelled"},
    wire=Wire(
        mark=("id", "status", "total_requests"),
        fields={
            "id": "id",
            "status": "status",
            "created_at": "created_at",
            "in_progress_at": "started_at",
            "ended_at": "completed_at",
            "endpoint": "endpoint",
            "model": "model",
            "output_file_id": "output_file",
            "error_file_id": "error_file",
            "errors": "errors",
            "metadata": "metadata",
        },
        counts={
            "total": "total_requests", "completed": "succeeded_requests", "failed": "failed_requests",
        },
        pages=("data",),
        dropped=("outputs",),
    ),
    severities=_UNPROVEN
    | {"P101": "warning", "P103": "warning", "P104": "off", "C304": "off", "F402": "off", "F404": "off"},
    sources=("mistralai 3.7.0, types", _MISTRAL_REAL),
)

_FIREWORKS: Final = Dialect(
    name="fireworks",
    base=Lifecycle(
        name="fireworks",
        initial="validating",
        states=(
            State("validating",  "created_at"),
            State("pending"),
            State("in_progress", "in_progress_at"),
            State("completed",   "ended_at", terminal=True),
            State("failed",      "ended_at", terminal=True),
            State("expired",     "ended_at", terminal=True),
            State("deleting",    terminal=True),
        ),
        steps=(
            Step("validating",  "start",    "in_progress", "documented", (_FIREWORKS_REAL,)),
            Step("validating",  "fail",     "failed",      "documented", (_FIREWORKS_REAL,)),
            Step("validating",  "delete",   "deleting",    "documented", (_FIREWORKS_REAL,)),
            Step("in_progress", "complete", "completed",   "documented", (_FIREWORKS_REAL,)),
            Step("validating",  "queue",    "pending",     "tolerated"),
            Step("pending",     "start",    "in_progress", "tolerated"),
            Step("pending",     "fail",     "failed",      "tolerated"),
            Step("pending",     "expire",   "expired",     "tolerated"),
            Step("pending",     "delete",   "deleting",    "tolerated"),
            Step("in_progress", "fail",     "failed",      "tolerated"),
            Step("in_progress", "expire",   "expired",     "tolerated"),
            Step("in_progress", "delete",   "deleting",    "tolerated"),
        ),
    ),
    aliases={
        "JOB_STATE_VALIDATING": "validating", "JOB_STATE_PENDING": "pending", "JOB_STATE_RUNNING": "in_progress",
        "JOB_STATE_COMPLETED": "completed", "JOB_STATE_FAILED": "failed", "JOB_STATE_EXPIRED": "expired",
        "JOB_STATE_DELETING": "deleting", "JOB_STATE_DELETING_CLEANING_UP": "deleting",
    },
    optional_stamps={"in_progress", "expired"},
    time_formats={"iso", "datetime"},
    wire=Wire(
        mark=("name", "state", "createTime", "inputDatasetId"),
        fields={
            "id": "name",
            "status": "state",
            "created_at": "createTime",
            "in_progress_at": "lifecycle.runStartTime",
            "ended_at": "lifecycle.endTime",
            "expires_at": "expireTime",
            "model": "model",
            "errors": "status.message",
        },
        counts={
            "total": "jobProgress.totalInputRequests", "completed": "jobProgress.successfullyProcessedRequests",
            "failed": "jobProgress.failedRequests",
        },
        pages=("batchInferenceJobs",),
    ),
    # The total is what the uploader declared: three done of one is real.
    severities=_UNPROVEN | {"C301": "off", "C302": "off", "C304": "off", "F402": "off", "F404": "off"},
    sources=(_FIREWORKS_REAL, "fireworks-ai 1.2.30, types"),
)

_TOGETHER: Final = Dialect(
    name="together",
    base=Lifecycle(
        name="together",
        initial="validating",
        states=(
            State("validating",  "created_at"),
            State("in_progress"),
            State("completed",   "ended_at", terminal=True),
            State("failed",      "ended_at", terminal=True),
            State("expired",     "ended_at", terminal=True),
            State("cancelled",   "ended_at", terminal=True),
        ),
        steps=(
            Step("validating",  "start",    "in_progress", "documented", ("together 3.1.1, types",)),
            Step("in_progress", "complete", "completed",   "documented", ("together 3.1.1, types",)),
            Step("validating",  "fail",     "failed",      "tolerated"),
            Step("validating",  "expire",   "expired",     "tolerated"),
            Step("validating",  "stop",     "cancelled",   "tolerated"),
            Step("in_progress", "fail",     "failed",      "tolerated"),
            Step("in_progress", "expire",   "expired",     "tolerated"),
            Step("in_progress", "stop",     "cancelled",   "tolerated"),
        ),
    ),
    aliases={
        "VALIDATING": "validating", "IN_PROGRESS": "in_progress", "COMPLETED": "completed", "FAILED": "failed",
        "EXPIRED": "expired", "CANCELLED": "cancelled",
    },
    optional_stamps={"completed", "failed", "expired", "cancelled"},
    time_formats={"iso", "datetime"},
    wire=Wire(
        mark=("id", "status", "model_id"),
        fields={
            "id": "id",
            "status": "status",
            "created_at": "created_at",
            "ended_at": "completed_at",
            "expires_at": "job_deadline",
            "endpoint": "endpoint",
            "model": "model_id",
            "input_file_id": "input_file_id",
            "output_file_id": "output_file_id",
            "error_file_id": "error_file_id",
            "errors": "error",
        },
    ),
    severities=_UNPROVEN | {"P104": "off", "C304": "off", "F402": "off", "F404": "off"},
    sources=("together 3.1.1, types",),
)

_VERTEX: Final = Dialect(
    name="vertex",
    base=Lifecycle(
        name="vertex",
        initial="queued",
        states=(
            State("queued",              "created_at"),
            State("pending"),
            State("in_progress",         "in_progress_at"),
            State("completed",           "ended_at", terminal=True),
            State("partially_completed", "ended_at", terminal=True),
            State("failed",              "ended_at", terminal=True),
            State("expired",             "ended_at", terminal=True),
            State("cancelling"),
            State("cancelled",           "ended_at", terminal=True),
        ),
        steps=(
            Step("cancelling",  "complete",        "completed",           "documented", (_VERTEX_DOC,)),
            Step("cancelling",  "fail",            "failed",              "documented", (_VERTEX_DOC,)),
            Step("cancelling",  "stop",            "cancelled",           "documented", (_VERTEX_DOC,)),
            Step("queued",      "admit",           "pending",             "tolerated"),
            Step("queued",      "cancel",          "cancelling",          "tolerated"),
            Step("queued",      "fail",            "failed",              "tolerated"),
            Step("queued",      "expire",          "expired",             "tolerated"),
            Step("pending",     "start",           "in_progress",         "tolerated"),
            Step("pending",     "cancel",          "cancelling",          "tolerated"),
            Step("pending",     "fail",            "failed",              "tolerated"),
            Step("pending",     "expire",          "expired",             "tolerated"),
            Step("in_progress", "complete",        "completed",           "tolerated"),
            Step("in_progress", "complete_partly", "partially_completed", "tolerated"),
            Step("in_progress", "fail",            "failed",              "tolerated"),
            Step("in_progress", "expire",          "expired",             "tolerated"),
            Step("in_progress", "cancel",          "cancelling",          "tolerated"),
        ),
    ),
    # Updating and paused jobs run again, with no stamp that would tell the second run from the first.
    aliases={
        "JOB_STATE_QUEUED": "queued", "JOB_STATE_PENDING": "pending", "JOB_STATE_RUNNING": "in_progress",
        "JOB_STATE_UPDATING": "in_progress", "JOB_STATE_PAUSED": "in_progress", "JOB_STATE_SUCCEEDED": "completed",
        "JOB_STATE_PARTIALLY_SUCCEEDED": "partially_completed", "JOB_STATE_FAILED": "failed",
        "JOB_STATE_EXPIRED": "expired", "JOB_STATE_CANCELLING": "cancelling", "JOB_STATE_CANCELLED": "cancelled",
    },
    optional_stamps={"in_progress", "partially_completed", "expired"},
    time_formats={"iso", "datetime"},
    wire=Wire(
        mark=("name", "state", "createTime", "inputConfig"),
        fields={
            "id": "name",
            "status": "state",
            "created_at": "createTime",
            "in_progress_at": "startTime",
            "ended_at": "endTime",
            "model": "model",
            "errors": "error",
        },
        counts={
            "completed": "completionStats.successfulCount", "failed": "completionStats.failedCount",
        },
        text_counts=True,
        pages=("batchPredictionJobs",),
    ),
    null_counts=True,
    severities=_UNPROVEN | {"P104": "off", "C304": "off", "F402": "off", "F404": "off"},
    sources=(_VERTEX_DOC, "google-cloud-aiplatform 2.7.0, types"),
)
# fmt: on

PROVIDERS: Final = (_ANTHROPIC, _GEMINI, _BEDROCK, _MISTRAL, _FIREWORKS, _TOGETHER, _VERTEX)
"""Every dialect of another provider, those with real objects first."""
