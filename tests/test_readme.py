"""README and the pages beside it: short, with links that lead somewhere, and code that runs."""

import re
from pathlib import Path

import torch

from lorakit import apply_method, count_parameters, create_backbone
from lorakit.lora.vit import METHODS

ROOT = Path(__file__).resolve().parent.parent
TEXT, FOUND = ((ROOT / name).read_text() for name in ("README.md", "figures/findings.md"))


def test_it_is_short_and_every_link_leads_somewhere():
    assert len(TEXT.splitlines()) <= 150
    for page in (*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.md"), *ROOT.glob("figures/*.md")):
        for path in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / path).exists(), path


def test_the_rooms_are_those_of_the_package():
    rooms = {p.parent.name + "/" for p in (ROOT / "lorakit").glob("*/__init__.py")}
    first = re.findall(r"^\| (`.*?) \|", TEXT.split("room of `lorakit/`")[1], re.M)
    named = re.findall(r"`(\w+(?:/|\.py))`", " ".join(first))
    assert set(named) == rooms | {"runtime.py", "checks.py"} | {
        "notebooks/",
        "figures/",
        "tests/",
        "binder/",
    }


def test_the_ten_lines_run(capsys):
    code = re.search(r"```python\n(.*?)```", TEXT, re.S)[1]
    assert code.count("epochs=10") == 1
    exec(code.replace("epochs=10", "epochs=1"), {})
    assert "lora" in capsys.readouterr().out


def test_the_cheat_sheets_shares_are_those_of_vit_b16():
    sheet = (ROOT / "notebooks" / "cheat_sheet.md").read_text()
    with torch.device("meta"):
        total = None
        for method in ("full", *(m for m in METHODS if m != "full")):
            model = create_backbone("vit_base_patch16_224", 10, pretrained=False)
            lora = {"rank": 4} if method.startswith("lora") else {}
            counts = count_parameters(apply_method(model, method, **lora))
            total = total or counts["total"]
            (line,) = [row for row in sheet.splitlines() if row.startswith(f"| `{method}`")]
            share = 100 * counts["trainable"] / total
            assert line.rstrip(" |").endswith(f"{share:.2f} %" if share < 100 else "100 %")


def test_its_findings_are_those_of_the_page_in_full():
    """The lines of its table; and no decimal that the page in full lacks."""
    mine = TEXT.split("Does it work?")[1].split("## Two commands")[0]
    mine += TEXT.split("## What was found")[1].split("## In ten lines")[0]
    lines = [line for line in mine.splitlines() if line.startswith("| ") and " clothes" in line]
    assert len(lines) == 4 and set(lines) <= set(FOUND.splitlines())
    numbers = [set(re.findall(r"\d+\.\d+", page)) for page in (mine, FOUND)]
    assert len(numbers[0]) > 30 and numbers[0] <= numbers[1]
