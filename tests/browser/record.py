"""Record the picture of the README from the real page, while its controls move.

    python -m pytest -n 0 tests/browser/record.py

Writes figures/explorer.png, an animation; takes a minute.
"""

import io

import numpy as np
from PIL import Image

from .conftest import ROOT

OUT = ROOT / "figures" / "explorer.png"
MOVES = {  # tab: a control, and where it stops
    "Results": ("budget", [5, 4.8, 4.6, 4.5, 4.4, 4.3, 4.2, 4.4, 4.6, 5, 5.6, 6.1]),
    "Cipher": ("block size", [32, 16, 8, 4, 2, 4, 8]),
    "Privacy": ("noise", [0.6, 1, 1.4, 1.8, 2.2, 2.6, 3, 3.4, 3.8, 4.2, 4.6, 5]),
    "Rank": ("rank", [1, 2, 4, 6, 9, 13, 18, 24, 32, 42, 54, 64]),
}
MOVE = """(field, to) => {
  const place = [...field.options || []].findIndex(option => option.text == to);
  if (place < 0) field.value = to; else field.selectedIndex = place;
  for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, {bubbles: true}));
}"""
PAUSE = 350  # milliseconds from one picture to the next


def test_record(voila, browse):
    page, _ = browse(voila, 820, 760)
    page.get_by_role("tab", name="Train").wait_for(timeout=120_000)
    taken = []
    for tab, (name, values) in MOVES.items():
        page.get_by_role("tab", name=tab).click()
        in_chart = page.locator(f".vega-embed:visible input[name='{name}']")
        control = in_chart.or_(page.get_by_label(name, exact=True).locator("visible=true")).first
        control.wait_for()
        for value in values:
            control.evaluate(MOVE, str(value))
            page.wait_for_timeout(300)
            taken.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    strip = np.concatenate(taken[:: len(values) // 2])  # an animated PNG has one palette
    palette = Image.fromarray(strip).quantize(128)
    first, *rest = (image.quantize(palette=palette, dither=0) for image in taken)
    first.save(OUT, save_all=True, append_images=rest, duration=PAUSE, loop=0)
    assert OUT.stat().st_size <= 2_000_000
