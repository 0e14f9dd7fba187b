"""The HTML report of an audit: its sections, and logs with hostile content."""

import json
import re
import sys
from base64 import b64encode
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

import attrs
import pytest

from batchfsm import RULES, MissingExtraError, audit, write_report
from batchfsm.escapes import printable
from batchfsm.reporting.charts import quantile
from support.dialects import DIALECTS
from support.notation import seen, snap
from support.pages import HOSTILE, whole_log


class Page(HTMLParser):
    """Parses a page into its elements with their attributes, and its text."""

    def __init__(self, source):
        """Parse a page."""
        super().__init__()
        self.source, self.elements, self.texts = source, [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        """Record an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        """Record text."""
        self.texts.append(data)

    def count(self, tag):
        """Return the number of elements of a kind."""
        return sum(name == tag for name, _ in self.elements)

    def section(self, name):
        """Return the source of a section, by the id of its heading."""
        return next(part for part in self.source.split("<section") if f'aria-labelledby="{name}"' in part)

    @property
    def text(self):
        """Return all text, with runs of blanks as one."""
        return re.sub(r"\s+", " ", " ".join(self.texts))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the page of a log that has every kind of row."""
    return paged(audit(whole_log()), tmp_path_factory.mktemp("report"))


def paged(audited, folder, **options):
    """Write a report and return its page."""
    write_report(audited, folder / "report.html", **options)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


# ---------------------------------------------------------------- a single file


def test_a_page_loads_nothing(whole):
    """No element loads a resource."""
    asking = [
        (tag, name) for tag, attributes in whole.elements for name in ("src", "srcset", "data") if name in attributes
    ]
    links = {str(attributes["href"]) for tag, attributes in whole.elements if "href" in attributes}

    assert [] == asking
    assert 0 == sum(map(whole.count, ("link", "iframe", "object", "embed", "img", "base", "use", "image")))
    assert {"#"} == {link[0] for link in links}
    assert not re.search(r"@import|url\(", whole.source.partition("<style>")[2].partition("</style>")[0])


def test_every_link_leads_somewhere(whole):
    """Each link on the page leads to an element of the page, and ids are unique."""
    names = [attributes["id"] for _, attributes in whole.elements if attributes.get("id")]
    own = [name for name in names if not re.match(r"(node|edge|graph)\d+$", name)]  # Graphviz gives ids to its parts.

    assert len(own) == len(set(own))
    assert {attributes["href"][1:] for tag, attributes in whole.elements if tag == "a"} <= set(names)


def test_only_our_script_may_run(whole):
    """The page's policy allows its one script by digest, and forbids all others."""
    (script,) = re.findall(r"<script>(.*?)</script>", whole.source, re.DOTALL)
    (policy,) = [attributes["content"] for _, attributes in whole.elements if "http-equiv" in attributes]

    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")


def test_a_page_is_small(whole):
    """The report of the test log has less than 250,000 bytes."""
    assert 250_000 > len(whole.source.encode())


# ---------------------------------------------------------------- the content


def test_verdict_and_counts(whole):
    """The page begins with the verdict and exact numbers."""
    audited = audit(whole_log())
    verdict = Page("<section" + whole.section("verdict")).text

    assert "Inconsistent At least one finding of severity error." in verdict
    for name, number in {
        "Snapshots": audited.snapshots,
        "Batches": audited.batches,
        "Findings": sum(audited.counts.values()),
        "Errors": audited.statistics.findings_by_severity["error"],
        "Unreadable places": audited.unreadable_count,
        "Batches with findings": audited.statistics.failing_count,
    }.items():
        assert f" {name} {number} " in verdict
    assert "not a batch" not in verdict


def test_a_clean_log_says_what_is_not_there(tmp_path):
    """Each section of findings has a sentence that there are none."""
    page = paged(audit(seen("vpzc")), tmp_path)

    assert "<title>Audit of batches: consistent</title>" in page.source
    for sentence in (
        "No finding of severity error.",
        "No rule has a finding.",
        "No finding has a time.",
        "Findings None.",
    ):
        assert sentence in page.text


def test_a_log_whose_batches_never_left_a_status_has_no_dwell_times(tmp_path):
    """The section has a sentence that there are none."""
    assert "No batch left a status at a known time." in paged(audit([snap("v")]), tmp_path).text


@pytest.mark.parametrize("log, places", [([], 0), ([5], 1), ([5, 6], 2)])
def test_an_empty_log_says_that_it_is_empty(log, places, tmp_path):
    """The page has the verdict and the unreadable places, no drawing and no other section."""
    page = paged(audit(log), tmp_path)

    assert "<title>Audit of batches: undetermined</title>" in page.source
    assert "The log holds no batch snapshots." in page.text
    assert ("Places that could not be read" in page.text) == bool(places)
    assert (1 + bool(places), 0, 0) == (page.count("section"), page.count("svg"), page.count("nav"))


def test_an_undetermined_log_is_not_called_clean(tmp_path):
    """Some requested rules were not checked."""
    page = paged(audit(seen("v"), select="T205"), tmp_path)

    assert "not everything was checked: the log may hold errors." in page.text


JARGON = (
    "(birth)",
    "tenth",
    "digest",
    "beginning of a span",
    "quantile",
    "gathered",
    "could not look",
    "nothing proves",
)


def test_a_page_has_no_jargon(whole, tmp_path):
    """Percentiles are named in words, and sentences have no terms of the code."""
    text = whole.text.partition("Skip to the content")[2].partition('"use strict"')[0].lower()

    assert [] == [word for word in JARGON if word in text]
    assert all(word in whole.section("dwell") for word in (">p10<", ">Median<", ">p90<"))


def test_rules_have_one_order(whole):
    """The order is the same in the table, the meanings, the chart, the filter and on each timeline."""
    order = list(RULES)
    rules, findings = whole.section("rules"), whole.section("findings")
    places = {
        "table": re.findall(r'data-rule="(\w+)"', rules),
        "meanings": re.findall(r"<dt>(\w+) ", rules),
        "filter": re.findall(r'<option value="(\w+)"', findings),
        **{
            f"timeline {number}": re.findall(r'data-rule="(\w+)"', part)
            for number, part in enumerate(whole.section("timelines").split("</li>"))
        },
    }

    assert {name: sorted(found, key=order.index) for name, found in places.items()} == places
    drawn = re.findall(r">([A-Z]\d{3})</text>", whole.section("time"))
    assert sorted(drawn, key=order.index) == drawn


def test_a_log_in_the_state_file_is_not_called_empty(tmp_path):
    """If the state file has all files of the log, the page gives that reason."""
    log, state = tmp_path / "log.jsonl", tmp_path / "state.db"
    log.write_text(json.dumps(snap("vp")) + "\n")
    audit(log, state=state)

    assert "Nothing new: the state file has all of this log." in paged(audit(log, state=state), tmp_path).text


def test_each_rule_says_what_it_means(whole):
    """Each rule with findings has its exact count, its meaning and its remedy."""
    audited, shown = audit(whole_log()), unescape(whole.section("rules"))
    shown = re.sub(r"</?code>", "`", shown)

    assert len(audited.counts) == shown.count('<th scope="row">')
    for code, count in audited.counts.items():
        assert f'data-rule="{code}">{code}</a> <span>{RULES[code].name}</span></th>' in shown
        assert f'<td class="number">{count:,}</td>' in shown
        assert f"<dt>{code} {RULES[code].name}</dt><dd>{RULES[code].description} <em>{RULES[code].remedy}</em>" in shown


def test_severities_are_those_that_were_found(whole, tmp_path):
    """A rule has the severity of its findings in this log: a tolerated step is a warning, and dialects may differ."""
    azure = paged(audit([snap("vpzc", output_file_id=None)], dialect="azure"), tmp_path)

    assert re.search(
        r'>H501</a> <span>illegal-transition</span></th><td><span class="warning">', whole.section("rules")
    )
    assert '<span class="note">note</span>' in azure.section("rules")


def test_unreadable_places_are_listed(whole):
    """Each place that could not be read is listed."""
    assert "Places that could not be read, or only in part: the first 1 of 1" in whole.text
    assert "<li>iterable:" in whole.source


def test_the_flow_is_drawn(whole):
    """The lifecycle has the count of each step, illegal moves are red, and a table has the same counts."""
    shown = whole.section("lifecycle")

    assert 1 == shown.count('class="edge illegal"')
    assert (
        '<td>completed</td><td>in_progress</td><td class="number">1</td><td>illegal: no walk leads there</td>' in shown
    )
    assert "<td>(creation)</td><td>validating</td>" in shown
    assert 'class="edge untaken"' in shown
    assert re.search(r"Last status in the log: [\d,]+ validating, ", shown)


def test_stays_are_drawn(whole):
    """Dwell times are shown as a chart on a logarithmic axis and as a table of quantiles."""
    shown = whole.section("dwell")

    assert {"1 s", "10 s", "1 min"} <= set(re.findall(r">([^<>]+)</text>", shown))
    assert "validating: " in shown
    assert '<th scope="row">validating</th>' in shown
    assert "<title>" in shown


def test_findings_over_time_are_drawn(whole):
    """Each rule has a row, and each bar has a label."""
    shown = whole.section("time")

    assert set(audit(whole_log()).counts) <= set(re.findall(r">([A-Z]\d{3})</text>", shown))
    assert re.search(
        r"<title>F402: \d+ of severity warning from 2025-10-09 \d\d:\d\d:\d\d UTC, \d+ [mh] \d\d [ms]</title>", shown
    )


def test_timelines(whole):
    """Batches with findings, and some without, have a bar for each status and a list of their findings."""
    shown = whole.section("timelines")
    left = shown[shown.index('">left</h3>') :].partition("</li>")[0]

    entered = ["validating", "in_progress", "finalizing", "completed", "in_progress"]
    assert entered == re.findall(r'<th scope="row">(\w+)</th>', left)
    assert 'data-batch="left" data-rule="H502">H502</a>' in left
    assert "clean3</h3>" in shown
    assert 'class="bar hollow"' in shown
    assert 'class="bar end"' in shown


def test_findings_are_rows(whole):
    """Each listed finding is a row, in order."""
    audited = audit(whole_log())
    rows = re.findall(
        r'<tr><td class="(\w+)">\w+</td><td>(\w+)</td><td>(.*?)</td><td>(.*?)</td></tr>', whole.section("findings")
    )

    found = [tuple(map(unescape, row)) for row in rows]
    listed = audited.findings

    assert [(each.severity, each.rule, printable(each.batch_id or "")) for each in listed] == [row[:3] for row in found]
    # The id of the batch has its own column, and is not printed twice.
    assert all(
        printable(each.message) in (row[3], f"{row[2]} {row[3]}") for each, row in zip(listed, found, strict=True)
    )
    assert not any(row[2] and row[3].startswith(f"{row[2]} ") for row in found)


def test_what_is_not_listed_is_said(tmp_path):
    """If the list of findings was cut off, the page has a note of that; the counts stay exact."""
    log = [snap("v", id=f"b{number}", expires_at=None) for number in range(9)]

    assert "The first 4 of 9 findings" in paged(audit(log, max_findings=4), tmp_path).text
    assert "All 9 findings." in paged(audit(log), tmp_path).text
    assert "None is listed" in paged(audit(log, max_findings=0), tmp_path).text


def without_flow(log, **options):
    """Return a report without statistics for pictures."""
    return attrs.evolve(audit(log, **options), statistics=None)


def test_without_flow(tmp_path):
    """The page has counts and findings, and names the missing parts."""
    page = paged(without_flow(seen("vpzcp")), tmp_path)

    assert "Steps, dwell times, findings over time and timelines were not collected" in page.text
    assert "went from completed to in_progress" in page.text
    assert '<span class="error">error</span>' in page.section("rules")
    assert 'aria-labelledby="lifecycle"' not in page.source


def test_a_rule_without_a_listed_finding_weighs_what_it_says(tmp_path):
    """If none of a rule's findings is listed, the page shows the rule's own severity."""
    page = paged(without_flow(seen("vpzcp"), max_findings=0), tmp_path)

    assert '<span class="error">error</span>' in page.section("rules")


def test_what_could_not_look_is_named(tmp_path):
    """A requested rule that could not be checked is named."""
    page = paged(audit(seen("v"), select="T205"), tmp_path)

    assert "Rules that were not checked, because the log lacks fields that they need: T205" in page.text


def test_findings_without_a_time_are_counted(tmp_path):
    """Findings without a time are left out of the chart, and their number is shown beside it."""
    page = paged(audit([snap("v", created_at=None), snap("v", id="b2", expires_at=None)]), tmp_path)

    assert re.search(r"\d findings have no time\.", page.text)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_its_page(dialect, tmp_path):
    """The page draws the lifecycle of the dialect."""
    first = DIALECTS[dialect].lifecycle.initial
    page = paged(audit([snap("v", status=first)], dialect=dialect), tmp_path)

    assert len(DIALECTS[dialect].lifecycle.statuses) == page.section("lifecycle").count('class="node"') - 1
    assert f">{first}</th>" in page.section("timelines")


def test_stays_of_no_second(tmp_path):
    """Stays shorter than a second have a place on the logarithmic axis."""
    page = paged(audit(seen("vpzc", at=(0, 0, 1, 1))), tmp_path)

    assert "<title>validating: 1 stayed less than a second</title>" in page.section("dwell")


def test_a_status_without_a_stamp(tmp_path):
    """A status without a stamp has a row and no bar."""
    page = paged(audit([snap("vc")]), tmp_path)

    assert 2 == page.section("timelines").count("<td>no stamp</td>")


@pytest.mark.parametrize("share, expected", [(0.1, 1), (0.5, 2), (0.9, 3), (1.0, 3)])
def test_quantiles(share, expected):
    """A quantile is a duration which that share of the stays did not exceed."""
    assert expected == quantile({3: 4, 1: 2, 2: 4}, share)


# ---------------------------------------------------------------- hostile logs


@pytest.mark.parametrize("hostile", HOSTILE)
def test_an_id_stays_text(hostile, whole):
    """Ids are shown as text everywhere, with control characters spelled out."""
    assert 3 <= unescape(whole.source).count(printable(hostile))


def test_a_hostile_log_adds_no_element(whole, tmp_path):
    """The page has the same elements and attributes as that of a harmless log."""
    known = {(tag, name) for tag, attributes in paged(audit(harmless()), tmp_path).elements for name in attributes}

    assert set() == {(tag, name) for tag, attributes in whole.elements for name in attributes} - known
    assert 1 == whole.count("script")
    assert 1 == whole.count("h1")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", whole.source)


def harmless():
    """Return the log with every kind of row, but with harmless ids."""
    return [
        row | {"batch": row["batch"] | {"id": re.sub(r"\W", "_", row["batch"]["id"])}} if isinstance(row, dict) else row
        for row in whole_log()
    ]


def test_a_title_stays_text(tmp_path):
    """The title, which may be a file name, is shown as text."""
    page = paged(audit(seen("v")), tmp_path, title=HOSTILE[0])

    assert 1 == page.count("script")
    assert HOSTILE[0] in page.text


# ---------------------------------------------------------------- requirements


@pytest.mark.parametrize("missing, what", [("jinja2", "a report"), ("vl_convert", "a chart")])
def test_without_the_extra(missing, what, tmp_path, monkeypatch):
    """If the extra is not installed, the error names the package to install, and no file is written."""
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(
        MissingExtraError,
        match=rf"^{what} needs more packages: pip install 'batchfsm\[report\]' \(in a clone: pip install '\.\[report\]'\)$",
    ):
        write_report(audit(seen("vp")), tmp_path / "report.html")
    assert [] == list(tmp_path.iterdir())


def test_an_unwritable_file(tmp_path):
    """The error is that of the operating system."""
    with pytest.raises(FileNotFoundError):
        write_report(audit(seen("v")), tmp_path / "no" / "report.html")
