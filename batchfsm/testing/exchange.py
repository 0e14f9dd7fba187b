"""A request, the API that would answer it, and the numbers that a fault was injected with."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from batchfsm.testing.http import Answer, Request, json_answer
from batchfsm.testing.timeline import WireObject

_OK = 200


@attrs.frozen(kw_only=True)
class Exchange:
    """A request that a fault applies to."""

    request: Request
    now: float
    """Time of the request; Unix seconds."""
    lag_s: float
    """Delay of a stale or late answer; seconds."""
    retry_after_s: float
    """Seconds that the client is asked to wait."""
    byte_interval_s: float
    """Seconds between two bytes of a slow body."""
    answer_at: Callable[[Request, float], Answer]
    """Return the API's answer to a request at a time; Unix seconds."""
    batch_at: Callable[[str, float], WireObject]
    """Return a batch at a time in Unix seconds, or as it was created if that is later."""
    all_batches: Callable[[], list[WireObject]]
    """Return all batches as they are now, newest first."""
    previous_answers: tuple[Answer, ...]
    """The last two answers to the same request, the latest last."""

    def true_answer(self) -> Answer:
        """Return the answer without the fault."""
        return self.answer_at(self.request, self.now)

    def with_each_batch(self, change: Callable[[WireObject], WireObject]) -> Answer:
        """Return the true answer with each batch in it changed; other answers unchanged."""
        answer = self.true_answer()
        if answer.status != _OK or not answer.headers["content-type"].startswith("application/json"):
            return answer
        found = answer.json
        rows = found["data"] if found.get("object") == "list" else [found]
        broken_snapshot = [change(row) if row["object"] == "batch" else row for row in rows]
        return json_answer({**found, "data": broken_snapshot} if found.get("object") == "list" else broken_snapshot[0])

    def with_page(self, change: Callable[[WireObject], WireObject]) -> Answer:
        """Return the true page of a list with changed fields; a refusal unchanged. `first_id` and `last_id` follow."""
        answer = self.true_answer()
        if answer.status != _OK:
            return answer
        page = answer.json | change(answer.json)
        ids = [row["id"] for row in page["data"]] or [None]
        return json_answer(page | {"first_id": ids[0], "last_id": ids[-1]})
