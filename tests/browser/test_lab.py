"""The explorers in a real JupyterLab: every control moved, a training run and stopped."""

import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from .page import (
    alerts,
    choose,
    control,
    labels,
    move,
    open_explorers,
    picture,
    run_all,
    state,
    until,
    upload,
    upload_too_much,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMES = ("cipher", "attack", "train")
SILENT = {("attack", "effort: starts")}


@pytest.fixture(scope="module")
def lesson(chromium, lab):
    """Lesson 09, run from top to bottom: its page, its explorers by name, console errors."""
    page = chromium.new_page(viewport={"width": 1280, "height": 1300})
    page.route(lambda url: not url.startswith(lab), lambda route: route.fulfill(body=""))
    errors: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(60_000)
    page.goto(f"{lab}/lab/tree/notebooks/09_explore.ipynb?reset")
    run_all(page)
    until(lambda: len(open_explorers(page)) == len(NAMES), "all explorers")
    yield page, dict(zip(NAMES, open_explorers(page))), errors
    page.close()


def shoot(explorer, path):
    explorer.scroll_into_view_if_needed()
    time.sleep(0.3)
    explorer.screenshot(path=path)


def test_the_lesson_runs_without_an_error(lesson):
    page, explorers, errors = lesson
    failed = '[data-mime-type="application/vnd.jupyter.error"]'
    assert page.locator(failed).count() == 0
    assert not errors
    for name, explorer in explorers.items():
        assert explorer.get_by_role("img").first.is_visible(), name
        assert not alerts(explorer), name


@pytest.mark.parametrize("name", NAMES)
def test_every_control_changes_what_the_page_shows(lesson, shots, name):
    _, explorers, errors = lesson
    explorer = explorers[name]
    shoot(explorer, shots / f"lab_{name}_default.png")
    todo, moved = labels(explorer), set()
    while todo:
        label = todo.pop(0)
        if label not in labels(explorer):  # switched off by a move before
            continue
        before = state(explorer)
        move(explorer, label)
        moved.add(label)
        if (name, label) not in SILENT:
            until(lambda b=before: state(explorer) != b, f"an answer to {label!r} of {name}")
        assert not alerts(explorer), (name, label)
        todo += [more for more in labels(explorer) if more not in moved and more not in todo]
    shoot(explorer, shots / f"lab_{name}_changed.png")
    for box in explorer.locator(".widget-checkbox input").all():
        before = state(explorer)
        box.click()
        until(lambda b=before: state(explorer) != b, f"an answer to a box of {name}")
    assert moved and not errors


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_serious_in_either_theme(lesson, shots, theme):
    """Names, roles, contrast of explorers and charts; the rest of the page is JupyterLab's."""
    page, explorers, _ = lesson
    change = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
    page.evaluate(change, theme)
    until(lambda: page.evaluate("document.body.dataset.jpThemeName") == theme, theme)
    time.sleep(1)
    for name, explorer in explorers.items():
        shoot(explorer, shots / f"lab_{name}_{theme[11:].lower()}.png")
    for chart in page.locator(".vega-embed").all():
        shoot(chart, shots / f"lab_chart_{theme[11:].lower()}_{time.monotonic_ns()}.png")
    context = {"include": [[".lorakit-explorer"], [".vega-embed"]]}
    found = Axe().run(page, context=context).response["violations"]
    serious = [(p["id"], [n["html"][:160] for n in p["nodes"]])
               for p in found if p["impact"] in ("serious", "critical")]  # fmt: skip
    assert not serious, serious


def test_every_control_has_a_name_that_a_screen_reader_finds(lesson):
    page, explorers, _ = lesson
    for explorer in [*explorers.values(), *page.locator(".vega-embed").all()]:
        fields = explorer.locator(":is(input, select):visible")
        names = fields.evaluate_all("all => all.map(e => e.labels[0]?.innerText.trim() || e.title)")
        assert names and all(names), names
        assert not explorer.locator("[role=slider]:not([aria-label])").count()


def test_an_uploaded_picture_is_encrypted_and_a_broken_one_refused(lesson, tmp_path):
    page, explorers, errors = lesson
    cipher = explorers["cipher"]
    good, bad = tmp_path / "mine.png", tmp_path / "broken.png"
    Image.radial_gradient("L").resize((200, 120)).save(good)
    bad.write_bytes(b"not a picture")
    before = picture(cipher)

    upload(page, cipher, good)
    until(lambda: picture(cipher) != before, "the uploaded picture")
    assert control(cipher, "picture").evaluate("e => e.value") == "mine.png"
    upload(page, cipher, bad)
    until(lambda: alerts(cipher), "an alert")
    assert "broken.png: not a picture" in alerts(cipher)[0] and "<" not in alerts(cipher)[0]
    upload_too_much(page, cipher, tmp_path)
    assert not errors


def test_train_and_stop(lesson, course, shots):
    page, explorers, errors = lesson
    live, results = explorers["train"], page.locator(".vega-embed").first
    choose(live, "data set", "handwritten digits (real)")
    until(lambda: "1097" in control(live, "images").inner_text(), "the sizes of digits")
    choose(live, "images", "100")
    choose(live, "method", "probe")
    choose(live, "cipher", "plain")
    choose(live, "privacy", "none")
    until(lambda: "probe, 100 images" in live.inner_text(), "the sentence to follow")
    live.get_by_role("button", name="Train").click()
    until(lambda: "Finished" in live.inner_text(), "the training to finish")
    until(lambda: "yours, probe" in results.text_content(), "a star in the results")
    chosen = results.locator("select[name=dataset]").evaluate("e => e.value")
    assert chosen == "handwritten digits, 100 images, vit_micro"
    shoot(live, shots / "lab_train_finished.png")
    shoot(results, shots / "lab_results_star.png")
    choose(live, "images", "1097")
    choose(live, "method", "full")
    until(lambda: "full, 1,097 images" in live.inner_text(), "the sentence to follow")
    live.get_by_role("button", name="Train").click()
    until(lambda: " left" in live.inner_text(), "the first steps")
    assert control(live, "method").is_disabled()  # a long training: it is still under way
    still = state(explorers["cipher"])
    move(explorers["cipher"], "block size")
    until(lambda: state(explorers["cipher"]) != still, "an answer while it trains")
    live.get_by_role("button", name="Stop").click()
    until(lambda: "Stopped after step" in live.inner_text(), "the training to stop")
    until(lambda: live.get_by_role("button", name="Train").is_enabled(), "a next training")
    assert not alerts(live) and not errors
