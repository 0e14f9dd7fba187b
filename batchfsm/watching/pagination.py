"""Pages of the list of batches: the cursor, and the signs that a list ends or leads nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import attrs

from batchfsm.snapshot import Snapshot
from batchfsm.watching.responses import Failure, Fatal, Gone, JSONReply, Transient, error_body

PAGE_SIZE: Final = 100
"""Batches on a page; OpenAI answers 400 to more."""

PAGES_MAX: Final = 10_000
"""Bound of one list: a million batches."""

OVERLAP_S: Final = 3600
"""A list may show a batch late: one created within this time before the newest still counts as new."""


@attrs.frozen
class ListedBatch:
    """One row of a list."""

    batch_id: str
    content: dict[str, Any] | Snapshot
    server_time: float | None
    """The `Date` header of the page; Unix seconds."""

    @property
    def response(self) -> JSONReply | Snapshot:
        """The row in the form of a response to a retrieve."""
        return self.content if isinstance(self.content, Snapshot) else JSONReply(self.content, self.server_time)

    @property
    def created_at(self) -> int:
        """The creation time; 0 if the row has none."""
        if isinstance(self.content, Snapshot):
            return self.content.created_at or 0
        return _created_at(self.content)


class ListReader:
    """
    Reads one list, page by page.

    A list is whole only if its last page says so, each page brought an id that the list
    had not shown before, and no cursor came twice; else it was cut short.
    """

    def __init__(self, newest_known: int | None) -> None:
        self.after: str | None = None
        """The cursor of the next page."""
        self.is_over = False
        """True if no page is left to read."""
        self.problem: str | None = None
        """Why the list was cut short; None while it was not."""
        self.failure: Failure | None = None
        """The failure of the last request; the rest of the list is unknown."""
        self.pages = 0
        """Number of pages requested."""
        self.newest: int | None = newest_known
        """When the newest batch was created that this list or an earlier whole one has shown; Unix seconds."""
        self._newest_known = newest_known
        self._ids: set[str] = set()
        self._cursors: set[str] = set()
        self._reaches_known = False

    def add_page(self, reply: Any) -> list[ListedBatch]:
        """Return the rows of a page that have an id, and move the cursor."""
        self.pages += 1
        content, server_time = reply, None
        if isinstance(reply, JSONReply):
            content, server_time = reply.content, reply.server_time
        data = _data_of(content)
        if not isinstance(data, list):
            self.failure, self.is_over = data, True
            return []
        rows = [
            ListedBatch(item["id"], item, server_time)
            for item in data
            if isinstance(item, dict) and isinstance(item.get("id"), str) and item["id"]
        ]
        self._move_cursor(data, rows, has_more=bool(content.get("has_more")))
        return rows

    @property
    def reaches_known(self) -> bool:
        """True if the last page ends among batches that an earlier list has shown; only where the newest come first."""
        return self._reaches_known

    def _move_cursor(self, data: list[Any], rows: list[ListedBatch], *, has_more: bool) -> None:
        new = {row.batch_id for row in rows} - self._ids
        self._ids |= new
        last = rows[-1].batch_id if rows else None
        if len(rows) < len(data):
            self.problem = f"page {self.pages} has a batch without an id"
        dead_end = None
        if has_more and not data:
            dead_end = f"page {self.pages} is empty, and more are announced"
        elif data and not new:
            dead_end = f"page {self.pages} repeats earlier ones"
        elif has_more and last in self._cursors:
            dead_end = f"page {self.pages} leads back to an earlier one"
        elif has_more and self.pages >= PAGES_MAX:
            dead_end = f"it goes on after {PAGES_MAX:,} pages"
        self.problem = dead_end or self.problem
        self.is_over = not has_more or dead_end is not None
        if last is not None:
            self._cursors.add(last)
            self.after = last
        created = [row.created_at for row in rows]
        self.newest = max([self.newest or 0, *created])
        is_falling = all(before >= after for before, after in pairwise(created))
        known = self._newest_known
        self._reaches_known = bool(created) and known is not None and is_falling and created[-1] < known


def _data_of(content: Any) -> list[Any] | Failure:
    """Return the entries of a page; a failure if it is none."""
    if isinstance(content, Transient | Gone | Fatal):
        return content
    batches = content.get("data") if isinstance(content, Mapping) else None
    if not isinstance(batches, list):
        return error_body(content) or Transient("an answer that is no page of batches")
    return batches


def _created_at(item: dict[str, Any]) -> int:
    created_at = item.get("created_at")
    return created_at if isinstance(created_at, int) else 0
