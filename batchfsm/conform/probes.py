"""The requests that a scorecard sends, each with the answer it expects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import attrs

from batchfsm.conform.http import UnreachableError
from batchfsm.conform.scorecard import Check
from batchfsm.conform.session import UPLOAD_NAME, Reply, ServerSession, witness_of

UNKNOWN_ID: Final = "batch_00000000000000000000000000000000"
"""The id of a batch that does not exist."""

PAGES_MAX: Final = 50
"""The most pages of a list that are requested."""

_LIMIT: Final = 2
_CUSTOM_IDS: Final = ("one", "two", "three")
_ABSENT: Final = object()


@attrs.frozen
class Probe:
    """One expectation: the endpoint, and the sentence that must hold."""

    name: str
    text: str

    def check(self, problem: str | None, **options: Any) -> Check:
        """Return the check, kept if there is no problem."""
        return Check(self.name, self.text, "kept" if problem is None else "broken", problem or "", **options)

    def unseen(self, why: str) -> Check:
        """Return the check as not seen."""
        return Check(self.name, self.text, "not seen", why)


UPLOAD: Final = Probe("files.create", "an upload is answered with its file: id, object, purpose, name, size")
CREATE: Final = Probe("batches.create", "a new batch repeats the parameters of its request")
COMPLETE: Final = Probe("batches.retrieve", "a batch of good requests is completed")
RESULTS: Final = Probe("files.content", "each request stands once in the output or the error file")
LATE_CANCEL: Final = Probe("batches.cancel", "a cancel after the end changes nothing")
CANCEL: Final = Probe("batches.cancel", "a batch that is cancelled ends as cancelled")
INVALID: Final = Probe("batches.create", "a file that is no JSON is refused, or fails the batch")
UNKNOWN: Final = Probe("batches.retrieve", "an unknown batch is 404, with an error object")
UNKNOWN_CANCEL: Final = Probe("batches.cancel", "an unknown batch is 404, with an error object")
PAGES: Final = Probe("batches.list", "the pages show every batch once")
ORDER: Final = Probe("batches.list", "the newest batch comes first")


def run_probes(session: ServerSession) -> Iterator[Check]:
    """Yield the check of each probe, in order."""
    yield from _happy_path(session)
    yield from _cancelled_batch(session)
    yield from _invalid_file(session)
    yield UNKNOWN.check(_not_found(session.ask("GET", f"/batches/{UNKNOWN_ID}")))
    yield UNKNOWN_CANCEL.check(_not_found(session.ask("POST", f"/batches/{UNKNOWN_ID}/cancel")))
    yield from _list_pages(session)


def _happy_path(session: ServerSession) -> Iterator[Check]:
    """Run a batch to its end, download its results, and cancel it then."""
    lines = session.input_lines(*_CUSTOM_IDS)
    uploaded = session.upload(lines)
    yield _upload_check(session, uploaded, lines)
    parameters = _parameters(session, uploaded, "happy")
    created = session.create(parameters)
    yield CREATE.check(_changed_parameters(created, parameters))
    batch_id = created.id
    if batch_id is None:
        yield from (probe.unseen("there is no batch") for probe in (COMPLETE, RESULTS, LATE_CANCEL))
        return
    last = session.wait(batch_id)
    if not last.has_ended:
        yield from (probe.unseen(_timed_out(session, last)) for probe in (COMPLETE, RESULTS, LATE_CANCEL))
        return
    if last.content["status"] == "completed":
        yield COMPLETE.check(None)
        yield RESULTS.check(_results_problem(session, last))
    else:
        yield COMPLETE.check(_ended_as(last))
        yield RESULTS.unseen("the batch was not completed")
    yield LATE_CANCEL.check(_changes_by_late_cancel(session, batch_id, last))


def _cancelled_batch(session: ServerSession) -> Iterator[Check]:
    """Cancel a batch right after its creation."""
    uploaded = session.upload(session.input_lines(*_CUSTOM_IDS))
    batch_id = session.create(_parameters(session, uploaded, "cancel")).id
    if batch_id is None:
        yield CANCEL.unseen("there is no batch")
        return
    cancel = session.ask("POST", f"/batches/{batch_id}/cancel")
    last = session.wait(batch_id)
    status = last.content.get("status") if last.is_batch else None
    if not last.has_ended:
        yield CANCEL.unseen(_timed_out(session, last))
    elif status == "completed":
        yield CANCEL.unseen("it was completed before the cancel took hold")
    else:
        refused = None if cancel.is_batch else f"answered {cancel}"
        yield CANCEL.check(refused if status == "cancelled" else _ended_as(last))


def _invalid_file(session: ServerSession) -> Iterator[Check]:
    """Create a batch of a file that is no JSON."""
    uploaded = session.upload('{"custom_id": "one", "method": "PO\n')
    created = session.create(_parameters(session, uploaded, "invalid")) if uploaded.id else uploaded
    batch_id = created.id
    if batch_id is None:
        yield INVALID.check(None if created.is_refusal else f"answered {created}")
        return
    last = session.wait(batch_id)
    if not last.has_ended:
        yield INVALID.unseen(_timed_out(session, last))
    else:
        yield INVALID.check(None if last.content["status"] == "failed" else _ended_as(last))


def _list_pages(session: ServerSession) -> Iterator[Check]:
    """Request the pages of the list."""
    batches: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    problem = None
    for _ in range(PAGES_MAX):
        page = session.ask("GET", "/batches", None, limit=str(_LIMIT), **after)
        rows = page.content.get("data") if page.is_object else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
            problem = f"answered {page}"
            break
        batches += rows
        if len(rows) > _LIMIT:
            problem = f"a page of {_LIMIT} has {len(rows)} batches"
        if not page.content.get("has_more") or not rows:
            break
        after = {"after": str(rows[-1]["id"])}
    ids = Counter(str(batch["id"]) for batch in batches)
    repeated = [batch_id for batch_id, times in ids.items() if times > 1]
    missing = [batch_id for batch_id in session.created_ids if batch_id not in ids]
    if repeated:
        problem = problem or f"{repeated[0]} is shown twice"
    if missing and len(batches) < PAGES_MAX * _LIMIT:
        problem = problem or f"{missing[0]} is not shown"
    yield PAGES.check(problem)
    created: list[Any] = [batch.get("created_at") for batch in batches]
    if len(created) > 1 and all(type(at) is int for at in created):
        ordered = all(newer >= older for newer, older in pairwise(created))
        yield ORDER.check(None if ordered else f"created_at: {witness_of(created)}", severity="warning")
    else:
        yield ORDER.unseen("there are not two batches with a time")


def _parameters(session: ServerSession, uploaded: Reply, name: str) -> dict[str, Any]:
    return {
        "input_file_id": uploaded.id,
        "endpoint": session.endpoint,
        "completion_window": "24h",
        "metadata": {"conform": name},
    }


def _upload_check(session: ServerSession, uploaded: Reply, lines: str) -> Check:
    """Return the check of an upload: broken without an id, a warning for other fields."""
    if uploaded.id is None:
        _explain_missing_prefix(session, uploaded)
        return UPLOAD.check(f"answered {uploaded}")
    expected = {"object": "file", "purpose": "batch", "filename": UPLOAD_NAME, "bytes": len(lines)}
    return UPLOAD.check(_differences(uploaded.content, expected), severity="warning")


def _explain_missing_prefix(session: ServerSession, uploaded: Reply) -> None:
    """Raise UnreachableError if the address has no `/files`, but would have it with `/v1`."""
    if uploaded.status == 404 and session.ask("GET", "/v1/batches", limit="1").is_object:  # noqa: PLR2004  # HTTP's.
        raise UnreachableError("the address has no /files, but it has /v1/batches: write it with /v1 at its end")


def _timed_out(session: ServerSession, last: Reply) -> str:
    return f"after {session.timeout_s:g} s it was {last.content['status'] if last.is_batch else last}"


def _ended_as(last: Reply) -> str:
    return f"it ended {last.content['status']}, errors: {witness_of(last.content.get('errors'))}"


def _differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """Return the fields that differ from the expected ones; None if none does."""
    values = {name: found.get(name, _ABSENT) for name in expected}
    return (
        "; ".join(
            f"{name} is {'absent' if value is _ABSENT else witness_of(value)}, not {witness_of(expected[name])}"
            for name, value in values.items()
            if value != expected[name] or type(value) is not type(expected[name])
        )
        or None
    )


def _changed_parameters(created: Reply, parameters: Mapping[str, Any]) -> str | None:
    """Return the fields of a new batch that differ from its request; None if none does."""
    if not created.is_batch or created.id is None:
        return f"answered {created}"
    return _differences(created.content, {"object": "batch", **parameters})


def _results_problem(session: ServerSession, last: Reply) -> str | None:
    """Return the problem with the files of a completed batch; None if there is none."""
    found: Counter[str] = Counter()
    for kind in ("output_file_id", "error_file_id"):
        if last.content.get(kind):
            reply = session.ask("GET", f"/files/{last.content[kind]}/content")
            try:
                rows = [json.loads(line) for line in reply.body.splitlines() if line.strip()]
                found.update(str(row["custom_id"]) for row in rows)
            except (ValueError, TypeError, KeyError):
                return f"{kind}: answered {reply}"
    return None if found == Counter(_CUSTOM_IDS) else f"found {witness_of(dict(found))}"


def _changes_by_late_cancel(session: ServerSession, batch_id: str, last: Reply) -> str | None:
    """Return the changes by a cancel after the end; None if it is refused or changes nothing."""
    cancel = session.ask("POST", f"/batches/{batch_id}/cancel")
    if not cancel.is_refusal and not (cancel.is_batch and cancel.content["status"] == last.content["status"]):
        return f"answered {cancel}"
    after = session.ask("GET", f"/batches/{batch_id}")
    if not after.is_batch:
        return f"now it is {after}"
    problem = _differences(after.content, last.content)
    return None if problem is None else f"then {problem}"


def _not_found(reply: Reply) -> str | None:
    """Return the problem with the answer about an unknown batch; None if there is none."""
    error = reply.content.get("error") if isinstance(reply.content, dict) else None
    is_told = reply.status == 404 and isinstance(error, dict) and isinstance(error.get("message"), str)  # noqa: PLR2004
    return None if is_told else f"answered {reply}"
