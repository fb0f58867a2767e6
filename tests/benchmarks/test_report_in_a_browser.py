"""The report of this checkout in a real browser, on a phone and on a desk."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks import run_report
from df_heads.benchmarks.harness.plan.flags import run_script

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.slow,
]

# What is wider than the window and in nothing that scrolls.
STICKS_OUT = """() => [...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, nav, pre'))
  .map(e => `${e.tagName}.${e.className}`)"""
# Tables wider than their box without the shadow that says so.
UNSAID = """() => [...document.querySelectorAll('.scroll')]
  .filter(e => e.scrollWidth > e.clientWidth)
  .filter(e => !getComputedStyle(e).backgroundAttachment.includes('local'))
  .length"""
SCROLL = "() => [...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)"
BROKEN = """() => [...document.images]
  .filter(i => !i.naturalWidth || i.alt.length < 20 || i.alt.includes('.png'))
  .map(i => i.alt)"""
WIDER_THAN_DRAWN = """() => [...document.querySelectorAll('.gains')]
  .filter(e => e.scrollWidth > e.parentElement.clientWidth).length"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    flags = ["--out", str(folder / "RESULTS.md"), "--html", str(folder / "report.html")]
    assert run_script(run_report.main, flags) == 0
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def opened(browser: Any, page: Path, width: int, scheme: str = "light") -> Any:
    """A tab with the page, every fold of it open."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    return tab


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits(browser: Any, page: Path, width: int) -> None:
    tab = opened(browser, page, width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate(STICKS_OUT) == []
    assert tab.evaluate(BROKEN) == []
    assert tab.evaluate(SCROLL)  # so that the next line looks at something
    assert tab.evaluate(UNSAID) == 0
    assert tab.evaluate(WIDER_THAN_DRAWN) == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_the_contents_stay_in_sight(browser: Any, page: Path, width: int) -> None:
    tab = opened(browser, page, width)
    tab.evaluate("document.getElementById('not-run').scrollIntoView()")
    assert tab.evaluate("scrollY") > 1000
    contents = tab.query_selector("nav").bounding_box()
    heading = tab.query_selector("#not-run").bounding_box()
    assert contents["y"] == pytest.approx(0, abs=1)
    beside, below = contents["x"] + contents["width"], contents["y"] + contents["height"]
    assert heading["x"] >= beside if width > 1000 else heading["y"] >= below


def test_a_gain_is_drawn_where_its_number_says(browser: Any, page: Path) -> None:
    tab = opened(browser, page, 1280)
    for row in tab.query_selector_all(".gains tbody tr:not(.name)"):
        gain = float(row.query_selector("strong").inner_text())
        dot = row.query_selector("circle").bounding_box()
        zero = row.query_selector(".zero").bounding_box()
        right_of_zero = dot["x"] + dot["width"] / 2 - zero["x"]
        assert gain * right_of_zero >= 0 or abs(gain) < 0.05
        title = row.query_selector("title").evaluate("e => e.textContent")
        assert f": {gain:+.2f} points" in title


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_serious_fault(browser: Any, page: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="there is no axe")
    found = axe.Axe().run(opened(browser, page, width, scheme)).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []
