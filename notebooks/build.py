"""Rebuild the notebooks, with outputs, from their text: ``python notebooks/build.py``.

Each notebook runs from top to bottom with its own default parameters. Names on the command line
choose some of them, for example ``python notebooks/build.py 10_paper_figures``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

HERE = Path(__file__).resolve().parent


def build(source: Path) -> Path:
    """Execute one source and write the notebook beside this file; returns its path."""
    notebook = jupytext.read(source)
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": HERE}}
    ).execute()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # stable, so that a rebuild shows only what changed
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_progress(output)]
            cell.metadata.pop("execution", None)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
    path = HERE / f"{source.stem}.ipynb"
    nbformat.write(notebook, path)
    return path


def _is_progress(output: dict) -> bool:
    """Progress bars mean nothing in a saved notebook."""
    widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return widget or output.get("name") == "stderr"


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(p.stem for p in (HERE / "source").glob("*.py"))
    for name in tqdm(names, unit="notebook"):
        print(build(HERE / "source" / f"{name}.py").relative_to(HERE.parent))
