"""Each healthy snapshot with one fault is reported by the rule for this fault, and by no other rule."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from batchfsm import RULES, Dialect
from batchfsm.history import BatchRecord, Fold
from batchfsm.wire import reader
from support.dialects import CHECKING, DIALECTS, OFF
from support.notation import CREATED, DAY_S, WORDS, seconds, snap

pytestmark = pytest.mark.logic

Row = dict[str, Any]
Found = list[tuple[str, str]]

PATHS = ("v", "vp", "vpz", "vpzc", "vpze", "vf", "vg", "vgx", "vpg", "vpgx")
"""Every prefix of every documented way to an end: a snapshot in its last letter is healthy."""

OPEN = tuple(path for path in PATHS if path[-1] not in "cfex")
ENDED = tuple(path for path in PATHS if path[-1] in "cfex")
RAN = tuple(path for path in PATHS if "p" in path)
MOVED = PATHS[1:]

MISSED = {
    "vpz": "in_progress_at",
    "vpzc": "finalizing_at",
    "vpze": "finalizing_at",
    "vgx": "cancelling_at",
    "vpgx": "cancelling_at",
}
"""The stamp that every walk to the status, or every documented one, has passed just before it."""

TIES: dict[str, Callable[[str], Sequence[int]]] = {
    "every minute": seconds,
    "in one second": lambda path: [seconds(path)[-1] if letter != "v" else 0 for letter in path],
}
"""When statuses are entered."""


def judged(rows: Sequence[Row], dialect: Dialect = DIALECTS["openai"]) -> list[Found]:
    """Return, for each of some snapshots of one batch, the rules that it breaches and their severities."""
    fold, track, found = Fold(dialect), BatchRecord(), []
    for row in rows:
        wire = dict(row)
        snapshot = reader(dialect).read(wire, wire.pop("observed_at", None))
        found.append([(finding.rule, finding.severity) for finding in fold.apply(track, snapshot).findings])
    return found


def counts(total: int, completed: int, failed: int) -> Row:
    """Return a change of `request_counts`."""
    return {"request_counts": {"total": total, "completed": completed, "failed": failed}}


def own(path: str) -> str:
    """Return the name of the stamp of a path's last status."""
    return "created_at" if path == "v" else f"{WORDS[path[-1]]}_at"


def done(path: str, more: int) -> Row:
    """Return a change that moves more requests to completed, in a completed batch from the failed ones."""
    before = snap(path)["request_counts"]
    failed = before["failed"] - more if path[-1] == "c" else before["failed"]
    return counts(before["total"], before["completed"] + more, failed)


# ---------------------------------------------------------------- one snapshot


def changes(code: str, path: str, at: Sequence[int]) -> Row:
    """Return the change that makes a healthy snapshot breach one rule of single snapshots, and no other."""
    last = CREATED + at[-1]
    forbidden = "completed_at" if path == "vf" else "failed_at"
    return {
        "S001": {"created_at": None},
        "S002": {"endpoint": 5},
        "S003": {"object": "file"},
        "S004": {"status": "paused", **({"errors": None} if path == "vf" else {})},
        "S005": {own(path): "soon"},
        "S006": {"metadata": {"note": 5}},
        "P101": {own(path): None},
        "P102": {forbidden: last},
        "P103": {MISSED.get(path, ""): None},
        "P104": {"expires_at": None},
        "T201": {own(path): CREATED - 1} if len(path) == 2 else {f"{WORDS[path[-2:][0]]}_at": last + 1},
        "T202": {"expires_at": CREATED + DAY_S - 1},
        "T203": {"finalizing_at": CREATED + 200, "expired_at": CREATED + DAY_S - 1, "in_progress_at": CREATED},
        "T204": {"completed_at": CREATED + DAY_S + 1},
        "T205": {"observed_at": last - 61},
        "T206": {"id": "batch_" + "0" * 32},
        "T207": {"observed_at": CREATED + 2 * DAY_S + 1},
        "T208": {"observed_at": last + {"v": 6 * 3600}.get(path, 3600) + 1},
        "C301": counts(8, 8, 1) if path in RAN else counts(0, 1, 0),
        "C302": counts(8, 6, 1),
        "C303": counts(8, 0, 0),
        "C304": {"request_counts": None},
        "C305": counts(8, 1, 0),
        "F401": {"output_file_id": "file-early"},
        "F402": {"output_file_id": None},
        "F403": {"errors": ["any"]},
        "F404": {"errors": None},
        "F405": counts(8, 8, 0),
    }[code]


