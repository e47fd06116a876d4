"""From a lesson's text to its notebook: frame, set-up and links around what its author wrote.

A source in ``source/`` is jupytext percent text. Its header holds, under ``lorakit``, the title,
what one learns and what is needed before; ``measured.json`` holds what the last build measured.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import quote

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

HERE = Path(__file__).resolve().parent
MEASURED = HERE / "measured.json"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- course: written by notebooks/build.py -->", "<!-- end of course -->"
TITLE = "# @title "  # of a folded cell; both JupyterLab and Colab show this line
PLACEHOLDER = "https://github.com/OWNER/"


def repository() -> str:
    """The course's address: that of git's remote, if it is on GitHub, or pyproject's."""
    git = ["git", "-C", str(HERE), "remote", "get-url", "origin"]
    remote = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    if found := re.fullmatch(
        r"(?:https://|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?", remote
    ):
        return f"https://github.com/{found[1]}"
    project = (HERE.parent / "pyproject.toml").read_text()
    return re.search(r'^Repository = "(.+?)"', project, re.M)[1]


REPOSITORY = repository()

SETUP = """\
# @title Set-up: find the course here, or fetch it (on Colab)
import subprocess
import sys
from pathlib import Path

here = Path.cwd()
places = [here, *here.parents, here / "lorakit-course"]
root = next((p for p in places if (p / "notebooks" / "exercises").is_dir()), None)
if root is None:
    FETCH
sys.path[:0] = [str(root), str(root / "notebooks")]  # the package; the exercises' checks

import lorakit
from lorakit.runtime import device_name, pick_device, versions

print(versions(), "on", device_name(pick_device()))"""
_FETCH = """\
root = here / "lorakit-course"
    subprocess.run(["git", "clone", "--depth", "1", "ADDRESS", str(root)], check=True)
    subprocess.run([sys.executable, str(root / "notebooks" / "install_missing.py")], check=True)"""
_LOST = 'raise SystemExit("Open this notebook inside the course: it has no public address yet.")'


def setup(address: str) -> str:
    """The set-up cell; away from the course it fetches it from there, if the address is real."""
    fetch = _LOST if address.startswith(PLACEHOLDER) else _FETCH.replace("ADDRESS", address)
    return SETUP.replace("FETCH", fetch)


def sources() -> list[Path]:
    """All lessons, in the order of the course: numbers first, then appendices."""
    return sorted((HERE / "source").glob("*.py"))


def compose(source: Path) -> NotebookNode:
    """The notebook of one lesson, without outputs."""
    notebook = jupytext.read(source)
    cells = notebook.cells
    front = new_markdown_cell(_front(source), metadata={"tags": ["frame"]})
    first = new_code_cell(setup(REPOSITORY), metadata={"tags": ["setup"]})
    back = new_markdown_cell(_links(source), metadata={"tags": ["frame"]})
    story = 1 if cells[0].cell_type == "markdown" else 0  # a first paragraph stands before set-up
    notebook.cells = [front, *cells[:story], first, *cells[story:], back]
    imports = next((c for c in cells if "context" in _tags(c)), None)
    for cell in notebook.cells:
        if cell in (first, imports) or "folded" in _tags(cell):
            _fold(cell, "Imports" if cell is imports else "Drawing")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # stable, so that a rebuild shows only what changed
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    return notebook


def _tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def _fold(cell: NotebookNode, title: str) -> None:
    """Hide a cell's code, not what it shows, in JupyterLab and in Colab; a title stays."""
    cell.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    if not cell.source.startswith(TITLE):
        cell.source = f"{TITLE}{title}\n{cell.source}"


def course_table() -> str:
    """The README's table of lessons, in Markdown: of what one learns, the first."""
    there = not REPOSITORY.startswith(PLACEHOLDER)
    lines = ["| lesson | the first thing you learn to do | runs in |", "| --- | --- | --- |"]
    lines = [f"{line} {more} |" if there else line for line, more in zip(lines, ("open", "---"))]
    for source in sources():
        link = f"[{_name(source)}](notebooks/{source.stem}.ipynb)"
        first = _lesson(source)["learn"][0]
        line = f"| {link} | {first} | {_time(source)} |"
        lines.append(f"{line} {badges(source)} |" if there else line)
    return "\n".join([BEGIN, *lines, END])


def measured() -> dict[str, dict[str, float]]:
    """What the last build measured, by lesson: ``seconds`` and ``memory_mb``."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def _lesson(source: Path) -> dict:
    return jupytext.read(source).metadata["lorakit"]


def _name(source: Path) -> str:
    return f"{source.stem.split('_')[0]} · {_lesson(source)['title']}"


def _time(source: Path) -> str:
    found = measured().get(source.stem)
    if not found:
        return "not measured yet"
    seconds = found["seconds"]
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _front(source: Path) -> str:
    lesson = _lesson(source)
    memory = measured().get(source.stem, {}).get("memory_mb", 0) / 1000
    learn = "\n".join(f"- {verb}" for verb in lesson["learn"])
    top = "\n\n".join(filter(None, [f"# {_name(source)}", badges(source), _links(source)]))
    return (
        f"{top}\n\n"
        f"**Time** {_reading(source)} min to read; the cells run in {_time(source)} on two CPU "
        f"cores (preset `quick`, peak memory {memory:.1f} GB).\n\n"
        f"<details><summary>What you will learn, and what you need before</summary>\n\n"
        f"**You will learn to**\n{learn}\n\n"
        f"**Before you start** {lesson['needs']}\n\n</details>"
    )


def _reading(source: Path) -> int:
    """Minutes to read all text and code once, solutions included, at 200 words a minute."""
    words = sum(len(cell.source.split()) for cell in jupytext.read(source).cells)
    return round(words / 200)


def _links(source: Path) -> str:
    order = sources()
    here = order.index(source)
    links = ["[The course](../README.md)"]
    if here > 0:
        links.insert(0, f"← [{_name(order[here - 1])}]({order[here - 1].stem}.ipynb)")
    if here + 1 < len(order):
        links.append(f"[{_name(order[here + 1])}]({order[here + 1].stem}.ipynb) →")
    links.append("[Glossary](glossary.md) | [Cheat sheet](cheat_sheet.md)")
    return " | ".join(links)


def badges(source: Path) -> str:
    """To open it on Colab and Binder; nothing while the course has no address."""
    if REPOSITORY.startswith(PLACEHOLDER):
        return ""
    path = f"notebooks/{source.stem}.ipynb"
    place = REPOSITORY.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{place}/blob/main/{path}"
    binder = f"https://mybinder.org/v2/gh/{place}/main?urlpath={quote(f'lab/tree/{path}', safe='')}"
    return (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab}) "
        f"[![Launch on Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )
