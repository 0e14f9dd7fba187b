"""What is known of a batch as versioned plain JSON, for whoever keeps it over a restart, and back."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from batchfsm.history.batch_record import COMMON, FIELDS, UNSAID, BatchRecord, shared
from batchfsm.route import RouteStep

VERSION: Final = 1
"""Which form is written; readers take it and the older ones, and refuse newer ones."""


def dump(track: BatchRecord, *, observed_at: float | None) -> str:
    """
    Write a track down; equal tracks give equal texts.

    Args:
        track: Whose it is. Not written are `pattern`, which holds types, and `places`, which no monitor has.
        observed_at: Its `observed_at`; whoever asks whether anything else has changed passes the same for both.
    """
    given = track.given or {}
    form = {
        "version": VERSION,
        "status": track.status,
        "entered": sorted(track.entered),
        "legs": [
            [leg.source, leg.target, leg.event, leg.evidence, leg.terminal, at]
            for leg, at in zip(track.legs, track.ats, strict=True)
        ],
        "adopted": track.adopted,
        "row": track.row and {name: value for name, value in zip(FIELDS, track.row, strict=True) if value is not None},
        "first": track.first,
        "given": track.given and {name: value for name, value in given.items() if value is not UNSAID},
        "unsaid": sorted(name for name, value in given.items() if value is UNSAID),
        "observed_at": observed_at,
        "errors": None if track.errors is None else track.errors.hex(),
        "verdict": track.verdict,
    }
    return json.dumps(form, separators=(",", ":"))


def restore(text: str) -> BatchRecord:
    """
    Read a track back; folding goes on from it as from the one that was written.

    Raises:
        ValueError: If it is not what `dump` writes, or what a newer version wrote.
    """
    try:
        form: dict[str, Any] = json.loads(text)
        if form["version"] != VERSION:
            msg = f"it has version {form['version']}, and this batchfsm reads version {VERSION}"
            raise ValueError(msg)
        return _restored(form)
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"it is no state of a batch ({error!r})"
        raise ValueError(msg) from error


def _restored(form: dict[str, Any]) -> BatchRecord:
    row, given, errors = form["row"], form["given"], form["errors"]
    unsaid = dict.fromkeys(form["unsaid"], UNSAID)
    return BatchRecord(
        status=form["status"],
        entered=frozenset(form["entered"]),
        legs=_legs(tuple(tuple(leg) for *leg, _ in form["legs"])),
        ats=tuple(at for *_, at in form["legs"]),
        adopted=form["adopted"],
        row=None if row is None else shared(tuple(map(row.get, FIELDS)), COMMON),
        first=form["first"],
        given=None if given is None else given | unsaid,
        observed_at=form["observed_at"],
        errors=None if errors is None else bytes.fromhex(errors),
        verdict=form["verdict"],
    )


@lru_cache(maxsize=4096)  # As many as there are cached transitions: batches that took the same way share its legs.
def _legs(legs: tuple[tuple[Any, ...], ...]) -> tuple[RouteStep, ...]:
    return tuple(RouteStep(*leg) for leg in legs)
