"""The dashboard through Voilà, as wide as a laptop and as narrow as a phone."""

import itertools
import sys
import time

import pytest

from .conftest import free_port, serve
from .page import ROWS, alerts, labels, move, state, until, upload_too_much

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TABS = ("Results", "Rank", "Cipher", "Privacy", "Attack", "Train")
MOVED = {"Rank": "rank r", "Cipher": "block size", "Privacy": "epsilon ε",
         "Attack": "attack", "Train": "method"}  # fmt: skip


@pytest.fixture(scope="module")
def voila(course, tmp_path_factory):
    """The README's command, and the address it serves."""
    port = free_port()
    command = [sys.executable, "-m", "lorakit.explore", f"--port={port}", "--no-browser"]
    log = tmp_path_factory.mktemp("voila") / "log"
    with serve(command, port, course, log):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("width", [1280, 420])
def test_every_tab_is_readable_and_answers(voila, browse, shots, width):
    page, errors = browse(voila, width)
    page.get_by_role("tab", name="Train").wait_for(timeout=120_000)
    chart = page.locator(".vega-embed")
    until(lambda: chart.locator("svg").count(), "the results chart")
    page.screenshot(path=shots / f"dashboard_results_{width}_default.png", full_page=True)
    chart.locator("select[name=against]").select_option("rank")
    until(lambda: "rank r of LoRA" in chart.locator("svg").text_content(), "its other axis")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for tab in TABS[1:]:
        page.get_by_role("tab", name=tab).click()
        explorer = page.locator(".lorakit-explorer:visible").first
        image = explorer.locator("img")
        until(lambda i=image: i.count() and i.bounding_box(), f"the picture of {tab}")
        time.sleep(0.3)
        page.screenshot(path=shots / f"dashboard_{tab.lower()}_{width}_default.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = image.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert box["width"] >= min(500, 0.8 * width)
        boxes = [b for row in explorer.locator(ROWS).all() if (b := row.bounding_box())]
        for above, below in itertools.pairwise(boxes):
            assert above["y"] + above["height"] <= below["y"] + 1
        apart = box["x"] >= max(b["x"] + b["width"] for b in boxes) - 1
        assert apart or box["y"] + box["height"] <= boxes[0]["y"] + 1  # on a phone it comes first
        before = state(explorer)
        assert MOVED[tab] in labels(explorer)
        move(explorer, MOVED[tab])
        until(lambda e=explorer, b=before: state(e) != b, f"an answer in {tab}")
        assert not alerts(explorer)
        time.sleep(1)
        page.screenshot(path=shots / f"dashboard_{tab.lower()}_{width}_changed.png", full_page=True)
    # Voilà loads all lab extensions, and says so of one that shares a module with JupyterLab only
    assert not [error for error in errors if "shared module" not in error]


EARLY = """(() => {
  const look = new MutationObserver(() => {
    const tab = [...document.querySelectorAll("[role=tab]")].find(t => t.textContent == "Cipher");
    if (!tab) return;
    look.disconnect();
    window.charts = document.querySelectorAll(".vega-embed svg").length;
    const {x, y} = tab.getBoundingClientRect();
    const where = {bubbles: true, button: 0, clientX: x + 5, clientY: y + 5};
    for (const event of ["pointerdown", "mousedown", "pointerup", "mouseup", "click"])
      tab.dispatchEvent(new MouseEvent(event, where));
  });
  const all = {subtree: true, childList: true};
  addEventListener("DOMContentLoaded", () => look.observe(document.body, all));
})()"""


def test_a_tab_clicked_before_the_chart_is_drawn_does_not_stop_the_page(voila, browse):
    """Vega, drawing where there is no width, never came to an end."""
    page, _ = browse(voila, script=EARLY)
    page.get_by_role("tab", name="Cipher").wait_for(timeout=120_000)
    until(lambda: page.locator(".vega-embed svg").count(), "the chart, behind the tab")
    assert page.evaluate("window.charts") == 0  # it was early
    explorer = page.locator(".lorakit-explorer:visible").first
    before = state(explorer)
    move(explorer, MOVED["Cipher"])
    until(lambda: state(explorer) != before, "an answer")


def test_an_upload_above_the_limit_is_refused_in_words(voila, browse, tmp_path):
    page, _ = browse(voila)
    page.get_by_role("tab", name="Cipher").click(timeout=120_000)
    upload_too_much(page, page.locator(".lorakit-explorer:visible").first, tmp_path)
