"""Saved charts in JupyterLab with no kernel and no network: menus, hover, legend, sliders."""

import json
import re
import statistics

import nbformat
import pytest
from nbformat import v4

from lorakit.explore import (
    committed_rows,
    privacy_chart,
    rank_chart,
    results_chart,
    spectrum_chart,
)

from .conftest import ROOT
from .page import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MAKERS = {
    "results": lambda: results_chart(committed_rows(ROOT)),
    "rank": rank_chart,
    "spectrum": spectrum_chart,
    "privacy": privacy_chart,
}
SLIDERS = {"results": "budget", "rank": "rank", "spectrum": "first", "privacy": "noise"}
HOVERS = {
    "results": r"accuracy.*±",
    "rank": r"trainable.*share.*%",
    "spectrum": r"block.*value",
    "privacy": r"outsiders accused.*%.*members found",
}
MOVE = """async chart => {
  const slider = chart.querySelector("input[type=range]"), svg = chart.querySelector("svg");
  const took = [], places = Math.round((slider.max - slider.min) / slider.step);
  slider.value = slider.max;
  for (let i = 1; i < Math.min(places, 15); i++) {
    slider.stepDown(Math.max(1, Math.floor(places / 15)));
    const drawn = new Promise(done => new MutationObserver(done).observe(
      svg, {subtree: true, childList: true, attributes: true, characterData: true}));
    const start = performance.now();
    slider.dispatchEvent(new Event("input"));
    await drawn;
    took.push(performance.now() - start);
  }
  return took;
}"""
OUTSIDE = """chart => [...chart.querySelectorAll("svg text, select, input, .vega-bind span")]
  .filter(e => e.getBoundingClientRect().right > innerWidth - 50)
  .map(e => e.textContent || e.name)"""
SMALL = """chart => [...chart.querySelectorAll("text, label *")]
  .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.textContent)"""


@pytest.fixture(scope="module")
def saved(course):
    """A notebook for each chart, as its output, for a kernel that is not there."""
    for name, make in MAKERS.items():
        data, metadata = make()._repr_mimebundle_()
        output = v4.new_output("display_data", data=data, metadata=metadata)
        cell = v4.new_code_cell("chart", outputs=[output], execution_count=1)
        page = v4.new_notebook(cells=[cell])
        page.metadata.kernelspec = {"name": "none", "display_name": "none", "language": "python"}
        nbformat.write(page, course / "notebooks" / f"saved_{name}.ipynb")
    return "notebooks/saved_{}.ipynb"


@pytest.fixture
def opened(lab, saved, browse):
    """Open one of them: the page, the chart, and what the console called an error."""

    def open_chart(name: str, width: int):
        page, errors = browse(f"{lab}/lab/tree/{saved.format(name)}?reset", width)
        page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click()
        page.keyboard.press("Control+b")  # the file browser makes room
        chart = page.locator(".jp-OutputArea .vega-embed")
        chart.locator("svg").wait_for()
        return page, chart, errors

    return open_chart


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("name", MAKERS)
def test_a_chart_lives_without_a_kernel(opened, shots, name, width):
    """Hover, a slider that answers at once, type that can be read, nothing cut off."""
    page, chart, errors = opened(name, width)
    page.screenshot(path=shots / f"saved_{name}_{width}.png")
    assert not chart.evaluate(SMALL)
    assert width > 420 or not chart.evaluate(OUTSIDE)
    marks = chart.locator("svg .mark-symbol.role-mark path")
    hover = page.locator("#vg-tooltip-element")
    for place in (0, -1):
        marks.nth(place).hover(force=True)
        if hover.count() and re.search(HOVERS[name], hover.inner_text(), re.S):
            break
    until(lambda: re.search(HOVERS[name], hover.inner_text(), re.S), "words on hover")
    slider = chart.get_by_label(re.compile("."), exact=False).locator("visible=true").last
    assert slider.get_attribute("name") == SLIDERS[name]  # it has an accessible name
    took = chart.evaluate(MOVE)
    print(json.dumps({name: [round(statistics.median(took)), round(max(took))]}))
    assert statistics.median(took) < 150
    page.screenshot(path=shots / f"saved_{name}_{width}_changed.png")
    assert not errors


def test_the_menus_and_the_legend_of_the_results(opened):
    _, chart, errors = opened("results", 1280)
    svg = chart.locator("svg")
    assert "lora, r = 4 on proj+fc1+fc2" in svg.text_content()
    legend = svg.locator(".role-legend-label text")
    assert legend.all_text_contents() == ["patch", "lora", "lora+patch", "full"]  # what is there
    menu = chart.locator("select[name=dataset]")
    names = [name for name in menu.locator("option").all_text_contents() if " 4,000 images" in name]
    menu.select_option(label=next(name for name in names if "painted" not in name))
    chart.locator("select[name=against]").select_option("rank")
    until(lambda: "rank r of LoRA" in svg.text_content(), "the axis of ranks")
    chart.locator("input[name=budget]").fill("4")
    until(lambda: "at most 10,000 parameters" in svg.text_content(), "the budget")
    assert not chart.locator("[name=budget] + span").is_visible()  # the number 4
    assert "bitfit" in legend.all_text_contents()
    marks = svg.locator(".mark-symbol.role-mark path")
    before = marks.count()
    svg.locator(".role-legend-symbol path").first.click(force=True)
    until(lambda: marks.count() < before, "the legend to filter")
    assert not errors
