"""The dashboard through Voilà, as wide as a laptop and as narrow as a phone."""

import itertools
import time

import pytest
from axe_playwright_python.sync_playwright import Axe

from .page import ROWS, alerts, kernels, labels, move, state, until, upload_too_much

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CHARTS = {  # a menu, an option, and what is to be read then
    "Results": ("against", "rank r of LoRA", "rank r of LoRA"),
    "Rank": ("backbone", "vit_micro", "vit_micro, rank 4"),
    "Privacy": ("epochs", "100", "100 epochs"),
}
MOVED = {"Cipher": "block size", "Attack": "attack", "Train": "method"}


@pytest.mark.parametrize("width", [1280, 420])
def test_every_tab_is_readable_and_answers(voila, browse, shots, width):
    page, errors = browse(voila, width)
    page.get_by_role("tab", name="Train").wait_for(timeout=120_000)
    for tab, (menu, option, words) in CHARTS.items():
        page.get_by_role("tab", name=tab).click()
        chart = page.locator(".vega-embed:visible").first
        until(lambda c=chart: c.locator("svg").count(), f"the chart of {tab}")
        page.screenshot(path=shots / f"dashboard_{tab.lower()}_{width}_default.png", full_page=True)
        box = chart.locator("svg").bounding_box()
        assert box["width"] >= min(400, 0.65 * width) and box["x"] + box["width"] <= width
        chart.locator(f"select[name={menu}]").select_option(label=option)
        until(lambda c=chart, w=words: w in c.locator("svg").text_content(), f"words of {tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=shots / f"dashboard_{tab.lower()}_{width}_changed.png", full_page=True)
    for tab in MOVED:
        page.get_by_role("tab", name=tab).click()
        explorer = page.locator(".lorakit-explorer:visible").first
        shown = explorer.locator(".lorakit-picture")
        until(lambda e=explorer: e.get_by_role("img").count(), f"the picture of {tab}")
        time.sleep(0.3)
        page.screenshot(path=shots / f"dashboard_{tab.lower()}_{width}_default.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = shown.bounding_box()
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


def test_axe_finds_nothing_serious_in_any_tab(voila, browse):
    """Names, roles, contrast: what axe-core (Deque) calls serious or critical."""
    page, _ = browse(voila)
    page.get_by_role("tab", name="Train").wait_for(timeout=120_000)
    found = []
    for tab in (*CHARTS, *MOVED):
        page.get_by_role("tab", name=tab).click()
        shown = ".vega-embed svg" if tab in CHARTS else ".lorakit-explorer [role=img], img"
        until(lambda s=shown: page.locator(s).locator("visible=true").count(), f"the {tab}")
        time.sleep(0.3)
        for problem in Axe().run(page).response["violations"]:
            if problem["impact"] in ("serious", "critical"):
                nodes = [node["html"][:160] for node in problem["nodes"][:3]]
                found.append((tab, problem["id"], problem["help"], nodes))
    assert not found, "\n".join(map(str, found))


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


def test_a_dead_kernel_is_told(voila, browse, shots):
    """And a living one is not called dead, however long one looks."""
    page, _ = browse(voila)
    page.get_by_role("tab", name="Cipher").click(timeout=120_000)
    words = page.get_by_text("does not answer").locator("visible=true")
    page.locator(".lorakit-explorer img").first.wait_for()
    time.sleep(20)
    assert not words.count()
    for kernel in kernels(voila):
        kernel.kill()
    until(words.count, "the words")
    page.screenshot(path=shots / "dashboard_dead.png")
    page.get_by_role("link", name="reload the page").first.click()
    page.get_by_role("tab", name="Cipher").click(timeout=120_000)
    page.locator(".lorakit-explorer img").first.wait_for()
    assert not words.count()
