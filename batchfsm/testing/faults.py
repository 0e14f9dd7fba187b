"""Faults of the server and the network, independent of the scenario of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Final

import attrs

from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.snapshot import FILE_FIELDS, TIME_FIELDS
from batchfsm.testing import list_faults
from batchfsm.testing.exchange import Exchange
from batchfsm.testing.http import Answer, Operation, error_answer, json_answer
from batchfsm.testing.timeline import WireObject

_HTML: Final = b"<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n"
_NEVER_NULL: Final = frozenset({"created_at", "expires_at"})
_RESULT_FILES: Final = ("output_file_id", "error_file_id")


@attrs.frozen(kw_only=True)
class Fault:
    """A fault that `FakeBatchAPI.inject` takes by name."""

    name: str
    """The name that `inject` takes."""

    description: str
    """Effect on the answer; one sentence."""

    rule: str | None = None
    """The rule that an audit reports for it; None if the answer holds no snapshot, or a healthy one."""

    reads_only: bool = False
    """True if it applies to GET requests alone: a cache does not answer a create."""

    operation: Operation | None = None
    """The only endpoint that it applies to; None: all of them."""

    lasts: bool = False
    """True if it applies until `clear`, unless `times` or `lasts` bounds it; else it applies to one request."""

    lag_s: float | None = None
    """Default of `lag`; seconds. None if the fault takes no `lag`."""

    apply: Callable[[Exchange], Answer] = attrs.field(repr=False)
    """Return the answer with the fault."""


def _html(status: int, title: bytes) -> Callable[[Exchange], Answer]:
    def answer(_: Exchange) -> Answer:
        return Answer(status=status, body=_HTML % (title, title), headers={"content-type": "text/html"})

    return answer


def _error(status: int, message: str, *, kind: str, code: str | None = None) -> Callable[[Exchange], Answer]:
    def answer(_: Exchange) -> Answer:
        return error_answer(status, message, kind=kind, code=code)

    return answer


def _rate_limit(exchange: Exchange) -> Answer:
    seconds = f"{exchange.retry_after_s:g}"
    message = f"Rate limit reached. Please try again in {seconds}s."
    return error_answer(
        429, message, kind="requests", code="rate_limit_exceeded",
        headers={"retry-after": seconds, "retry-after-ms": f"{1000 * exchange.retry_after_s:g}"},
    )  # fmt: skip


def _timeout(exchange: Exchange) -> Answer:
    exchange.true_answer()  # The server carries out the request; only its answer is lost.
    return Answer(breaks="timeout")


def _reset(_: Exchange) -> Answer:
    return Answer(breaks="reset")


def _truncated(exchange: Exchange) -> Answer:
    answer = exchange.true_answer()
    return attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])


def _slow_body(exchange: Exchange) -> Answer:
    return attrs.evolve(exchange.true_answer(), byte_interval_s=exchange.byte_interval_s)


def _error_200(_: Exchange) -> Answer:
    return json_answer(error_answer(500, "The server had an error.", kind="server_error").json)


def _stale(exchange: Exchange) -> Answer:
    then = exchange.now - exchange.lag_s
    if exchange.request.path.startswith("/v1/files"):
        return exchange.answer_at(exchange.request, then)
    return exchange.with_each_batch(lambda batch: exchange.batch_at(batch["id"], then))


def _duplicate(exchange: Exchange) -> Answer:
    return exchange.previous_answers[-1] if exchange.previous_answers else exchange.true_answer()


def _reordered(exchange: Exchange) -> Answer:
    return exchange.previous_answers[-2] if len(exchange.previous_answers) > 1 else exchange.true_answer()


def _skewed(exchange: Exchange) -> Answer:
    # The body is current; only the clock that writes the header `date` is behind.
    answer, date = exchange.true_answer(), formatdate(int(exchange.now - exchange.lag_s), usegmt=True)
    return attrs.evolve(answer, headers={**answer.headers, "date": date})


def _late_results(exchange: Exchange) -> Answer:
    def without_results(batch: WireObject) -> WireObject:
        ended_at = max(batch[name] or 0 for name in STAMP_FIELDS)
        return batch if ended_at + exchange.lag_s <= exchange.now else batch | dict.fromkeys(_RESULT_FILES)

    return exchange.with_each_batch(without_results)


def _changed(change: Callable[[WireObject], WireObject]) -> Callable[[Exchange], Answer]:
    """Return a fault that changes each batch of an answer."""
    return lambda exchange: exchange.with_each_batch(change)


def _with_empty_ids(batch: WireObject) -> WireObject:
    return batch | {name: "" for name in FILE_FIELDS if batch[name] is None}


def _without_stamps(batch: WireObject) -> WireObject:
    return batch | dict.fromkeys(name for name in TIME_FIELDS if name not in _NEVER_NULL)


# fmt: off
_FAULTS: Final = (
    Fault(name="rate_limit", description="429, with `retry-after`.", apply=_rate_limit),
    Fault(name="server_error", description="500, with a page of HTML.", apply=_html(500, b"Internal Server Error")),
    Fault(name="bad_gateway", description="502, with a page of HTML.", apply=_html(502, b"Bad Gateway")),
    Fault(name="unauthorized", description="401: the key is wrong.",
          apply=_error(401, "Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key")),
    Fault(name="timeout", description="The server carries out the request; its answer never arrives.", apply=_timeout),
    Fault(name="reset", description="The connection is reset before the server does anything.", apply=_reset),
    Fault(name="truncated", description="The second half of the answer is missing.", apply=_truncated),
    Fault(name="slow_body", description="Each byte of the answer takes `byte_interval_s` seconds of real time.",
          apply=_slow_body),
    Fault(name="html", description="200, with a page of HTML, as login pages and proxies send it.",
          apply=_html(200, b"Sign in")),
    Fault(name="error_200", description='200, with `{"error": ...}`.', apply=_error_200),
    Fault(name="stale", description="Each batch as it was `lag` ago, as out of a cache.",
          rule="H507", reads_only=True, lag_s=3600, apply=_stale),
    Fault(name="duplicate", description="The previous answer again.", reads_only=True, apply=_duplicate),
    Fault(name="reordered", description="The answer before the previous one, as if the two had changed places.",
          rule="H507", reads_only=True, apply=_reordered),
    Fault(name="flicker", description="404, although the batch exists.",
          apply=_error(404, "No batch found.", kind="invalid_request_error")),
    Fault(name="poisoned", description="500 in JSON, as for one batch that the server cannot serve.", lasts=True,
          apply=_error(500, "The server had an error while processing your request.", kind="server_error")),
    Fault(name="empty_text", description='Each file id that should be null is `""`.', apply=_changed(_with_empty_ids)),
    Fault(name="unknown_status", description="The status is `paused`, which no lifecycle has.", rule="S004",
          apply=_changed(lambda batch: batch | {"status": "paused"})),
    Fault(name="pascal_status", description="The status is spelled as other languages print an enum: `InProgress`.",
          rule="S004", apply=_changed(lambda batch: batch | {"status": batch["status"].title().replace("_", "")})),
    Fault(name="missing_stamps", description="All stamps but `created_at` are null.", rule="P101",
          apply=_changed(_without_stamps)),
    Fault(name="skewed_clock", description="The header `date` is `lag` behind the stamps.", rule="T205", lag_s=3600,
          apply=_skewed),
    Fault(name="late_results", description="Output and error file ids are null for `lag` after the end of the batch.",
          rule="F402", lasts=True, lag_s=60, apply=_late_results),
    Fault(name="stale_list", description="The list shows each batch as it was created; retrieves are current.",
          rule="H507", operation="batches.list", lasts=True, apply=list_faults.stale_list),
    Fault(name="cut_list", description="The second half of a page is missing, and `has_more` is false.",
          operation="batches.list", lasts=True, apply=list_faults.cut_list),
    Fault(name="repeating_list", description="Every cursor leads to the first page again, with `has_more`.",
          operation="batches.list", lasts=True, apply=list_faults.repeating_list),
    Fault(name="circling_list", description="The list has at least two pages; the last leads to the first again.",
          operation="batches.list", lasts=True, apply=list_faults.circling_list),
    Fault(name="empty_list", description="A page is empty, with `has_more`.",
          operation="batches.list", lasts=True, apply=list_faults.empty_list),
    Fault(name="shifted_list", description="A page begins with the batch that the page before ended with.",
          operation="batches.list", apply=list_faults.shifted_list),
)
# fmt: on

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in _FAULTS})
"""All faults, by name."""
