"""Logs for tests of reports: a log with every kind of finding, and hostile ids."""

from typing import Any, Final

from support.notation import CREATED, seen, snap

HOSTILE: Final = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</script></title></style><h1>owned</h1>",
    "{{ 7 * 7 }}{% raw %}",
    '=HYPERLINK("http://evil.example")',
    "javascript:document.title='owned'",
    "\u202ereversed\x1b[2J\x00",
    "' onmouseover='document.title=1",
)
"""Ids that would like to be markup, script, a template, a formula, or a terminal's orders."""


def whole_log() -> list[Any]:
    """Return a log with every severity, an illegal transition, a tolerated step, hostile ids and clean batches."""
    batches: list[Any] = [*seen("vpzcp", id="left"), *seen("vpf", id="tolerated", errors=None)]
    batches += [snap("vpzc", id=f"clean{number}") for number in range(5)]
    batches += [snap("vpzc", id=each, output_file_id=None) for each in HOSTILE]
    batches += [snap("v", id="noted", expires_at=None), "not a batch", snap("v", id="odd", status=HOSTILE[0])]
    return [
        {"observed_at": CREATED + 4000 + 600 * number, "batch": batch} if isinstance(batch, dict) else batch
        for number, batch in enumerate(batches)
    ]
