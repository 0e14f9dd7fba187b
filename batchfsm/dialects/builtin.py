"""The named dialects, one server family each, with their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

import attrs

from batchfsm.dialects.dialect import Dialect
from batchfsm.dialects.providers import PROVIDERS
from batchfsm.errors import UnknownNameError
from batchfsm.lifecycle import OPENAI, Lifecycle, State, Step

# fmt: off
_ALWAYS_TOLERATED: Final = tuple(
    attrs.evolve(step, evidence="documented") for step in OPENAI.steps if step.evidence == "tolerated"
)

_OPENAI = Dialect(name="openai", sources=("openai-openapi, schema Batch; published objects of the real API",))

_AZURE = Dialect(
    name="azure",
    aliases={"Validating": "validating", "canceled": "cancelled"},
    optional_stamps={"in_progress"},
    time_formats={"iso"},
    null_text=True,
    null_counts=True,
    deadline_tolerance_s=5,
    # Azure says that a job runs on past 24 hours, and blob output has no file ids.
    severities={"T204": "off", "T207": "off", "F402": "note"},
    sources=(
        "MicrosoftDocs azure-ai-docs, batch-rest.md and batch-python.md",
        "Kong developer guide, azure-batches.md",
    ),
)

_GROQ = Dialect(
    name="groq",
    optional_stamps={"finalizing"},
    sources=("tidyverse/ellmer, tests/testthat/batch", "Groq's documented example of a completed batch"),
)

_ZHIPU = Dialect(
    name="zhipu",
    time_formats={"milliseconds"},
    null_counts=True,
    severities={"P104": "off", "C303": "off"},
    sources=("MetaGLM/zhipuai-sdk-python-v4, tests",),
)

_DASHSCOPE = Dialect(
    name="dashscope",
    severities={"P104": "off"},
    sources=("DashScope's documented batch interface, list example",),
)

_AIBRIX = Dialect(
    name="aibrix",
    initial="scheduling",
    states=(State("scheduling"),),
    aliases={"created": "scheduling", "finalized": "finalizing"},
    steps=(
        Step("scheduling", "validate", "validating", "documented", ("AIBrix 0.8.0, recorded",)),
        Step("scheduling", "fail", "failed", "documented", ("AIBrix 0.8.0, recorded: invalid input",)),
        Step("scheduling", "cancel", "cancelling", "documented", ("AIBrix 0.8.0, recorded",)),
        Step("scheduling", "expire", "expired", "documented", ("AIBrix, batch_job.py",)),
        Step("validating", "expire", "expired", "documented", ("AIBrix, batch_job.py",)),
        Step("in_progress", "fail", "failed", "documented", ("AIBrix, batch_job.py",)),
        Step("in_progress", "expire", "expired", "documented", ("AIBrix, batch_job.py",)),
        Step("finalizing", "fail", "failed", "documented", ("AIBrix, condition finalizing_failed",)),
        Step("finalizing", "stop", "cancelled", "documented", ("AIBrix 0.8.0, recorded",)),
        Step("cancelling", "finalize", "finalizing", "documented", ("AIBrix 0.8.0, recorded in three runs",)),
    ),
    # Together with cancelling to finalizing it would be a circle, and no recording shows it.
    dropped_steps=(("finalizing", "cancelling"),),
    optional_stamps={"validating"},
    time_formats={"digits"},
    null_time_values=("0",),
    severities={"C304": "off"},
    sources=("AIBrix 0.8.0, recorded; docs/source/features/batch-api.rst",),
)

_OGX = Dialect(
    name="ogx",
    steps=(
        Step("in_progress", "complete", "completed", "documented", ("OGX 1.5.0, recorded",)),
        Step("in_progress", "fail", "failed", "documented", ("OGX 1.5.0, recorded",)),
    ),
    # Merely unstamped, finalizing would make every end of in_progress ambiguous.
    dropped_statuses=("finalizing", "expired"),
    optional_stamps={"in_progress"},
    severities={"P104": "off", "F401": "off", "F405": "off", "C304": "off"},
    sources=("OGX 1.5.0 (formerly llama-stack), recorded; providers/inline/batches/reference/batches.py",),
)

_LITELLM = Dialect(
    name="litellm",
    aliases={"complete": "completed"},
    steps=(
        Step(
            "in_progress",
            "complete",
            "completed",
            "documented",
            ("LiteLLM 1.106.2, maps of Bedrock and Vertex",),
        ),
        Step("in_progress", "fail", "failed", "documented", ("LiteLLM 1.106.2, maps of Bedrock and Vertex",)),
    ),
    optional_stamps={"in_progress", "finalizing"},
    # Vertex stamps created_at; Anthropic's expired_at is an archive time; Bedrock's in_progress_at moves.
    severities={
        "P104": "off",
        "C304": "off",
        "F405": "off",
        "C303": "note",
        "F401": "note",
        "P101": "warning",
        "P102": "warning",
        "T201": "warning",
        "H504": "warning",
    },
    sources=("LiteLLM 1.106.2, litellm/llms/*/batches/transformation.py",),
)

_COMPATIBLE = Dialect(
    name="compatible",
    aliases={
        "Validating": "validating",
        "pending": "validating",
        "queued": "validating",
        "in_queue": "validating",
        "scheduling": "validating",
        "created": "validating",
        "running": "in_progress",
        "processing": "in_progress",
        "finalized": "finalizing",
        "complete": "completed",
        "canceled": "cancelled",
    },
    any_spelling=True,
    steps=(
        *_ALWAYS_TOLERATED,
        Step("in_progress", "complete", "completed", "documented", ("OGX 1.5.0, recorded",)),
        Step("in_progress", "stop", "cancelled", "documented", ("vLLM production-stack",)),
        Step("validating", "stop", "cancelled", "documented", ("vLLM production-stack",)),
        Step("finalizing", "stop", "cancelled", "documented", ("AIBrix 0.8.0, recorded",)),
        Step("cancelling", "finalize", "finalizing", "documented", ("AIBrix 0.8.0, recorded",)),
    ),
    optional_stamps={"in_progress", "finalizing", "cancelling"},
    time_formats={"milliseconds", "iso", "digits"},
    # The last two are the first second of the year 2000, in seconds and ms (UTC+8): Bella's "never".
    null_time_values=(0, "0", "", 946684800, 946656000000),
    null_text=True,
    null_counts=True,
    severities={
        "T202": "off",
        "P104": "off",
        "C304": "off",
        "T204": "off",
        "T207": "off",
        "F405": "off",
        "T201": "warning",
        "T203": "warning",
        "P101": "warning",
        "P102": "warning",
        "H504": "warning",
        "S003": "note",
        "C303": "note",
        "F401": "note",
    },
    sources=("what at least one server of the other dialects does, and Bella, Maritaca, SiliconFlow, Qoder",),
)

# fmt: on

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (_OPENAI, _AZURE, _GROQ, _ZHIPU, _DASHSCOPE, _AIBRIX, _OGX, _LITELLM, _COMPATIBLE, *PROVIDERS)
    }
)
"""Every named dialect; `openai` is the strict one."""


AUTO: Final = "auto"
"""In place of a dialect, where logs are read: each object has the dialect that its mark shows."""


def get_dialect(dialect: str | Dialect | Lifecycle) -> Dialect:
    """
    Return a dialect by its name; a dialect itself; or, of a lifecycle, the dialect without deviations.

    Args:
        dialect: A name out of `DIALECTS`, a dialect, or a lifecycle, whose objects are
            read as strictly as OpenAI's.

    Raises:
        UnknownNameError: If no dialect has that name.
    """
    if isinstance(dialect, Dialect):
        return dialect
    if isinstance(dialect, Lifecycle):
        return _without_deviations(dialect)
    if dialect not in DIALECTS:
        raise UnknownNameError("dialect", dialect, DIALECTS)
    return DIALECTS[dialect]


@cache
def _without_deviations(lifecycle: Lifecycle) -> Dialect:
    """Return the same object for each call with a lifecycle, because readers and tables are cached by dialect."""
    return Dialect(name=lifecycle.name, base=lifecycle)