WHERE = dict.fromkeys(
    ("S001", "S002", "S003", "S004", "S005", "S006", "P102", "P104", "T202", "T205", "T206", "C301"), PATHS
) | {
    "P101": MOVED,
    "P103": tuple(MISSED),
    "T201": MOVED,
    "T203": ("vpze",),
    "T204": ("vpzc",),
    "T207": ("vp",),  # In another status the batch breaches T208, too.
    "T208": ("v", "vpz", "vg", "vpg"),
    "C302": ("vpzc",),
    "C303": ("v",),
    "C304": tuple(path for path in PATHS if path not in ("v", "vf")),
    "C305": tuple(path for path in OPEN if "p" in path),
    "F401": OPEN,
    "F402": ("vpzc",),
    "F403": tuple(path for path in PATHS if path != "vf"),
    "F404": ("vf",),
    "F405": ("vpzc",),
}
"""The healthy snapshots that can breach a rule of one snapshot."""


# ---------------------------------------------------------------- a history


def later(path: str) -> Row:
    """Return a healthy snapshot whose stamps are all new."""
    return snap(path, at=[0, *(second + 1000 for second in seconds(path)[1:])])


def reached(path: str) -> set[str]:
    """Return the letters of the statuses that can follow the end of a path, tolerated steps included."""
    return {"v": set("pzcfegx"), "p": set("zcfegx"), "z": set("cfegx"), "g": set("cfex")}.get(path[-1], set())


def histories(code: str) -> Iterator[tuple[str, list[Row]]]:  # noqa: C901  # One branch for each rule.
    """Yield each history of two healthy snapshots that breaches one rule, and no other."""
    for path in PATHS:
        if code in ("H501", "H502") and (path in ENDED) == (code == "H502"):
            for then in MOVED:  # A snapshot in validating has no new stamp: it is an earlier view.
                if then[-1] != path[-1] and then[-1] not in reached(path):
                    yield f"{path}, {then}", [snap(path), later(then)]
        if code == "H503":
            yield path, [snap(path), snap(path, input_file_id="file-other")]
        if code == "H504" and path != "v":
            yield path, [snap(path), snap(path, at=[*seconds(path)[:-1], seconds(path)[-1] + 1])]
        if code == "H505" and path in RAN:
            yield path, [snap(path), snap(path, **done(path, -1))]
        if code == "H506" and path in RAN and path in ENDED:
            yield f"{path}, another", [snap(path), snap(path, output_file_id="file-other")]
            yield f"{path}, none", [snap(path), snap(path, error_file_id=None)]
        if code == "H507":
            for length in range(1, len(path)):
                yield f"{path}, {path[:length]}", [snap(path), snap(path[:length])]
        if code == "H508" and path in ("vpze", "vpgx"):
            yield path, [snap(path), snap(path, **done(path, 1))]
        if code == "H508" and path == "vf":
            yield path, [snap(path), snap(path, errors=["other"])]


# ---------------------------------------------------------------- the tests

MUTANTS = [
    pytest.param(code, [snap(path, at=tie(path), **changes(code, path, tie(path)))], id=f"{code}, {path}, {name}")
    for code, paths in WHERE.items()
    for path in paths
    for name, tie in TIES.items()
] + [
    pytest.param(code, rows, id=f"{code}, {name}") for code in RULES if code >= "H501" for name, rows in histories(code)
]


def expected(code: str, rows: list[Row]) -> str:
    """Return the severity of the finding: a warning where in_progress expires directly, which is tolerated."""
    warned = code == "P103" and rows[-1]["status"] == "expired"
    return "warning" if warned or code in OFF else RULES[code].severity


@pytest.mark.parametrize("tie", TIES)
@pytest.mark.parametrize("path", PATHS)
def test_a_healthy_snapshot_is_healthy(path: str, tie: str):
    """The unchanged snapshot breaches no rule, even if all stamps are equal."""
    assert [[]] == judged([snap(path, at=TIES[tie](path))])


@pytest.mark.parametrize("code, rows", MUTANTS)
def test_a_mutant_is_found_by_its_rule_alone(code: str, rows: list[Row]):
    """The last snapshot breaches exactly one rule, and the earlier ones breach none."""
    assert [[]] * (len(rows) - 1) + [[(code, expected(code, rows))]] == judged(rows, CHECKING[code])


@pytest.mark.parametrize("code, rows", MUTANTS)
def test_a_mutant_lives_where_its_rule_is_off(code: str, rows: list[Row]):
    """With the rule off, the mutant has no finding, so no other rule reports the fault."""
    blind = Dialect(name=f"blind to {code}", severities={code: "off"})

    assert [[]] * len(rows) == judged(rows, blind)


def test_every_rule_has_mutants():
    """Each rule has at least one mutant; H501 and H502 have the expected numbers."""
    assert set(RULES) == {mutant.values[0] for mutant in MUTANTS}
    assert (5, 38) == tuple(len(list(histories(code))) for code in ("H501", "H502"))


