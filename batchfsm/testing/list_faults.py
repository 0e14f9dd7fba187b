"""Faults of `GET /v1/batches`: pages that contradict the batches, or each other."""

from __future__ import annotations

from typing import Any

import attrs

from batchfsm.testing.exchange import Exchange
from batchfsm.testing.http import Answer
from batchfsm.testing.timeline import WireObject


def stale_list(exchange: Exchange) -> Answer:
    """Return the page with each batch as it was created."""
    return exchange.with_each_batch(lambda batch: exchange.batch_at(batch["id"], 0))


def cut_list(exchange: Exchange) -> Answer:
    """Return half of the page as if the list ended there."""
    return exchange.with_page(lambda page: {"data": page["data"][: len(page["data"]) // 2], "has_more": False})


def repeating_list(exchange: Exchange) -> Answer:
    """Return the first page for every cursor, with `has_more`."""
    query = {name: value for name, value in exchange.request.query.items() if name != "after"}
    first = attrs.evolve(exchange, request=attrs.evolve(exchange.request, query=query))
    return first.with_page(lambda page: {"has_more": bool(page["data"])})


def circling_list(exchange: Exchange) -> Answer:
    """Return one of at least two pages; the last one leads to the first one again."""

    def circle(_: WireObject) -> dict[str, Any]:
        batches = exchange.all_batches()
        size = min(_limit(exchange), (len(batches) + 1) // 2)
        ids = [batch["id"] for batch in batches]
        after = exchange.request.query.get("after")
        begin = ids.index(after) + 1 if after in ids[:-1] else 0
        return {"data": batches[begin : begin + size], "has_more": bool(batches)}

    return exchange.with_page(circle)


def empty_list(exchange: Exchange) -> Answer:
    """Return a page without batches, with `has_more`."""
    return exchange.with_page(lambda _: {"data": [], "has_more": True})


def shifted_list(exchange: Exchange) -> Answer:
    """Return a page that begins with the last batch of the page before: a new batch has moved all by one place."""
    after = exchange.request.query.get("after")
    if after is None:
        return exchange.true_answer()
    return exchange.with_page(
        lambda page: {"data": [exchange.batch_at(after, exchange.now), *page["data"]][: _limit(exchange)]}
    )


def _limit(exchange: Exchange) -> int:
    return int(exchange.request.query.get("limit", "20"))
