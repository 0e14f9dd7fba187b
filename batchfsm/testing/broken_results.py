"""Result files of a batch that break one rule each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs
from hypothesis import strategies as st

from batchfsm.testing.clock import BEGINS_AT
from batchfsm.testing.timeline import WireObject

REQUESTS_MAX: Final = 20
"""The most requests of a batch whose files a strategy makes."""


@attrs.frozen(kw_only=True)
class ResultFiles:
    """The files of a completed batch and the batch object, as `audit_results` takes them."""

    input: bytes
    outputs: bytes
    errors: bytes
    batch: WireObject


@attrs.define
class _Lines:
    """The lines of healthy files: at least one good and one failed answer."""

    requests: list[WireObject]
    outputs: list[WireObject]
    errors: list[WireObject]


@st.composite
def broken_results(draw: st.DrawFn, rule: str) -> ResultFiles:
    """Draw the files of a completed batch that break one rule, R601 to R607, and no other."""
    ids = [f"request-{number}" for number in range(draw(st.integers(2, REQUESTS_MAX)))]
    completed = draw(st.integers(1, len(ids) - 1))
    lines = _Lines(
        requests=[{"custom_id": name, "method": "POST", "url": "/v1/responses", "body": {}} for name in ids],
        outputs=[_answer(name, 200) for name in ids[:completed]],
        errors=[_answer(name, 400) for name in ids[completed:]],
    )
    BREAKERS[rule](lines, draw)
    good = {each["custom_id"] for each in (*lines.outputs, *lines.errors) if _is_good(each)}
    failed = {each["custom_id"] for each in (*lines.outputs, *lines.errors) if _is_good(each) is False}
    counts = {"total": len(ids), "completed": len(good) + (rule == "R605"), "failed": len(failed)}
    return ResultFiles(
        input=_json_lines(lines.requests),
        outputs=_json_lines(lines.outputs),
        errors=_json_lines(lines.errors),
        batch=_completed(counts),
    )


def _drop_answer(lines: _Lines, draw: st.DrawFn) -> None:
    lines.outputs.pop(draw(st.integers(0, len(lines.outputs) - 1)))


def _answer_twice(lines: _Lines, draw: st.DrawFn) -> None:
    lines.outputs.append(draw(st.sampled_from(lines.outputs)))


def _answer_unasked(lines: _Lines, _: st.DrawFn) -> None:
    lines.outputs.append(_answer("unasked", 200))


def _damage_line(lines: _Lines, draw: st.DrawFn) -> None:
    missing = draw(st.sampled_from(["custom_id", "response"]))
    lines.outputs.append({name: value for name, value in _answer("damaged", 200).items() if name != missing})


def _miscount(_lines: _Lines, _: st.DrawFn) -> None:
    """The counts are changed afterwards."""


def _put_into_wrong_file(lines: _Lines, draw: st.DrawFn) -> None:
    if draw(st.booleans()):
        lines.outputs.append(lines.errors.pop())
    else:
        lines.errors.append(lines.outputs.pop())


def _ask_twice(lines: _Lines, draw: st.DrawFn) -> None:
    lines.requests.append(draw(st.sampled_from(lines.requests)))


BREAKERS: Final[Mapping[str, Callable[[_Lines, st.DrawFn], None]]] = MappingProxyType(
    {
        "R601": _drop_answer,
        "R602": _answer_twice,
        "R603": _answer_unasked,
        "R604": _damage_line,
        "R605": _miscount,
        "R606": _put_into_wrong_file,
        "R607": _ask_twice,
    }
)
"""By code: a function that makes healthy lines break the rule."""


def _answer(custom_id: str, status: int) -> WireObject:
    return {"custom_id": custom_id, "response": {"status_code": status, "body": {}}, "error": None}


def _is_good(answer: WireObject) -> bool | None:
    """Tell a good answer from a failed one; None for a damaged line."""
    if "custom_id" not in answer or "response" not in answer:
        return None
    return bool(answer["response"]["status_code"] == 200)  # noqa: PLR2004  # HTTP's OK.


def _json_lines(rows: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _completed(counts: Mapping[str, int]) -> WireObject:
    begun = int(BEGINS_AT)
    return {
        "id": "batch_1",
        "object": "batch",
        "endpoint": "/v1/responses",
        "input_file_id": "file-in",
        "completion_window": "24h",
        "status": "completed",
        "created_at": begun,
        "in_progress_at": begun + 5,
        "finalizing_at": begun + 60,
        "completed_at": begun + 90,
        "expires_at": begun + 86_400,
        "output_file_id": "file-out",
        "error_file_id": "file-err",
        "request_counts": dict(counts),
    }
