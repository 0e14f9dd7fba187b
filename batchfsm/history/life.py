"""What a log tells of one batch."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from batchfsm.history.batch_record import BatchRecord
from batchfsm.route import Transition
from batchfsm.snapshot import Snapshot


@attrs.frozen
class BatchTimeline:
    """What a log tells of one batch."""

    batch_id: str
    transitions: tuple[Transition, ...]
    """What it entered, in order."""
    seen: frozenset[str]
    """The statuses that some snapshot had."""
    last: Snapshot
    """The last snapshot, as the log has them."""
    status: str | None = None
    """The status it is in, of those that the lifecycle has."""
    returned_at: Mapping[int, int | None] = attrs.field(factory=dict)
    """
    When it came back to an earlier status, which is no transition: Unix seconds, None if nothing says when.

    By the number of transitions before; a return that is not in it is dated by the last snapshot's stamp.
    """


def timeline_of(batch_id: str, track: BatchRecord) -> BatchTimeline:
    """Return the life of a batch that a fold has followed, one row at the least."""
    last = track.snapshot(batch_id)
    assert last is not None  # noqa: S101  # A batch has a live row from its first one on.
    transitions = tuple(leg.of(batch_id, at) for leg, at in zip(track.legs, track.ats, strict=True))
    seen = frozenset(leg.target for leg in track.legs if leg.evidence == "observed")
    return BatchTimeline(batch_id, transitions, seen, last, track.status)
