"""What a reader does on a page with explorers, and what there is to see then."""

import time
from pathlib import Path

from playwright.sync_api import Locator, Page

ROWS = ":is(.widget-dropdown, .widget-slider, .widget-hslider, .widget-checkbox)"
PATIENCE = 45  # seconds; a tight machine is slow, a broken one never answers


def until(question, what: str):
    """Ask until the answer is true; a clear failure otherwise."""
    end = time.monotonic() + PATIENCE
    while not (answer := question()):
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.05)
    return answer


def open_explorers(page: Page) -> list[Locator]:
    every = page.locator(".lorakit-explorer")
    return [every.nth(i) for i in range(every.count())]


def run_all(page: Page) -> None:
    """Open the menu Run, choose Run All Cells, and wait until every cell has a number."""
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text("(ipykernel) | Idle").wait_for()  # in the status bar
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def prompts() -> list[str]:
        shown = ".jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)"  # not the folded ones
        texts = page.locator(shown).all_text_contents()
        return [text.strip("[]: ") for text in texts]

    end = time.monotonic() + 300
    while not all(prompt.isdigit() for prompt in prompts()):
        assert time.monotonic() < end, prompts()
        time.sleep(0.3)


def picture(explorer: Locator) -> str:
    return explorer.locator("img").first.get_attribute("src")


def state(explorer: Locator) -> tuple[str, str]:
    """The picture, and all words."""
    images = explorer.locator("img")
    return (picture(explorer) if images.count() else "", explorer.inner_text())


def alerts(explorer: Locator) -> list[str]:
    return explorer.locator("[role=alert]").all_text_contents()


def control(explorer: Locator, label: str) -> Locator:
    """The select, the slider's handle or the box beside a label."""
    row = explorer.locator(f'.widget-inline-hbox:has(> label:text-is("{label}"))')
    return row.locator("select, .noUi-handle, input[type=checkbox]").first


def choose(explorer: Locator, label: str, option: str) -> None:
    control(explorer, label).select_option(label=option)


def upload(page: Page, explorer: Locator, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        explorer.get_by_role("button", name="Your own picture").click()
    chooser.value.set_files(path)


def upload_too_much(page: Page, cipher: Locator, folder: Path) -> None:
    """A picture above the explorer's limit, and above the 10 MiB that Jupyter allows untold."""
    path = folder / "large.png"
    path.write_bytes(bytes(12_000_000))
    upload(page, cipher, path)
    words = "large.png: 12,000,000 bytes; allowed: 8,000,000"
    until(lambda: words in "".join(alerts(cipher)), "the alert")


def move(explorer: Locator, label: str) -> None:
    """One step with the keyboard: the next option, or the slider to the other side."""
    knob = control(explorer, label)
    if knob.evaluate("e => e.tagName") == "SELECT":
        count = knob.locator("option").count()
        now = knob.evaluate("e => e.selectedIndex")
        knob.select_option(index=(now + 1) % count)
        return
    at, most = (float(knob.get_attribute(f"aria-value{n}")) for n in ("now", "max"))
    knob.focus()
    knob.press("ArrowLeft" if at >= most else "ArrowRight")


def labels(explorer: Locator) -> list[str]:
    """Of the controls that can be moved now."""
    found = []
    for row in explorer.locator(ROWS).locator("visible=true").all():
        slider = row.locator(".noUi-target")
        select = row.locator("select:not([multiple]):not([disabled])")
        movable = select.count() or (slider.count() and slider.get_attribute("disabled") is None)
        if movable:
            found.append(row.locator("> label").inner_text())
    return found
