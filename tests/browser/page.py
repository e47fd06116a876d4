"""What a reader does on a page with explorers, and what there is to see then."""

import time
from pathlib import Path

import psutil
from playwright.sync_api import Locator, Page

ROWS = ":is(.widget-dropdown, .widget-text, .widget-checkbox)"
PATIENCE = 45  # seconds; a tight machine is slow, a broken one never answers


def until(question, what: str):
    """Ask until the answer is true; a clear failure otherwise."""
    end = time.monotonic() + PATIENCE
    while not (answer := question()):
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.05)
    return answer


def kernels(address: str) -> list[psutil.Process]:
    """Of the dashboard that is served there."""
    port = f"--port={address.rpartition(':')[2]}"
    servers = (p for p in psutil.process_iter(["cmdline"]) if port in (p.info["cmdline"] or ()))
    return [kernel for server in servers for kernel in server.children(recursive=True)]


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
    """The encrypted one, which every control of the cipher changes."""
    return explorer.locator("img").nth(1).get_attribute("src")


def state(explorer: Locator) -> tuple[str, str]:
    """The pictures, and all words."""
    sources = explorer.locator("img").evaluate_all("all => all.map(image => image.src).join()")
    return sources, explorer.inner_text()


def alerts(explorer: Locator) -> list[str]:
    return explorer.locator("[role=alert]").all_text_contents()


def control(explorer: Locator, label: str) -> Locator:
    """The select, the field or the box of a name, as a screen reader finds it."""
    return explorer.get_by_label(label, exact=True)


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
    """One step with the keyboard: the next option, or the next number or the one before."""
    field = control(explorer, label)
    if field.evaluate("e => e.tagName") == "SELECT":
        count = field.locator("option").count()
        now = field.evaluate("e => e.selectedIndex")
        field.select_option(index=(now + 1) % count)
        return
    field.focus()
    field.press("ArrowDown" if field.input_value() == field.get_attribute("max") else "ArrowUp")


def labels(explorer: Locator) -> list[str]:
    """Of the controls that can be moved now."""
    rows = explorer.locator(ROWS).locator("visible=true").all()
    movable = [r for r in rows if r.locator(":is(select, input[type=number]):enabled").count()]
    return [row.locator("> label").inner_text() for row in movable]
