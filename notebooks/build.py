"""Rebuild the notebooks, with outputs, from their text: ``python notebooks/build.py``.

Each notebook runs from top to bottom with its own default parameters; how long that took and how
much memory goes into its header and the README. Names on the command line choose some of them, for
example ``python notebooks/build.py 10_paper_figures``; ``--frame`` runs nothing and renews what
surrounds the lessons, keeping the outputs there are.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

import nbformat
from compose import (
    BEGIN,
    END,
    HERE,
    MEASURED,
    README,
    TITLE,
    compose,
    course_table,
    measured,
    sources,
)
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from tqdm import tqdm

_PROBE = """\
from resource import RUSAGE_SELF, getrusage
import psutil
kernel = psutil.Process()
used = [sum(p.cpu_times()[:4]) for p in (kernel, *kernel.children(recursive=True))]
print(getrusage(RUSAGE_SELF).ru_maxrss, sum(used))"""  # peak memory without a sweep's workers

_WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(source: Path) -> NotebookNode:
    """Run one lesson, and note its peak memory and its time: on a busy machine, of its CPUs."""
    notebook = compose(source)
    notebook.cells.append(new_code_cell(_PROBE))
    start = time.perf_counter()
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": HERE}}
    ).execute()
    seconds = time.perf_counter() - start
    kilobytes, used = map(float, notebook.cells.pop().outputs[0].text.split())
    seconds = min(seconds, used)
    found = measured() | {
        source.stem: {"seconds": round(seconds), "memory_mb": round(kilobytes / 1000)}
    }
    MEASURED.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
    return notebook


def write(source: Path, executed: NotebookNode) -> Path:
    """Write the notebook of a lesson, with the outputs of an executed one; returns its path."""
    notebook = compose(source)
    mine = [cell for cell in notebook.cells if cell.cell_type == "code"]
    theirs = [cell for cell in executed.cells if cell.cell_type == "code"]
    if _lesson_code(mine) != _lesson_code(theirs):
        raise ValueError(f"{source.stem}: its code has changed; run it: build.py {source.stem}")
    for number, (cell, done) in enumerate(zip(mine, theirs), start=1):
        cell.execution_count = number
        cell.outputs = [_without_widget(o) for o in done.outputs if not _is_progress(o)]
    path = HERE / f"{source.stem}.ipynb"
    nbformat.write(notebook, path)
    return path


def _lesson_code(cells: list[NotebookNode]) -> list[str]:
    """What the author wrote; the set-up cell and titles are part of the frame."""
    mine = [cell.source for cell in cells if "setup" not in cell.metadata.get("tags", [])]
    return [re.sub(f"^{TITLE}.*\\n", "", source) for source in mine]


def write_readme() -> None:
    """Renew the course table in the README."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    README.write_text(before + course_table() + rest.split(END)[1])


def _is_progress(output: dict) -> bool:
    """Progress bars mean nothing in a saved notebook."""
    data = output.get("data", {})
    return (_WIDGET in data and "image/png" not in data) or output.get("name") == "stderr"


def _without_widget(output: NotebookNode) -> NotebookNode:
    """An explorer's picture alone: its widget lives only as long as the kernel."""
    output.get("data", {}).pop(_WIDGET, None)
    return output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="lessons to run; all if none is named")
    parser.add_argument("--frame", action="store_true", help="run nothing, renew the frames")
    asked = parser.parse_args()
    every = {source.stem: source for source in sources()}
    if unknown := set(asked.names) - set(every):
        parser.error(f"no lesson {sorted(unknown)}; allowed: {', '.join(every)}")
    for name in tqdm([] if asked.frame else asked.names or every, unit="notebook"):
        print(write(every[name], execute(every[name])).relative_to(HERE.parent))
    for source in every.values():  # the frames of others name this one's time and neighbours
        if (built := HERE / f"{source.stem}.ipynb").exists():
            try:
                write(source, nbformat.read(built, as_version=4))
            except ValueError as error:
                print(error)
    write_readme()
