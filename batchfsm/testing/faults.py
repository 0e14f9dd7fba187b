"""What goes wrong between a server and its client, whatever becomes of the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Final

import attrs

from batchfsm.snapshot import FILE_FIELDS, TIME_FIELDS
from batchfsm.testing.http import Answer, Request, answered, refusal
from batchfsm.testing.timeline import Wire

_HTML: Final = b"<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n"
_VITAL: Final = frozenset({"created_at", "expires_at"})


@attrs.frozen(kw_only=True)
class Exchange:
    """A request on its way through a fault."""

    request: Request
    now: float
    """The time; Unix seconds."""
    lag_s: float
    """How far back in time the fault looks."""
    retry_after_s: float
    """How long the client is asked to wait."""
    ask: Callable[[Request, float], Answer]
    """The API as it is at a time; Unix seconds."""
    before: tuple[Answer, ...]
    """What this client was answered here before, the latest last."""

    def answer(self) -> Answer:
        """Return what would be answered without the fault."""
        return self.ask(self.request, self.now)


@attrs.frozen(kw_only=True)
class Fault:
    """One thing that can go wrong."""

    name: str
    """What it is called."""

    means: str
    """What happens; one sentence."""

    rule: str | None = None
    """The rule by which an audit sees it; None if what comes is no snapshot, or nothing is wrong with it."""

    reads_only: bool = False
    """True if it meets nothing that changes the server: a create from a cache is no create."""

    go_wrong: Callable[[Exchange], Answer] = attrs.field(repr=False)
    """Return what comes in the place of the answer."""


def _html(status: int, title: bytes) -> Callable[[Exchange], Answer]:
    def answer(_: Exchange) -> Answer:
        return Answer(status=status, body=_HTML % (title, title), headers={"content-type": "text/html"})

    return answer


def _refused(status: int, message: str, *, kind: str, code: str | None = None) -> Callable[[Exchange], Answer]:
    def answer(_: Exchange) -> Answer:
        return refusal(status, message, kind=kind, code=code)

    return answer


def _rate_limit(exchange: Exchange) -> Answer:
    seconds = f"{exchange.retry_after_s:g}"
    message = f"Rate limit reached. Please try again in {seconds}s."
    return refusal(
        429, message, kind="requests", code="rate_limit_exceeded",
        headers={"retry-after": seconds, "retry-after-ms": f"{1000 * exchange.retry_after_s:g}"},
    )  # fmt: skip


def _timeout(exchange: Exchange) -> Answer:
    exchange.answer()  # The server has done what was asked; only its answer is lost.
    return Answer(breaks="timeout")


def _reset(_: Exchange) -> Answer:
    return Answer(breaks="reset")


def _truncated(exchange: Exchange) -> Answer:
    answer = exchange.answer()
    return attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])


def _error_200(_: Exchange) -> Answer:
    return answered(refusal(500, "The server had an error.", kind="server_error").json)


def _stale(exchange: Exchange) -> Answer:
    born_at = exchange.answer().json.get("created_at") or 0  # Before its birth no cache knew it.
    return exchange.ask(exchange.request, max(exchange.now - exchange.lag_s, born_at))


def _duplicate(exchange: Exchange) -> Answer:
    return exchange.before[-1] if exchange.before else exchange.answer()


def _reordered(exchange: Exchange) -> Answer:
    return exchange.before[-2] if len(exchange.before) > 1 else exchange.answer()


def _skewed(exchange: Exchange) -> Answer:
    # The body is of now, the clock on the wall of whoever dates the answer is behind.
    answer, date = exchange.answer(), formatdate(int(exchange.now - exchange.lag_s), usegmt=True)
    return attrs.evolve(answer, headers={**answer.headers, "date": date})


def _shifted(exchange: Exchange) -> Answer:
    """Begin a page of a list one batch too early: since the last page, one more has come in front."""
    after, limit = exchange.request.query.get("after"), exchange.request.query.get("limit", "20")
    answer = exchange.answer()
    if after is None or answer.status != 200:  # noqa: PLR2004
        return answer
    page = answer.json
    path = f"{exchange.request.path}/{after}"
    again = exchange.ask(Request(method="GET", path=path, headers=exchange.request.headers), exchange.now).json
    page["data"] = [again, *page["data"]][: int(limit)]
    page["first_id"], page["last_id"] = page["data"][0]["id"], page["data"][-1]["id"]
    return answered(page)


def _changed(change: Callable[[Wire], Wire]) -> Callable[[Exchange], Answer]:
    """Make a fault of a change of each batch in an answer."""

    def answer(exchange: Exchange) -> Answer:
        true = exchange.answer()
        if true.status != 200 or not true.headers["content-type"].startswith("application/json"):  # noqa: PLR2004
            return true
        found = true.json
        pages = found["data"] if found.get("object") == "list" else [found]
        changed = [change(each) if each["object"] == "batch" else each for each in pages]
        return answered({**found, "data": changed} if found.get("object") == "list" else changed[0])

    return answer


def _emptied(batch: Wire) -> Wire:
    return batch | {name: "" for name in FILE_FIELDS if batch[name] is None}


def _unstamped(batch: Wire) -> Wire:
    return batch | dict.fromkeys(name for name in TIME_FIELDS if name not in _VITAL)


# fmt: off
_FAULTS: Final = (
    Fault(name="rate_limit", means="429, with `retry-after`.", go_wrong=_rate_limit),
    Fault(name="server_error", means="500, with a page of HTML.", go_wrong=_html(500, b"Internal Server Error")),
    Fault(name="bad_gateway", means="502, with a page of HTML.", go_wrong=_html(502, b"Bad Gateway")),
    Fault(name="unauthorized", means="401: the key is wrong.",
          go_wrong=_refused(401, "Incorrect API key provided.", kind="invalid_request_error", code="invalid_api_key")),
    Fault(name="timeout", means="The server does what it is asked; its answer never comes.", go_wrong=_timeout),
    Fault(name="reset", means="The connection is cut before the server does anything.", go_wrong=_reset),
    Fault(name="truncated", means="The answer ends in its middle.", go_wrong=_truncated),
    Fault(name="html", means="200, with a page of HTML: a login page, a proxy.", go_wrong=_html(200, b"Sign in")),
    Fault(name="error_200", means='200, with `{"error": ...}`.', go_wrong=_error_200),
    Fault(name="stale", means="The answer of some time ago, from a cache.",
          rule="H507", reads_only=True, go_wrong=_stale),
    Fault(name="duplicate", means="The last answer once more.", reads_only=True, go_wrong=_duplicate),
    Fault(name="reordered", means="The last answer but one, which the last one overtook.",
          rule="H507", reads_only=True, go_wrong=_reordered),
    Fault(name="flicker", means="404, though the batch is there.",
          go_wrong=_refused(404, "No batch found.", kind="invalid_request_error")),
    Fault(name="poisoned", means="500 in JSON: the server stumbles over this one batch.",
          go_wrong=_refused(500, "The server had an error while processing your request.", kind="server_error")),
    Fault(name="empty_text", means='A file id is `""` where it should be null.', go_wrong=_changed(_emptied)),
    Fault(name="unknown_status", means="The status is `paused`, which no lifecycle has.", rule="S004",
          go_wrong=_changed(lambda batch: batch | {"status": "paused"})),
    Fault(name="missing_stamps", means="All stamps but `created_at` are null.", rule="P101",
          go_wrong=_changed(_unstamped)),
    Fault(name="skewed_clock", means="The header `date` is behind the stamps.", rule="T205", go_wrong=_skewed),
    Fault(name="shifted_list", means="A page begins with the batch that the last page ended with.",
          reads_only=True, go_wrong=_shifted),
)
# fmt: on

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType({fault.name: fault for fault in _FAULTS})
"""Everything that can go wrong, by name."""
