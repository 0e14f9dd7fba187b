"""Recordings: the views of batches on a real server, replayed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

import attrs

from batchfsm.dialects import DIALECTS, Dialect
from batchfsm.errors import SnapshotError
from batchfsm.logs import UnreadableEntry, resolve_source
from batchfsm.snapshot import TIME_FIELDS
from batchfsm.testing.scenario import NOTHING
from batchfsm.testing.scenario_parser import ScenarioError
from batchfsm.testing.timeline import WireObject, made_id
from batchfsm.wire import decode, reader, unwrap


@attrs.frozen
class Recording:
    """
    The views of one batch, each valid from the time of its first observation.

    Added to an API, it is served unchanged, at the recorded times. As a scenario it
    is shifted to the time of creation: the id is new, and whole numbers in time fields
    are shifted.
    """

    batch_id: str
    """Id of the batch."""

    views: tuple[tuple[float, WireObject], ...]
    """Time of observation in Unix seconds, and batch object; in order of time."""

    dialect: Dialect = DIALECTS["openai"]
    """The dialect of batches that are created with it and have an invalid input file."""

    total: int = 0
    """Number of generated requests: none, a recording has no results."""

    @property
    def begins_at(self) -> int:
        """Time of the first view; Unix seconds."""
        return int(self.views[0][0])

    @property
    def ends_at(self) -> float:
        """Time of the last view; Unix seconds."""
        return self.views[-1][0]

    def at(self, second: float) -> WireObject:
        """Return the last view at a time in Unix seconds."""
        place = bisect_right(self.views, second, key=lambda view: view[0])
        return deepcopy(self.views[max(0, place - 1)][1])

    def cancelled(self, second: float) -> Recording:  # noqa: ARG002  # A recording does not change.
        """Return the recording: a cancel changes nothing."""
        return self

    def outcomes(self, total: int) -> list[bool]:
        """Return that every request succeeds: answers are not recorded."""
        return [True] * total

    def life(
        self,
        created_at: int,
        *,
        number: int = 0,
        identity: Mapping[str, Any] = NOTHING,
        outcomes: Sequence[bool] | None = None,  # noqa: ARG002  # The counts are recorded.
    ) -> Recording:
        """Return it as the life of a batch created at a time; see `Scenario.life`."""
        later_s, batch_id = created_at - self.begins_at, made_id("batch_", created_at, number)
        own = {name: identity[name] for name in ("input_file_id", "endpoint", "metadata") if name in identity}
        views = []
        for seen_at, wire in self.views:
            times = {name: wire[name] + later_s for name in TIME_FIELDS if type(wire.get(name)) is int and wire[name]}
            views.append((seen_at + later_s, {**wire, **times, **own, "id": batch_id}))
        # The batch exists at once, even if it was recorded late in its second.
        views[0] = (float(created_at), views[0][1])
        return attrs.evolve(self, batch_id=batch_id, views=tuple(views))


def recordings(source: object) -> dict[str, Recording]:
    """
    Return the recordings in a log of snapshots with times of observation.

    Args:
        source: A log, as `batchfsm.audit` takes it; lines without a batch are skipped.

    Returns:
        A recording for each batch, by its id, in order of first observation.

    Raises:
        ScenarioError: If no batch has a time of observation.
    """
    found: dict[str, list[tuple[float, WireObject]]] = {}
    for raw in resolve_source(source):
        if not isinstance(raw, UnreadableEntry):
            for batch_id, seen_at, wire in _views(raw.found):
                found.setdefault(batch_id, []).append((seen_at, wire))
    if not found:
        raise ScenarioError("a recording needs batches, each in an envelope with observed_at")
    return {
        batch_id: Recording(batch_id, tuple(sorted(views, key=lambda view: view[0])))
        for batch_id, views in found.items()
    }


def _views(found: object) -> Iterator[tuple[str, float, WireObject]]:
    """Yield id, time and object of each batch in an entry of a log."""
    try:
        for batch, observed_at in unwrap(decode(found) if isinstance(found, str | bytes) else found):
            snapshot = reader(DIALECTS["compatible"]).read_bare(batch, observed_at)
            vital = (snapshot.id, snapshot.status, snapshot.created_at, snapshot.observed_at)
            if isinstance(batch, Mapping) and batch.get("object", "batch") == "batch" and None not in vital:
                yield snapshot.id, cast("float", snapshot.observed_at), dict(cast("WireObject", batch))
    except SnapshotError:
        return  # Error answers, files and the like: an audit reports them.