# ---------------------------------------------------------------- faults that breach several rules

# Rows: the healthy snapshot. Columns: the status that replaces its own; all other fields stay.
SWAPPED = """
        v          p          z               c                    f               e               g          x
v       -          P101       P101+P103       P101+P103            P101+F404       P101+P103       P101       P101+P103
vp      P102+C303  -          P101            P101+P103+C302+F402  P101+P102+F404  P101+P103       P101       P101+P103
vpz     P102+C303  P102       -               P101+C302+F402       P101+P102+F404  P101            P101+P102  P101+P102+P103
vg      P102       P101+P102  P101+P102+P103  P101+P102            P101+P102+F404  P101+P102       -          P101
vpg     P102+C303  P102       P101+P102       P101+P102+C302+F402  P101+P102+F404  P101+P102       -          P101
vgx     P102       P101+P102  P101+P102+P103  P101+P102            P101+P102+F404  P101+P102       P102       -
"""


def swapped() -> Iterator[tuple[str, str, list[str]]]:
    """Yield path, letter and rules of each cell of the table above."""
    header, *lines = (line.split() for line in SWAPPED.strip().splitlines())
    for path, *cells in lines:
        for letter, cell in zip(header, cells, strict=True):
            if cell != "-":
                yield path, letter, cell.split("+")


@pytest.mark.parametrize("path, letter, expected", list(swapped()))
def test_a_swapped_status_word_brings_stamps_and_counts_along(path: str, letter: str, expected: list[str]):
    """A status that does not fit the other fields breaches the rules of stamps and of counts, files and errors."""
    (found,) = judged([snap(path, status=WORDS[letter])])

    assert expected == [code for code, _ in found]


COMPANIONS = {
    "a forbidden stamp older than those before it": (
        [snap("vpzc", failed_at=CREATED + 1)], ["P102", "T201"],
    ),
    "and the deadline, if it is expired_at": (
        [snap("vpzc", expired_at=CREATED + 1)], ["P102", "T201", "T203"],
    ),
    "finalizing_at in a cancelled batch that never ran": (
        [snap("vgx", finalizing_at=CREATED + 30)], ["P102", "P103"],
    ),
    "the own expired_at too old": (
        [snap("vpze", expired_at=CREATED + 100)], ["T201", "T203"],
    ),
    "the own stamp is lost": (
        [snap("vp"), snap("vp", in_progress_at=None)], ["P101", "H504"],
    ),
    "a passed stamp is lost": (
        [snap("vpz"), snap("vpzc", in_progress_at=None)], ["P103", "H504"],
    ),
    "a stamp out of order from one row to the next": (
        [snap("vp"), snap("vpz", at=[0, 200, 120])], ["T201", "H504"],
    ),
    "expired early from one row to the next": (
        [snap("vpze"), snap("vpze", at=[0, 60, DAY_S + 547, DAY_S - 1])], ["T201", "T203", "H504"],
    ),
    "in the future from one row to the next": (
        [snap("vp"), snap("vp", at=[0, 999], observed_at=CREATED + 300)], ["T205", "H504"],
    ),
    "an illegal move is another story, not a damaged row": (
        [snap("vpz", output_file_id=None), snap("vp", at=[0, 999], **counts(8, 1, 0))], ["H501"],
    ),
    "leaving the end is, too": (
        [snap("vpzc"), snap("vp", at=[0, 999], **counts(8, 1, 0))], ["H502"],
    ),
    "but identity is judged whatever the row": (
        [snap("vpzc"), snap("vp", at=[0, 999], endpoint="/v1/other")], ["H502", "H503"],
    ),
    "on a stale row, too": (
        [snap("vpzc"), snap("vp", endpoint="/v1/other")], ["H503", "H507"],
    ),
    "a bad stamp is neither missing nor skipped nor lost": (
        [snap("vpzc"), snap("vpzc", completed_at="soon", finalizing_at="soon")], ["S005"],
    ),
    "a batch that is overdue is stuck where the status has a bound": (
        [snap("vg", observed_at=CREATED + 3 * DAY_S)], ["T207", "T208"],
    ),
    "no time of creation is no skipped stamp": (
        [snap("vpzc"), snap("vpzc", created_at=None)], ["S001"],
    ),
    "a bad file id is neither early nor missing nor changed": (
        [snap("vpzc"), snap("vpzc", output_file_id=5)], ["S002"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("rows, expected", COMPANIONS.values(), ids=COMPANIONS)
def test_companions_are_those_that_the_contract_names(rows: list[Row], expected: list[str]):
    """One fault breaches exactly the rules that the contract lists for it."""
    assert expected == [code for code, _ in judged(rows)[-1]]
