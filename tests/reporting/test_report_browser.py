"""The report in a real Chromium: what a person sees, types and hears of it."""

import os
import re
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from batchfsm import audit, write_report
from batchfsm.escapes import printable
from support.notation import seen, snap
from support.pages import HOSTILE, whole_log

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("BATCHFSM_CHROMIUM") or shutil.which("chromium")
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser():
    """Start Debian's Chromium, without a window and without a network."""
    driver = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install --group browser")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium, or say where with BATCHFSM_CHROMIUM")
    with driver.sync_playwright() as play:
        # Its own sandbox needs rights that root in a container lacks; the page is ours.
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return the report of a log that has everything, and more findings than are shown at once."""
    log = [*whole_log(), *(snap("v", id=f"noted{number}", expires_at=None) for number in range(300))]
    written = tmp_path_factory.mktemp("report") / "report.html"
    write_report(audit(log), written)
    return written


@pytest.fixture(params=THEMES)
def page(request, browser, path):
    """Open the report in one theme, and see that nothing went wrong on it until the test ends."""
    context = browser.new_context(color_scheme=request.param, offline=True, viewport={"width": 1280, "height": 900})
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda asked: said.append(asked.url) if asked.url != path.as_uri() else None)
    opened.goto(path.as_uri())
    yield opened
    context.close()
    assert [] == said


def rows(page):
    """Return the rows of findings that are shown, each as its cells."""
    return [row.locator("td").all_inner_texts() for row in page.locator("#rows tr:visible").all()]


def filtered(page, **chosen):
    """Choose in the filter, and return what the page says of it once it has answered."""
    for name, value in chosen.items():
        field = page.locator(f"#filter [name={name}]")
        (field.select_option if name in ("rule", "severity") else field.fill)(value)
    page.get_by_text("listed findings fit").wait_for()
    return page.locator("#shown").inner_text()


def test_a_page_opens_in_either_theme(page):
    """It opens from a disk without a word on the console, in the colours that the system asks for."""
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert ("rgb(20, 23, 26)" if is_dark else "rgb(255, 255, 255)") == paper
    assert "Audit of batches: inconsistent" == page.title()


def test_a_theme_can_be_chosen(page):
    """The theme follows the choice, in charts too."""
    for theme, ink in (("dark", "rgb(230, 233, 236)"), ("light", "rgb(31, 35, 40)")):
        page.locator("#theme").select_option(theme)

        assert ink == page.evaluate("getComputedStyle(document.querySelector('#dwell ~ .scroll svg text')).fill")


def test_the_filter(page):
    """Findings are filtered by rule, severity, batch and text, and the page says how many fit."""
    assert 200 == len(rows(page))
    assert filtered(page, rule="H502").startswith("1 of ")
    assert ["error", "H502", "left"] == rows(page)[0][:3]


def test_what_is_typed_is_searched_for(page):
    """Words are searched for wherever they stand, in capitals or not."""
    said = filtered(page, text="COMPLETED final")

    assert "H502" in {rule for _, rule, *_ in rows(page)}
    assert all("completed" in message and "final" in message for *_, message in rows(page))
    assert said.startswith(f"{len(rows(page))} of ")


def test_a_batch_is_searched_for(page):
    """A part of an id is enough."""
    filtered(page, batch="noted29")

    assert 11 == len(rows(page))


def test_severities_are_chosen(page):
    """Of a severity only its findings are shown; the reset shows all again."""
    filtered(page, severity="warning")
    assert {"warning"} == {severity for severity, *_ in rows(page)}

    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="Show more").wait_for()
    assert 200 == len(rows(page))


def test_more_is_shown_on_demand(page):
    """Beyond two hundred rows a button shows more."""
    page.get_by_role("button", name="Show more").click()

    assert 200 < len(rows(page))
    assert not page.get_by_role("button", name="Show more").is_visible()


def test_a_rule_leads_to_its_findings(page):
    """A rule in the table of rules, and on a timeline, filters the findings."""
    page.locator("table.rules a", has_text="H502").click()
    page.get_by_text("listed findings fit").wait_for()
    assert ["H502"] == [rule for _, rule, *_ in rows(page)]

    page.locator(".life", has_text="noted").first.locator("a.tag", has_text="P104").click()
    page.get_by_text("listed findings fit").wait_for()
    assert {"P104"} == {rule for _, rule, *_ in rows(page)}


def test_a_keyboard_is_enough(page):
    """The first stop skips to the content, and the filter is reached and used without a mouse."""
    page.keyboard.press("Tab")
    assert "Skip to the content" == page.evaluate("document.activeElement.textContent")

    page.locator("#filter [name=text]").focus()
    page.keyboard.type("final")
    page.get_by_text("listed findings fit").wait_for()
    page.keyboard.press("Tab")
    assert "Show all" == page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show more").wait_for()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_of_the_log_runs(hostile, page):
    """Whatever an id holds, it is text on the page, and has changed nothing."""
    assert printable(hostile) in page.locator("#rows").inner_text() + page.locator(".lives").first.inner_text()
    assert "Audit of batches: inconsistent" == page.title()
    assert 0 == page.locator("img").count()
    assert 1 == page.locator("h1").count()


def test_print(page):
    """On paper all that fits the filter is there, in dark ink, without what only a screen needs."""
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert 300 < page.locator("#rows tr:visible").count()
    assert 0 == page.locator("details:not([open])").count()
    assert not page.locator("#filter").is_visible()
    assert "rgb(0, 0, 0)" == page.evaluate("getComputedStyle(document.body).color")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert 200 == page.locator("#rows tr:visible").count()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_a_narrow_screen(page):
    """On a telephone the page itself does not scroll sideways."""
    page.set_viewport_size({"width": 375, "height": 800})

    assert 375 >= page.evaluate("document.documentElement.scrollWidth")


WIDTHS = (400, 800, 1600)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_rules_is_readable_at_any_width(width, page):
    """Nothing of it is cut off, and its rows have one height."""
    page.set_viewport_size({"width": width, "height": 900})
    shown = "[...document.querySelectorAll('.rules tbody :is(th, td)')].filter((each) => each.offsetWidth)"
    right = page.evaluate(f"Math.max(...{shown}.map((each) => each.getBoundingClientRect().right))")
    heights = page.evaluate("[...document.querySelectorAll('.rules tbody tr')].map((row) => row.offsetHeight)")

    assert right <= width
    assert max(heights) - min(heights) <= 1  # The head's border is as thick as two.
    assert width >= page.evaluate("document.documentElement.scrollWidth")


@pytest.mark.parametrize("width", WIDTHS)
def test_findings_are_readable_at_any_width(width, page):
    """On a narrow screen each is a block, not a row that is cut off."""
    page.set_viewport_size({"width": width, "height": 900})
    right = page.evaluate(
        "Math.max(...[...document.querySelectorAll('#rows td')].filter((each) => each.offsetWidth)"
        ".map((each) => each.getBoundingClientRect().right))"
    )

    assert right <= width


def test_labels_are_aligned(page):
    """Those of the filter by their foot and their height, those of a chart by one edge."""
    fields = page.evaluate(
        "[...document.querySelectorAll('#filter :is(select, input, button)')]"
        ".map((each) => each.getBoundingClientRect()).map(({ bottom, height }) => [bottom, height])"
    )
    edges = page.evaluate(
        "[...document.querySelectorAll('#dwell ~ .scroll svg text')].filter((each) => /^[a-z_]+$/.test(each.textContent))"
        ".map((each) => Math.round(each.getBoundingClientRect().right))"
    )

    assert 1 == len({tuple(map(round, field)) for field in fields})
    assert len(edges) > 1
    assert 1 == len(set(edges))


@pytest.fixture(scope="module")
def printed(browser, tmp_path_factory):
    """Print the report of 500 findings, some of them with long ids; return the PDF as bytes."""
    ids = [f"batch_{number:032x}" for number in range(50)]
    log = [row for batch_id in ids for row in seen("vpzcp", id=batch_id, created_at=int(batch_id[6:14], 16) or 1)]
    log += [snap("v", id=f"batch_{number:032x}", expires_at=None) for number in range(1000, 1250)]
    audited = audit(log, max_findings=500)
    assert 500 == len(audited.findings)
    written = tmp_path_factory.mktemp("printed") / "report.html"
    write_report(audited, written)
    page = browser.new_context(offline=True).new_page()
    page.goto(written.as_uri())
    found = page.pdf(format="A4")
    page.context.close()
    return found


def test_500_findings_are_printed_on_less_than_15_pages(printed):
    """Timelines are a selection there, and say so."""
    assert 15 > len(re.findall(rb"/Type\s*/Page\b", printed))


def test_no_heading_is_printed_alone(page):
    """Headings, summaries and heads of tables stay with what follows them."""
    page.emulate_media(media="print")
    kept = page.evaluate(
        "[...document.querySelectorAll('h2, h3, summary, caption, thead')].filter((each) => each.offsetHeight)"
        ".every((each) => getComputedStyle(each).breakAfter === 'avoid' || each.closest('.together, .verdict'))"
    )

    assert kept
    assert not page.locator("details.same").first.is_visible()
    assert page.get_by_text("On paper: the first 20 batches").is_visible()


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing(theme, browser, path):
    """axe-core finds nothing that would keep people out, in either theme, all details open."""
    axe = (files(pytest.importorskip("axe_playwright_python")) / "axe.min.js").read_text(encoding="utf-8")
    context = browser.new_context(color_scheme=theme, offline=True, bypass_csp=True)  # axe is a script of its own.
    page = context.new_page()
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    context.close()

    assert [] == [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found]


def test_without_scripts(browser, path):
    """Without scripts all findings are there, and no filter that would do nothing."""
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(Path(path).as_uri())
    shown = page.locator("#rows tr:visible").count()
    is_filter_shown = page.locator("#filter").is_visible()
    context.close()

    assert (False, True) == (is_filter_shown, shown > 300)
    assert re.search(r"All \d+ findings", path.read_text(encoding="utf-8"))
