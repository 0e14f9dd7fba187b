"""Records of batches as versioned JSON, and back."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from batchfsm.history.batch_record import (
    FIELDS,
    NOT_REPORTED,
    SHARED_STEPS_MAX,
    BatchRecord,
    with_interned_words,
)
from batchfsm.route import RouteStep

VERSION: Final = 1
"""The version that is written. A reader accepts it and older ones, and refuses newer ones."""


def dump(record: BatchRecord, *, observed_at: float | None) -> str:
    """
    Return a record as JSON; equal records give equal texts.

    Args:
        record: The record. Its `pattern`, which holds types, and its `places`, which no monitor has, are not written.
        observed_at: The value to write for its `observed_at`; pass one value for two records to
            compare them without it.
    """
    last_values = record.last_values or {}
    reported = {name: value for name, value in last_values.items() if value is not NOT_REPORTED}
    form = {
        "version": VERSION,
        "status": record.status,
        "entered": sorted(record.entered),
        "legs": [
            [step.source, step.target, step.event, step.evidence, step.terminal, at]
            for step, at in zip(record.steps_taken, record.times, strict=True)
        ],
        "adopted": record.adopted,
        "row": record.row
        and {name: value for name, value in zip(FIELDS, record.row, strict=True) if value is not None},
        "first": record.first_values,
        "given": record.last_values and reported,
        "unsaid": sorted(name for name, value in last_values.items() if value is NOT_REPORTED),
        "observed_at": observed_at,
        "errors": None if record.errors is None else record.errors.hex(),
        "verdict": record.verdict,
        "reported": sorted(record.reported),
    }
    return json.dumps(form, separators=(",", ":"))


def restore(text: str) -> BatchRecord:
    """
    Return the record that was written; folding goes on from it as from the original.

    Raises:
        ValueError: If the text was not written by `dump`, or by a newer version.
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
    row, last_values, errors = form["row"], form["given"], form["errors"]
    not_reported = dict.fromkeys(form["unsaid"], NOT_REPORTED)
    return BatchRecord(
        status=form["status"],
        entered=frozenset(form["entered"]),
        steps_taken=_steps(tuple(tuple(step) for *step, _ in form["legs"])),
        times=tuple(at for *_, at in form["legs"]),
        adopted=form["adopted"],
        row=None if row is None else with_interned_words(tuple(map(row.get, FIELDS))),
        first_values=form["first"],
        last_values=None if last_values is None else last_values | not_reported,
        observed_at=form["observed_at"],
        errors=None if errors is None else bytes.fromhex(errors),
        verdict=form["verdict"],
        # Older versions wrote none.
        reported=frozenset((code, status) for code, status in form.get("reported", ())),
    )


def _steps(steps: tuple[tuple[Any, ...], ...]) -> tuple[RouteStep, ...]:
    return _shared_steps(steps) if len(steps) <= SHARED_STEPS_MAX else tuple(RouteStep(*step) for step in steps)


@lru_cache(maxsize=4096)  # As many as cached transitions: batches with the same transitions share their steps.
def _shared_steps(steps: tuple[tuple[Any, ...], ...]) -> tuple[RouteStep, ...]:
    return tuple(RouteStep(*step) for step in steps)
