"""A saved chart in JupyterLab with no kernel and no network: menus, hover, legend, budget."""

import re

import nbformat
import pytest
from nbformat import v4

from lorakit.explore import committed_rows, results_chart

from .conftest import ROOT
from .page import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def saved(course):
    """A notebook with the chart as its output, for a kernel that is not there."""
    data, metadata = results_chart(committed_rows(ROOT))._repr_mimebundle_()
    output = v4.new_output("display_data", data=data, metadata=metadata)
    cell = v4.new_code_cell("results_chart(rows)", outputs=[output], execution_count=1)
    page = v4.new_notebook(cells=[cell])
    page.metadata.kernelspec = {"name": "none", "display_name": "none", "language": "python"}
    nbformat.write(page, course / "notebooks" / "saved.ipynb")
    return "notebooks/saved.ipynb"


@pytest.mark.parametrize("width", [1280, 420])
def test_the_chart_lives_without_a_kernel(lab, saved, browse, shots, width):
    page, errors = browse(f"{lab}/lab/tree/{saved}?reset", width)
    chart = page.locator(".jp-OutputArea .vega-embed")
    page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click()
    page.keyboard.press("Control+b")  # the file browser makes room
    chart.locator("svg").wait_for()
    svg = chart.locator("svg")
    page.screenshot(path=shots / f"saved_{width}.png")
    assert "lora+patch, r = 4" in svg.text_content()
    chart.locator("select[name=dataset]").select_option(index=1)
    chart.locator("select[name=against]").select_option("rank")
    until(lambda: "rank r of LoRA" in svg.text_content(), "the axis of ranks")
    chart.locator("input[name=budget]").fill("4")
    until(lambda: "at most 10,000 parameters" in svg.text_content(), "the budget")
    marks = svg.locator(".mark-symbol.role-mark path")
    marks.first.hover(force=True)
    hover = page.locator("#vg-tooltip-element")
    until(lambda: re.search("accuracy.*±", hover.inner_text(), re.S), "words on hover")
    before = marks.count()
    svg.locator(".role-legend-symbol path").first.click(force=True)
    until(lambda: marks.count() < before, "the legend to filter")
    page.screenshot(path=shots / f"saved_{width}_changed.png")
    assert not errors
