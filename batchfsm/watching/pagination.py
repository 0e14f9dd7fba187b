"""Which requests a look takes: pages of `list` for many batches, one `retrieve` for each that they do not show."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

import attrs

from batchfsm.watching.responses import Fatal, Gone, Transient

PAGE: Final = 100
"""How many batches a page has; OpenAI answers 400 to more."""

PAGES_MAX: Final = 10_000
"""A million batches; a server that never runs out of pages is left at that."""

REFUSALS_MAX: Final = 3
"""After so many failed lists in a row one batch is asked for by itself: the list alone may be broken."""

Refusal = Transient | Gone | Fatal


@attrs.frozen
class Page:
    """Ask for one page of `list`; the reply is its JSON, or a refusal."""

    after: str | None
    """The last id of the page before; None for the first."""


@attrs.frozen
class RetrieveEach:
    """Ask for some batches one by one; the reply is what each of them answered, by id."""

    ids: tuple[str, ...]


Ask = Page | RetrieveEach


@attrs.frozen
class FetchResult:
    """What a look brought."""

    answers: dict[str, Any] = attrs.field(factory=dict)
    """What each batch that was asked for answered: a batch, or why not."""

    others: list[dict[str, Any]] = attrs.field(factory=list)
    """Batches that a sweep showed beside those."""

    refusal: Transient | Fatal | None = None
    """Why not all were asked for, if so."""

    requests: int = 1
    """How many requests it took."""


class Pager:
    """Remembers between sweeps what a list can do, and how far it has been read."""

    def __init__(self, *, finds: bool) -> None:
        """Know nothing of the list yet."""
        self._finds = finds
        self._can_list = True
        self._refusals = self._asked = 0
        self._newest: int | None = None
        """When the newest batch was made that an earlier sweep has shown; Unix seconds."""

    def look(self, ids: Iterable[str], *, is_sweep: bool) -> Generator[Ask, Any, FetchResult]:
        """
        Ask for batches.

        Args:
            ids: Those that are wanted.
            is_sweep: True if they are all the open ones.

        Yields:
            A request, whose reply is to be sent in.
        """
        looked, missing, self._asked = FetchResult(), dict.fromkeys(ids), 0
        if is_sweep and (self._finds or (self._can_list and len(missing) > 1)):
            refusal = yield from self._sweep(missing, looked)
            if refusal is not None:
                return attrs.evolve(looked, refusal=refusal)
        if missing:
            self._asked += len(missing)
            looked.answers.update((yield RetrieveEach(tuple(missing))))
        return attrs.evolve(looked, requests=self._asked)

    def _sweep(self, missing: dict[str, None], looked: FetchResult) -> Generator[Ask, Any, Transient | Fatal | None]:
        refusal = yield from self._pages(missing, looked)
        if refusal is None:
            self._refusals = 0
            return None
        if self._finds:
            return refusal if isinstance(refusal, Transient | Fatal) else Fatal(refusal.reason)
        if isinstance(refusal, Transient):
            self._refusals += 1
            if self._refusals < REFUSALS_MAX or refusal.is_throttled:
                return refusal
            # Is the server down, or only its list? One batch tells, and not ten thousand.
            (batch_id, answer), *_ = (yield RetrieveEach((next(iter(missing)),))).items()
            if isinstance(answer, Transient):
                return refusal
            looked.answers[batch_id] = answer
            del missing[batch_id]
        # There is no list, or the key may not read it: each batch answers for itself from now on.
        self._can_list = False
        return None

    def _pages(self, missing: dict[str, None], looked: FetchResult) -> Generator[Ask, Any, Refusal | None]:
        after: str | None = None
        fruitless, newest = 0, self._newest
        for _ in range(PAGES_MAX):
            self._asked += 1
            page = yield Page(after)
            items = _items(page)
            if not isinstance(items, list):
                return items
            found = [item for item in items if item["id"] in missing]
            for item in found:
                looked.answers[item["id"]] = item
                missing.pop(item["id"], None)
            if self._finds:
                looked.others.extend(item for item in items if item["id"] not in looked.answers)
            newest = max([newest or 0, *map(_created_at, items)])
            fruitless += not found
            if not items or not page.get("has_more") or items[-1]["id"] == after:
                break
            # A page with none of those that are missing costs as much as asking for one of them.
            if (not missing or fruitless >= len(missing)) and (not self._finds or self._is_known(items)):
                break
            after = items[-1]["id"]
        self._newest = newest
        return None

    def _is_known(self, items: list[dict[str, Any]]) -> bool:
        """Tell whether a page ends among batches that an earlier sweep has shown; only where the newest come first."""
        created = [_created_at(item) for item in items]
        is_falling = all(before >= after for before, after in pairwise(created))
        return self._newest is not None and is_falling and created[-1] < self._newest


def _items(page: Any) -> list[dict[str, Any]] | Refusal:
    """Return the batches of a page that have an id; a refusal if it is no page."""
    if isinstance(page, Transient | Gone | Fatal):
        return page
    batches = page.get("data") if isinstance(page, Mapping) else None
    if not isinstance(batches, list):
        return Transient("an answer that is no page of batches")
    return [item for item in batches if isinstance(item, dict) and item.get("id") and isinstance(item["id"], str)]


def _created_at(item: dict[str, Any]) -> int:
    created_at = item.get("created_at")
    return created_at if isinstance(created_at, int) else 0
