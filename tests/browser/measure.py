"""How fast every control of every explorer answers, on the real page.

    python -m pytest -n 0 tests/browser/measure.py

From a control's event to the picture that is painted anew, as the browser's clock says; also when
the page shows what, and what 500 moves leave in the kernel's memory. Writes
figures/results/explorers.csv; takes seven minutes, on a machine with nothing else to do.
"""

import time

import pandas as pd
import torch

from lorakit.runtime import device_name, versions

from .conftest import ROOT
from .page import choose, kernels

OUT = ROOT / "figures" / "results" / "explorers.csv"
MOVES = 30  # of each control
TABS = ("Results", "Rank", "Privacy", "Cipher", "Attack", "Attack, jigsaw", "Train")
FIELDS = "select, input[type=number], input[type=checkbox], input[type=range], input[type=radio]"
MOVE = """async (field, turns) => {
  const panel = field.closest(".lorakit-explorer, .vega-embed");
  const shown = panel.querySelector(".lorakit-picture, svg.marks");
  const pause = ms => new Promise(done => setTimeout(done, ms)), took = [], was = field.value;
  const tell = () => {
    for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, {bubbles: true}));
  };
  for (let i = 0; i < turns; i++) {
    let drawn = false;
    const look = new MutationObserver(() => { drawn = true; });
    look.observe(shown, {subtree: true, childList: true, attributes: true, characterData: true});
    const start = performance.now();
    if (field.type == "checkbox") field.click();
    else {
      if (field.tagName == "SELECT") field.selectedIndex = (field.selectedIndex + 1) % field.length;
      else {
        const before = field.value, steps = (field.max - field.min) / (field.step || 1);
        field.stepUp(field.type == "range" ? Math.ceil(steps / turns) : 1);
        if (field.value == before) field.value = field.min;
      }
      tell();
    }
    while (!drawn && performance.now() - start < 2000)
      await new Promise(requestAnimationFrame);
    if (drawn) took.push(performance.now() - start);
    await pause(150);
    look.disconnect();
  }
  if (field.type != "checkbox") { field.value = was; tell(); }
  await pause(500);
  return took;
}"""


def test_measure(voila, browse):
    start = time.perf_counter()
    page, _ = browse(voila)
    ready, lines = {}, []
    page.locator(".vega-embed svg").first.wait_for(timeout=120_000)
    ready["first chart"] = time.perf_counter() - start
    page.get_by_role("tab", name="Train").click()
    page.locator(".lorakit-explorer:visible").first.wait_for(timeout=120_000)
    ready["every tab"] = time.perf_counter() - start
    (kernel,) = kernels(voila)
    for tab in TABS:
        page.get_by_role("tab", name=tab.split(",")[0]).click()
        panel = page.locator(".lorakit-explorer, .vega-embed").locator("visible=true").first
        page.wait_for_timeout(1000)
        if "jigsaw" in tab:
            choose(panel, "attack", "jigsaw, no picture known")
            page.wait_for_timeout(1000)
        for field in panel.locator(FIELDS).element_handles():
            name = field.get_attribute("name") or field.evaluate("e => e.labels[0].innerText")
            if not field.is_visible() or (tab != "Attack" and name == "attack"):
                continue
            took = pd.Series(field.evaluate(MOVE, MOVES)[1:])  # the first fills caches
            if len(took):
                middle, slow = round(took.median()), round(took.quantile(0.95))
                lines.append((tab, name, len(took), middle, slow))
    left = memory(page, kernel)
    table = pd.DataFrame(lines, columns=["explorer", "control", "moves", "median_ms", "p95_ms"])
    for what, seconds in ready.items():
        table.loc[len(table)] = ("page", what, 1, round(1000 * seconds), round(1000 * seconds))
    table = table.assign(memory_mb_after_500=round(left, 1),
                         device=device_name(torch.device("cpu")), versions=versions())  # fmt: skip
    table.to_csv(OUT, index=False)
    print(table.drop(columns=["device", "versions"]).to_string(index=False))


def memory(page, kernel) -> float:
    """Megabytes that 500 moves leave in the kernel, after a hundred to warm up."""
    page.get_by_role("tab", name="Cipher").click()
    panel = page.locator(".lorakit-explorer").locator("visible=true").first
    field = panel.get_by_label("key number", exact=True)
    used = []
    for turns in (100, 500):
        field.evaluate(MOVE, turns)
        used.append(kernel.memory_info().rss / 2**20)
    return used[1] - used[0]
