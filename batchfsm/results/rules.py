"""The rules for the result files of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from batchfsm.lifecycle import Severity
from batchfsm.rules import HEALTHY


def _request(custom_id: str) -> Mapping[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o-mini"}}


def _answer(custom_id: str, status_code: int = 200) -> Mapping[str, Any]:
    return {"custom_id": custom_id, "response": {"status_code": status_code, "body": {}}, "error": None}


@attrs.frozen(kw_only=True)
class ExampleFiles:
    """Small result files: the lines of each file, and the batch object."""

    input: tuple[Mapping[str, Any], ...] = (_request("request-1"), _request("request-2"))
    output: tuple[Mapping[str, Any], ...] = (_answer("request-1"), _answer("request-2"))
    errors: tuple[Mapping[str, Any], ...] = ()
    batch: Mapping[str, Any] | None = None
    """None: unknown."""


@attrs.frozen(kw_only=True)
class ResultRule:
    """One invariant of the result files, with its evidence and remedy."""

    code: str
    """Stable: R and three digits."""

    name: str
    """Stable, for people."""

    severity: Severity

    description: str
    """The breach, in one sentence."""

    evidence: str
    """The source of the rule."""

    remedy: str
    """The action to take after a breach."""

    example: ExampleFiles
    """Files that break the rule."""


_RULES: Final = (
    ResultRule(
        code="R601",
        name="request-unanswered",
        severity="error",
        description="A custom_id of the input file is in neither the output nor the error files, "
        "although the batch was not expired or cancelled.",
        evidence="OpenAI batch guide: each request of a completed batch has a line in the output or the error file.",
        remedy="Check that all files of the batch were passed; send the remaining requests in a new batch.",
        example=ExampleFiles(output=(_answer("request-1"),)),
    ),
    ResultRule(
        code="R602",
        name="request-answered-twice",
        severity="error",
        description="A custom_id is in the output and error files more than once.",
        evidence="OpenAI batch guide: custom_id is unique within a batch, and each request is answered once.",
        remedy="Check that no file was passed twice; keep the first answer and report the batch to its provider.",
        example=ExampleFiles(output=(_answer("request-1"), _answer("request-2"), _answer("request-1"))),
    ),
    ResultRule(
        code="R603",
        name="answer-unasked",
        severity="error",
        description="An answer has a custom_id that the input file does not have.",
        evidence="OpenAI batch guide: custom_id of an answer is that of its request.",
        remedy="Check that the files belong to the same batch.",
        example=ExampleFiles(output=(_answer("request-1"), _answer("request-2"), _answer("request-3"))),
    ),
    ResultRule(
        code="R604",
        name="line-malformed",
        severity="error",
        description="A line is not a JSON object, has no custom_id, or has neither or both of response and error.",
        evidence="openapi.yaml of OpenAI, BatchRequestInput and BatchRequestOutput.",
        remedy="Download the file again; a line that is cut off is a download that ended early.",
        example=ExampleFiles(
            output=(
                _answer("request-1"),
                _answer("request-2"),
                {"custom_id": "request-2", "response": None, "error": None},
            )
        ),
    ),
    ResultRule(
        code="R605",
        name="counts-disagree",
        severity="warning",
        description="The completed or failed count of the batch is not the number of good or failed answers; "
        "answers with the code batch_expired or batch_cancelled are neither.",
        evidence="Real expired and cancelled batches do not count requests that were never run.",
        remedy="Check that all files of the batch were passed, and that the batch object is the latest one.",
        example=ExampleFiles(batch={**HEALTHY, "request_counts": {"total": 2, "completed": 1, "failed": 1}}),
    ),
    ResultRule(
        code="R606",
        name="wrong-file",
        severity="note",
        description="A failed request is in an output file, or a good one in an error file.",
        evidence="OpenAI batch guide; compatible servers write failed requests into the output file.",
        remedy="Read the status of each answer, not the name of its file.",
        example=ExampleFiles(output=(_answer("request-1"), _answer("request-2", status_code=400))),
    ),
    ResultRule(
        code="R607",
        name="input-id-twice",
        severity="error",
        description="A custom_id is in the input file more than once.",
        evidence="OpenAI refuses such a file with the code duplicate_custom_id.",
        remedy="Give each request an id of its own; the answers to such requests cannot be told apart.",
        example=ExampleFiles(input=(_request("request-1"), _request("request-2"), _request("request-2"))),
    ),
)

RESULT_RULES: Final[Mapping[str, ResultRule]] = MappingProxyType({rule.code: rule for rule in _RULES})
"""Every rule for result files by its code."""
