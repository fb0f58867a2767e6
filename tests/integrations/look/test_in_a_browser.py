"""The page in a real browser: nothing sticks out, nothing is asked for, pointing works."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from df_heads.integrations.look import look_at
from df_heads.integrations.runs import Run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

STICKS_OUT = """() => [...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
  .map(e => `${e.tagName}.${e.className}`)"""
BROKEN = "() => [...document.images].filter(i => !i.naturalWidth || i.alt.length < 9).length"


@pytest.fixture(scope="module")
def page(run: Run, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("df_heads.integrations.look.plane.find_spec", lambda _: None)
    found = look_at(run.path, shapes, out=tmp_path_factory.mktemp("page"))
    monkeypatch.undo()
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_answers(browser: Any, page: Path, width: int, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    tab = context.new_page()
    troubles: list[str] = []
    tab.on("console", lambda message: troubles.append(message.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on(
        "request",
        lambda request: (
            troubles.append(request.url[:80])
            if not request.url.startswith(("file:", "data:"))
            else None
        ),
    )
    tab.goto(page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate(STICKS_OUT) == []
    assert tab.evaluate(BROKEN) == 0
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(20, 22, 27)") == (scheme == "dark")

    cells = tab.query_selector(".cells")
    cells.scroll_into_view_if_needed()
    box = cells.bounding_box()
    tab.mouse.move(box["x"] + 1, box["y"] + box["height"] - 1)
    said = tab.inner_text(".said")
    assert said.startswith("Layer ")
    assert "(triangle) gives" in said
    assert "(circle). Evenly shared it would be 4.2\N{NO-BREAK SPACE}%." in said
    cells.focus()
    tab.keyboard.press("ArrowUp")
    assert tab.inner_text(".said") != said
    before = tab.get_attribute(".cells img", "src")
    other = tab.query_selector(".layers input:not(:checked)")
    other.evaluate("choice => choice.click()")
    assert tab.get_attribute(".cells img", "src") != before

    dot = tab.query_selector(".map circle")
    dot.scroll_into_view_if_needed()
    tab.wait_for_timeout(200)  # the scrolling hides the tip
    box = dot.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = tab.query_selector(".tip")
    assert tip.is_visible()
    assert ".png" in tip.inner_text()
    assert tip.bounding_box()["x"] + tip.bounding_box()["width"] <= width
    assert troubles == []
    context.close()
