"""Properties derived from a lifecycle, compared with walks that the test enumerates."""

from itertools import combinations, pairwise, product

import pytest

from batchfsm.dialects import DIALECTS
from batchfsm.lifecycle import OPENAI, Lifecycle, State, Step
from batchfsm.topology import Topology, topology
from support.notation import WORDS, words

pytestmark = pytest.mark.logic

GRAPH = topology(OPENAI)

# The move from a known status (row) to the status of a new row (column: v p z c f e g x).
# = same, . legal, ~ legal with tolerated steps, ! illegal, # out of a final status, < an earlier view
MOVES = {
    #     live row   and earlier view
    "v": ("=.......", "=......."),
    "p": ("!=..~...", "<=..~..."),
    "z": ("!!=.~.~~", "<<=.~.~~"),
    "c": ("###=####", "<<<=##<#"),
    "f": ("####=###", "<<<#=#<#"),
    "e": ("#####=##", "<<<##=<#"),
    "g": ("!!!~~~=.", "<<<~~~=."),
    "x": ("#######=", "<<<###<="),
}
SIGNS = {"=": "same", ".": "legal", "~": "tolerated", "!": "illegal", "#": "exit_from_final", "<": "stale"}

# A batch may return from `rest` to `run`: OpenAI's lifecycle has no such cycle.
CIRCLE = Lifecycle(
    name="circle",
    initial="new",
    states=(
        State("new", "created_at"),
        State("run", "in_progress_at"),
        State("rest", "finalizing_at"),
        State("done", "completed_at", terminal=True),
    ),
    steps=(
        Step("new", "start", "run"),
        Step("run", "pause", "rest"),
        Step("rest", "resume", "run", "tolerated"),
        Step("run", "complete", "done"),
    ),
)


def paths(lifecycle, source, *, strict=False):
    """Return every simple path from a status, with the path of length zero."""
    steps = [step for step in lifecycle.steps if not strict or step.evidence == "documented"]

    def longer(path):
        yield path
        for step in steps:
            if step.source == path[-1] and step.target not in path:
                yield from longer((*path, step.target))

    return list(longer((source,)))


def subsets(names):
    """Return every subset of some names."""
    return [frozenset(some) for size in range(len(names) + 1) for some in combinations(names, size)]


# ---------------------------------------------------------------- reachability


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("strict", [False, True])
def test_reaching_is_the_closure_of_the_steps(name, strict):
    """A status reaches the ends of all paths from it, and itself only on a cycle."""
    lifecycle = DIALECTS[name].lifecycle
    graph = topology(lifecycle)
    steps = {(step.source, step.target) for step in lifecycle.steps if not strict or step.evidence == "documented"}
    ends = {status: {path[-1] for path in paths(lifecycle, status, strict=strict)} for status in lifecycle.statuses}

    def around(status):
        return any((end, status) in steps for end in ends[status] - {status})

    assert {
        status: ends[status] - {status} | ({status} if around(status) else set()) for status in lifecycle.statuses
    } == (graph.reach_strict if strict else graph.reach)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("strict", [False, True])
def test_walks_are_all_simple_paths(name, strict):
    """The walks between two statuses are all paths that visit no status twice, each once."""
    lifecycle = DIALECTS[name].lifecycle
    statuses = frozenset(lifecycle.statuses)

    for source in lifecycle.statuses:
        every = paths(lifecycle, source, strict=strict)
        for target in statuses - {source}:
            found = topology(lifecycle).walks(source, target, statuses, strict=strict)
            assert sorted(path for path in every if path[-1] == target) == sorted(found)


def test_walks_go_only_through_what_they_may():
    """The inner statuses of a walk are in `through`; its two ends need not be."""
    for source, target, through in product(OPENAI.statuses, OPENAI.statuses, subsets(OPENAI.statuses)):
        if source != target:
            every = [path for path in paths(OPENAI, source) if path[-1] == target and through.issuperset(path[1:-1])]
            assert sorted(every) == sorted(GRAPH.walks(source, target, through, strict=False))


@pytest.mark.parametrize("name", DIALECTS)
def test_rank_counts_what_comes_before_and_not_after(name):
    """The rank of a status is the number of statuses that reach it and are not reachable from it."""
    lifecycle = DIALECTS[name].lifecycle
    ends = {status: {path[-1] for path in paths(lifecycle, status)} for status in lifecycle.statuses}

    assert {
        status: sum(status in ends[other] and other not in ends[status] for other in lifecycle.statuses)
        for status in lifecycle.statuses
    } == topology(lifecycle).rank


def test_the_ranks_of_openai():
    """Cancelling has a higher rank than finalizing, and the four final statuses have the same rank."""
    assert dict(zip(words("vpzgcfex"), (0, 1, 2, 3, 4, 4, 4, 4), strict=True)) == GRAPH.rank


def test_statuses_on_a_circle_share_a_rank():
    """Two statuses that reach each other have the same rank."""
    graph = topology(CIRCLE)

    assert {"new": 0, "run": 1, "rest": 1, "done": 3} == graph.rank
    assert not graph.precedes("run", "rest")
    assert not graph.precedes("rest", "run")


@pytest.mark.parametrize("first, second", list(product(OPENAI.statuses, repeat=2)))
def test_precedes_means_never_after(first, second):
    """A status precedes another if some walk visits both, and no walk visits them in reverse order."""
    orders = {
        (one, two) for path in paths(OPENAI, "validating") for one, two in combinations(path, 2)
    }  # fmt: skip

    assert ((first, second) in orders and (second, first) not in orders) == GRAPH.precedes(first, second)


# ---------------------------------------------------------------- moves between two snapshots


@pytest.mark.parametrize("known, seen", list(product(MOVES, MOVES)))
@pytest.mark.parametrize("below", [False, True])
def test_every_move_is_the_one_written_here(known, seen, below):
    """All 64 pairs of statuses have the move of the table above, for live rows and for earlier views."""
    sign = MOVES[known][below][list(MOVES).index(seen)]

    assert SIGNS[sign] == GRAPH.moves[WORDS[known], WORDS[seen], below]


def test_only_final_statuses_are_left():
    """On a cycle a status can be entered again; an earlier view of it is stale."""
    graph = topology(CIRCLE)

    assert ("legal", "tolerated") == (graph.moves["run", "rest", False], graph.moves["rest", "run", False])
    assert ("stale", "stale") == (graph.moves["run", "rest", True], graph.moves["rest", "run", True])
    assert "exit_from_final" == graph.moves["done", "run", False]


# ---------------------------------------------------------------- stamps and walks


def forbidden(strict, every, stamped):
    """Return the severity of P102 by the contract's definition, or None."""
    if any(stamped <= walk for walk in strict):
        return None
    return "warning" if any(stamped <= walk for walk in every) else "error"


def skipped(strict, every, stamped, nullable):
    """Return the severity of P103 by the contract's definition; `stamped` has only statuses before the present one."""
    met = stamped | nullable
    passing = [walk for walk in strict if stamped <= walk]
    explained = any(stamped <= walk <= met for walk in every)
    if any(walk <= met for walk in passing) or (not passing and explained):
        return None
    return "warning" if explained else "error"


def cases(name):
    """Yield each status of a dialect with its walks and each set of stamped statuses."""
    lifecycle = DIALECTS[name].lifecycle
    for status in lifecycle.statuses:
        strict, every = (
            [frozenset(path) for path in paths(lifecycle, lifecycle.initial, strict=only) if path[-1] == status]
            for only in (True, False)
        )
        for later in subsets([other for other in lifecycle.statuses if other != lifecycle.initial]):
            yield status, strict, every, later | {lifecycle.initial}


@pytest.mark.parametrize("name", DIALECTS)
def test_stamps_that_no_walk_passes_are_forbidden(name):
    """P102 for every status and set of stamps equals the result of checking all walks."""
    graph = topology(DIALECTS[name].lifecycle)

    for status, strict, every, stamped in cases(name):
        # The initial and the present status are on every walk, so their stamps are never forbidden.
        has_others = not stamped <= {graph.lifecycle.initial, status}
        expected = forbidden(strict, every, stamped) if has_others else None
        assert expected == graph.check_stamp_set(status, graph.mask(stamped))


@pytest.mark.parametrize("name", DIALECTS)
def test_stamps_that_every_walk_passes_are_missed(name):
    """P103 for every status, set of stamps and set of invalid stamps equals the result of checking all walks."""
    lifecycle = DIALECTS[name].lifecycle
    graph, optional = topology(lifecycle), DIALECTS[name].optional_stamps
    ends = {status: {path[-1] for path in paths(lifecycle, status)} for status in lifecycle.statuses}

    for status, strict, every, stamped in cases(name):
        kept = frozenset(other for other in stamped if status in ends[other])
        unset = [other for other in lifecycle.statuses if other not in stamped]
        for bad in subsets(unset):
            nullable = optional | bad | {status}
            judged = graph.check_missing_stamps(status, graph.mask(stamped), graph.mask(nullable))
            assert skipped(strict, every, kept, nullable) == (judged and judged[0])


