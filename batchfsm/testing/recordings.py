"""Recorded lives: what a real server answered, answered again."""

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
from batchfsm.testing.timeline import Wire, made_id
from batchfsm.wire import decode, reader, unwrap


@attrs.frozen
class Recording:
    """
    One batch as it was seen, each view from the second in which it was first seen.

    Added to an API it is served as it is, at the times at which it was recorded. As a
    scenario it is moved: new ids, and every time that is a whole number moved along.
    """

    batch_id: str
    """Whose it is."""

    views: tuple[tuple[float, Wire], ...]
    """When it was seen, in Unix seconds, and the object; in order of time."""

    dialect: Dialect = DIALECTS["openai"]
    """Whose table it follows; for what is created with it, and has a file that cannot be used."""

    total: int = 0
    """How many requests are made up for it: none, for it has no results."""

    @property
    def begins_at(self) -> int:
        """When it was first seen; Unix seconds."""
        return int(self.views[0][0])

    @property
    def ends_at(self) -> float:
        """When it was last seen; Unix seconds."""
        return self.views[-1][0]

    def at(self, second: float) -> Wire:
        """Return the object as it was seen last by a time; Unix seconds."""
        place = bisect_right(self.views, second, key=lambda view: view[0])
        return deepcopy(self.views[max(0, place - 1)][1])

    def cancelled(self, second: float) -> Recording:  # noqa: ARG002  # Whenever it is: what happened has happened.
        """Return the recording: a cancel is answered, and changes nothing."""
        return self

    def outcomes(self, total: int) -> list[bool]:
        """Return that all end well: what they were answered is not recorded."""
        return [True] * total

    def life(
        self,
        created_at: int,
        *,
        number: int = 0,
        identity: Mapping[str, Any] = NOTHING,
        outcomes: Sequence[bool] | None = None,  # noqa: ARG002  # What it counted is recorded.
    ) -> Recording:
        """Return it as the life of a batch born now; see `Scenario.life`."""
        later_s, batch_id = created_at - self.begins_at, made_id("batch_", created_at, number)
        own = {name: identity[name] for name in ("input_file_id", "endpoint", "metadata") if name in identity}
        views = []
        for seen_at, wire in self.views:
            times = {name: wire[name] + later_s for name in TIME_FIELDS if type(wire.get(name)) is int and wire[name]}
            views.append((seen_at + later_s, {**wire, **times, **own, "id": batch_id}))
        # It is there at once, in whatever part of its second it was recorded.
        views[0] = (float(created_at), views[0][1])
        return attrs.evolve(self, batch_id=batch_id, views=tuple(views))


def recordings(source: object) -> dict[str, Recording]:
    """
    Read a log of snapshots that say when they were observed.

    Args:
        source: What `batchfsm.audit` takes; lines that hold no batch are passed over.

    Returns:
        A recording for each batch, by its id, in order of first sight.

    Raises:
        ScenarioError: If nothing in it says when it was observed.
    """
    found: dict[str, list[tuple[float, Wire]]] = {}
    for sighting in resolve_source(source):
        if not isinstance(sighting, UnreadableEntry):
            for batch_id, seen_at, wire in _views(sighting.found):
                found.setdefault(batch_id, []).append((seen_at, wire))
    if not found:
        raise ScenarioError("a recording needs batches, each in an envelope with observed_at")
    return {
        batch_id: Recording(batch_id, tuple(sorted(views, key=lambda view: view[0])))
        for batch_id, views in found.items()
    }


def _views(found: object) -> Iterator[tuple[str, float, Wire]]:
    """Yield id, time and object of each batch in a line of a log."""
    try:
        for batch, observed_at in unwrap(decode(found) if isinstance(found, str | bytes) else found):
            snapshot = reader(DIALECTS["compatible"]).read_bare(batch, observed_at)
            vital = (snapshot.id, snapshot.status, snapshot.created_at, snapshot.observed_at)
            if isinstance(batch, Mapping) and batch.get("object", "batch") == "batch" and None not in vital:
                yield snapshot.id, cast("float", snapshot.observed_at), dict(cast("Wire", batch))
    except SnapshotError:
        return  # Error answers, files and the like: an audit names them.
