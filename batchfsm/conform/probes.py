"""What a client can ask of a server, and how it should be answered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import attrs

from batchfsm.conform.scorecard import Check
from batchfsm.conform.session import Reply, ServerSession, ended, shown

UNKNOWN_ID: Final = "batch_00000000000000000000000000000000"
"""The id of a batch that nobody has."""

PAGES_MAX: Final = 50
"""How many pages of a list are turned."""

_LIMIT: Final = 2
_NAMES: Final = ("one", "two", "three")


@attrs.frozen
class Probe:
    """One thing that is asked: the endpoint, and what is to hold."""

    name: str
    text: str

    def score(self, problem: str | None, **options: Any) -> Check:
        """Return what became of it: kept if there is no problem."""
        return Check(self.name, self.text, "kept" if problem is None else "broken", problem or "", **options)

    def unseen(self, why: str) -> Check:
        """Return that it was not seen."""
        return Check(self.name, self.text, "not seen", why)


UPLOAD: Final = Probe("files.create", "an upload is answered with a file that has an id")
CREATE: Final = Probe("batches.create", "a batch says what it was made of")
COMPLETE: Final = Probe("batches.retrieve", "a batch of good requests is completed")
RESULTS: Final = Probe("files.content", "each request stands once in the output or the error file")
LATE: Final = Probe("batches.cancel", "a cancel after the end changes nothing")
CANCEL: Final = Probe("batches.cancel", "a batch that is cancelled ends so")
INVALID: Final = Probe("batches.create", "a file that is no JSON is refused, or fails the batch")
UNKNOWN: Final = Probe("batches.retrieve", "an unknown batch is 404, with an error object")
UNKNOWN_CANCEL: Final = Probe("batches.cancel", "an unknown batch is 404, with an error object")
PAGES: Final = Probe("batches.list", "turning pages shows every batch once")
ORDER: Final = Probe("batches.list", "the newest batch comes first")


def ask_all(driver: ServerSession) -> Iterator[Check]:
    """Ask for everything, one after another."""
    yield from _happy(driver)
    yield from _cancelled(driver)
    yield from _invalid(driver)
    yield UNKNOWN.score(_not_found(driver.ask("GET", f"/batches/{UNKNOWN_ID}")))
    yield UNKNOWN_CANCEL.score(_not_found(driver.ask("POST", f"/batches/{UNKNOWN_ID}/cancel")))
    yield from _paged(driver)


def _happy(driver: ServerSession) -> Iterator[Check]:
    """Let a batch run to its end, download its results, and cancel it then."""
    uploaded = driver.upload(driver.lines(*_NAMES))
    file_id = _id(uploaded)
    yield UPLOAD.score(None if file_id else f"answered {uploaded}")
    created = driver.create(file_id, {"conform": "happy"})
    yield CREATE.score(_misread(driver, created, file_id))
    batch_id = _id(created)
    if batch_id is None:
        yield from (asked.unseen("there is no batch") for asked in (COMPLETE, RESULTS, LATE))
        return
    last = driver.wait(batch_id)
    if not ended(last):
        yield from (asked.unseen(_late(driver, last)) for asked in (COMPLETE, RESULTS, LATE))
        return
    if last.found["status"] == "completed":
        yield COMPLETE.score(None)
        yield RESULTS.score(_results(driver, last))
    else:
        yield COMPLETE.score(_ended_as(last))
        yield RESULTS.unseen("the batch was not completed")
    yield LATE.score(_changed(driver, batch_id, last))


def _cancelled(driver: ServerSession) -> Iterator[Check]:
    """Cancel a batch at once."""
    created = driver.create(_id(driver.upload(driver.lines(*_NAMES))), {"conform": "cancel"})
    batch_id = _id(created)
    if batch_id is None:
        yield CANCEL.unseen("there is no batch")
        return
    asked = driver.ask("POST", f"/batches/{batch_id}/cancel")
    last = driver.wait(batch_id)
    status = last.found.get("status") if last.is_batch else None
    if not ended(last):
        yield CANCEL.unseen(_late(driver, last))
    elif status == "completed":
        yield CANCEL.unseen("it was completed before the cancel took hold")
    else:
        refused = None if asked.is_batch else f"answered {asked}"
        yield CANCEL.score(refused if status == "cancelled" else _ended_as(last))


def _invalid(driver: ServerSession) -> Iterator[Check]:
    """Upload a file that cannot be read."""
    uploaded = driver.upload('{"custom_id": "one", "method": "PO\n')
    file_id = _id(uploaded)
    created = driver.create(file_id, {"conform": "invalid"}) if file_id else uploaded
    batch_id = _id(created)
    if batch_id is None:
        yield INVALID.score(None if _is_refusal(created) else f"answered {created}")
        return
    last = driver.wait(batch_id)
    if not ended(last):
        yield INVALID.unseen(_late(driver, last))
    else:
        yield INVALID.score(None if last.found["status"] == "failed" else _ended_as(last))


def _paged(driver: ServerSession) -> Iterator[Check]:
    """Turn the pages of the list."""
    batches: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    problem = None
    for _ in range(PAGES_MAX):
        page = driver.ask("GET", "/batches", None, limit=str(_LIMIT), **after)
        data = page.found.get("data") if page.is_object else None
        if not isinstance(data, list) or not all(isinstance(each, dict) and "id" in each for each in data):
            problem = f"answered {page}"
            break
        batches += data
        if len(data) > _LIMIT:
            problem = f"a page of {_LIMIT} has {len(data)} batches"
        if not page.found.get("has_more") or not data:
            break
        after = {"after": str(data[-1]["id"])}
    twice = [name for name, times in Counter(str(each["id"]) for each in batches).items() if times > 1]
    own = {str(each["snapshot"].get("id")) for each in driver.seen[:1]}
    missing = own - {str(each["id"]) for each in batches}
    if twice:
        problem = problem or f"{twice[0]} is shown twice"
    if missing and len(batches) < PAGES_MAX * _LIMIT:
        problem = problem or f"{missing.pop()} is not shown"
    yield PAGES.score(problem)
    created: list[Any] = [each.get("created_at") for each in batches]
    if len(created) > 1 and all(type(at) is int for at in created):
        ordered = all(newer >= older for newer, older in pairwise(created))
        yield ORDER.score(None if ordered else f"created_at: {shown(created)}", severity="warning")
    else:
        yield ORDER.unseen("there are not two batches with a time")


def _id(reply: Reply) -> str | None:
    found = reply.found.get("id") if reply.is_object else None
    return found if isinstance(found, str) and found else None


def _late(driver: ServerSession, last: Reply) -> str:
    """Say that a batch has not ended in time."""
    return f"after {driver.timeout_s:g} s it was {last.found['status'] if last.is_batch else last}"


def _ended_as(last: Reply) -> str:
    """Say how a batch ended that should have ended otherwise."""
    return f"it ended {last.found['status']}, errors: {shown(last.found.get('errors'))}"


def _misread(driver: ServerSession, created: Reply, file_id: str | None) -> str | None:
    """Return what a new batch says otherwise than it was asked for; None if nothing."""
    if not created.is_batch or _id(created) is None:
        return f"answered {created}"
    asked = {"input_file_id": file_id, "endpoint": driver.endpoint, "metadata": {"conform": "happy"}}
    wrong = [
        f"{name} is {shown(created.found.get(name))}"
        for name, value in asked.items()
        if created.found.get(name) != value
    ]
    return "; ".join(wrong) or None


def _results(driver: ServerSession, last: Reply) -> str | None:
    """Return what is wrong with the files of an ended batch; None if nothing."""
    found: Counter[str] = Counter()
    for kind in ("output_file_id", "error_file_id"):
        if last.found.get(kind):
            reply = driver.ask("GET", f"/files/{last.found[kind]}/content")
            try:
                rows = [json.loads(line) for line in reply.body.splitlines() if line.strip()]
                found.update(str(row["custom_id"]) for row in rows)
            except (ValueError, TypeError, KeyError):
                return f"{kind}: answered {reply}"
    return None if found == Counter(_NAMES) else f"found {shown(dict(found))}"


def _changed(driver: ServerSession, batch_id: str, last: Reply) -> str | None:
    """Return what a cancel after the end has changed; None if it is refused, or changes nothing."""
    asked = driver.ask("POST", f"/batches/{batch_id}/cancel")
    if not _is_refusal(asked) and not (asked.is_batch and asked.found["status"] == last.found["status"]):
        return f"answered {asked}"
    after = driver.ask("GET", f"/batches/{batch_id}")
    return None if after.is_batch and after.found["status"] == last.found["status"] else f"now it is {after}"


def _is_refusal(reply: Reply) -> bool:
    """Tell whether the client is told that it is wrong."""
    return 400 <= reply.status < 500  # noqa: PLR2004  # HTTP's own borders.


def _not_found(reply: Reply) -> str | None:
    is_told = reply.status == 404 and isinstance(reply.found, dict) and "error" in reply.found  # noqa: PLR2004
    return None if is_told else f"answered {reply}"