def test_the_fewest_missed_stamps_are_named():
    """Among the walks through all stamped statuses, the one with the fewest missing stamps is reported."""
    for status, strict, every, stamped in cases("openai"):
        judged = GRAPH.check_missing_stamps(status, GRAPH.mask(stamped), GRAPH.bit_of[status])
        if judged is not None:
            kept = frozenset(other for other in stamped if status in {other, *GRAPH.reach[other]})
            passing = [walk for walk in strict if kept <= walk] or [walk for walk in every if kept <= walk]
            lacking = [walk - kept - {status} for walk in passing] or [frozenset()]
            missed = frozenset(GRAPH.names(judged[1]))
            assert min(map(len, lacking)) == len(missed)
            assert missed in lacking


@pytest.mark.parametrize(
    "status, stamped, severity",
    [
        ("c", "vpzc", None),
        ("c", "vpzcf", "error"),
        ("c", "vpzgc", "warning"),
        ("f", "vf", None),
        ("f", "vpf", "warning"),
        ("p", "vpz", "error"),
        ("x", "vzgx", "warning"),
        ("v", "vx", "error"),
    ],
)
def test_forbidden_stamps_by_example(status, stamped, severity):
    """Examples of P102 that a reader can check by hand."""
    assert severity == GRAPH.check_stamp_set(WORDS[status], GRAPH.mask(words(stamped)))


@pytest.mark.parametrize(
    "status, stamped, judged",
    [
        ("c", "vpzc", None),
        ("c", "vc", ("error", "pz")),
        ("c", "vpc", ("error", "z")),
        ("c", "vzc", ("error", "p")),
        ("e", "ve", ("warning", "pz")),
        ("e", "vpe", ("warning", "z")),
        ("f", "vpf", None),
        ("x", "vgx", None),
        ("x", "vx", ("error", "g")),
        ("v", "vx", None),
    ],
)
def test_missed_stamps_by_example(status, stamped, judged):
    """A completed batch must have stamps of in_progress and finalizing; an expired batch should have them."""
    found = GRAPH.check_missing_stamps(WORDS[status], GRAPH.mask(words(stamped)), GRAPH.bit_of[WORDS[status]])

    assert judged == (
        found and (found[0], "".join(letter for letter in WORDS if found[1] & GRAPH.bit_of[WORDS[letter]]))
    )


def test_a_circle_needs_no_special_case():
    """A batch that was paused has both stamps at the end, although no simple path visits both statuses."""
    graph = topology(CIRCLE)
    stamped = graph.mask(("new", "run", "rest", "done"))

    assert "warning" == graph.check_stamp_set("done", stamped)
    assert graph.check_missing_stamps("done", stamped, graph.bit_of["done"]) is None


# ---------------------------------------------------------------- common steps of walks


def test_walks_agree_on_what_all_of_them_pass():
    """All walks through in_progress and finalizing share the steps start, finalize and complete."""
    free = frozenset(words("pz"))
    legs = list(GRAPH.common_steps(GRAPH.walks("validating", "completed", free, strict=True)))

    assert [*pairwise(words("vpzc"))] == [(source, target) for source, target, _ in legs]
    assert ["start", "finalize", "complete"] == [step.event for *_, step in legs if step]


def test_walks_that_differ_leave_a_gap():
    """All walks from validating to cancelled pass cancelling, but not all pass in_progress, which leaves a gap."""
    legs = list(GRAPH.common_steps(GRAPH.walks("validating", "cancelled", frozenset(words("pg")), strict=True)))

    assert [("validating", "cancelling", None), ("cancelling", "cancelled", "stop")] == [
        (source, target, step and step.event) for source, target, step in legs
    ]


# ---------------------------------------------------------------- bit masks and caching


@pytest.mark.parametrize("name", DIALECTS)
def test_a_mask_is_a_set_of_statuses_in_table_order(name):
    """A mask of any set of statuses gives the statuses in the order of the table."""
    graph = topology(DIALECTS[name].lifecycle)

    for some in subsets(graph.statuses):
        mask = graph.mask([*some, *some])
        assert tuple(status for status in graph.statuses if status in some) == graph.names(mask)
        assert len(some) == mask.bit_count()


def test_a_lifecycle_has_one_topology():
    """The topology is computed once, also for lifecycles that are equal."""
    assert topology(OPENAI) is topology(DIALECTS["openai"].lifecycle)
    assert Topology(OPENAI).moves == GRAPH.moves
