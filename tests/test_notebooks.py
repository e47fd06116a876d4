"""Every notebook is what its source says, and the committed results are what they claim."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from compose import README, compose, course_table, sources

import lorakit
from lorakit import grid, read_table
from lorakit.figures.tables import accuracy_table

ROOT = Path(__file__).resolve().parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
NAMES = [p.stem for p in sources()]


def cells(notebook):
    return [(c.cell_type, c.source, c.metadata) for c in notebook.cells]


def test_there_are_notebooks_and_none_without_a_source():
    built = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
    assert built == NAMES and NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_and_source_have_not_drifted(name):
    source = compose(ROOT / "notebooks" / "source" / f"{name}.py")
    built = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    assert cells(built) == cells(source), "run: python notebooks/build.py"
    code = [c for c in built.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert not [o for o in outputs if WIDGET in o.get("data", {})]  # pictures stand in for them


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_has_its_frame(name):
    """Objectives, time, links, one set-up and one parameters cell, predictions, bugs, an end."""
    notebook = compose(ROOT / "notebooks" / "source" / f"{name}.py")
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    assert tags.count("setup") == tags.count("parameters") == 1
    front, *_, back = (cell.source for cell in notebook.cells)
    assert 2 <= len(re.findall(r"^- ", front, re.M)) <= 5 and "not measured" not in front
    assert "**Before you start**" in front and "min to read" in front and "The course" in back
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "**Predict" in text and "\n## Recap: three questions\n" in "\n" + text
    assert re.search(r"^## What this does not protect", text, re.M)
    assert re.search(r"^##+ Find the silent bug", text, re.M)
    for path in re.findall(r"\]\((?!http|#)([^)#]+)\)", text):
        assert (ROOT / "notebooks" / path).exists(), path


def test_a_recap_asks_three_questions_that_check_themselves():
    """One right choice each, plain HTML: Markdown and formulas do not render beside it."""
    places = []
    for source in sources():
        text = "\n".join(c.source for c in compose(source).cells if c.cell_type == "markdown")
        (recap,) = re.findall(r"^## Recap: three questions\n(.*?)^## ", text, re.M | re.S)
        numbers = re.findall(r"^\*\*(\d)\. ", recap, re.M)
        assert numbers == ["1", "2", "3"], source.stem
        for question in re.split(r"^\*\*\d\. ", recap, flags=re.M)[1:]:
            html = "\n".join(re.findall(r"<details>.*?</details>", question, re.S))
            choices = re.findall(r"<summary>[^✓✗]+</summary>([✓✗])\s[^✓✗]+</details>", html)
            assert len(choices) in (3, 4) and choices.count("✓") == 1, (source.stem, question)
            assert len(choices) == question.count("<details>") == question.count("</details>")
            assert not re.search(r"[$`]|\*\*|\n\n", html), (source.stem, question)
            places.append(choices.index("✓"))
    assert all(places.count(place) >= len(places) / 5 for place in range(3))  # not to be guessed


@pytest.mark.parametrize("name", NAMES)
def test_set_up_imports_and_drawing_are_folded_and_nothing_else(name):
    """Hidden in JupyterLab and Colab, under a title; the lesson's own code is open."""
    notebook = compose(ROOT / "notebooks" / "source" / f"{name}.py")
    tags = [(c, set(c.metadata.get("tags", []))) for c in notebook.cells]
    first = next(c for c, tag in tags if "context" in tag)  # later ones are part of the lesson
    for cell, tag in tags:
        asked = cell is first or bool(tag & {"setup", "folded"})
        assert asked == (cell.metadata.get("cellView") == "form")
        assert asked == cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert asked == bool(re.match(r"# @title \w", cell.source))


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_does_not_define_again_what_lorakit_exports(name):
    """Where building it is the lesson, it has a name of its own and is held against lorakit's."""
    notebook = compose(ROOT / "notebooks" / "source" / f"{name}.py")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)}
    assert not defined & set(lorakit.__all__)


def test_the_course_table_in_the_readme_is_that_of_the_notebooks():
    assert course_table() in README.read_text(), "run: python notebooks/build.py --frame"


@pytest.mark.parametrize("name", NAMES)
def test_no_machine_path_in_a_notebook(name):
    text = (ROOT / "notebooks" / f"{name}.ipynb").read_text()
    assert not re.search(r"/(home|root|tmp|Users)/\w", text) and str(ROOT) not in text


def test_readme_commands_work_here():
    """CI runs the second of them word for word, and the first names a notebook that exists."""
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    figures, tests = re.findall(r"```bash\n(python3 -m venv.*?)\n```", readme, re.S)
    assert tests in ci
    assert (ROOT / re.search(r"papermill.* (\S+\.ipynb) \S+\.ipynb", figures)[1]).exists()
    for path in re.findall(r"\]\((?!http|#)([^)]+)\)", readme):
        assert (ROOT / path).exists(), path


@pytest.fixture(scope="module")
def full_rows():
    """The rows of the committed table, which must be those of the ``full`` preset."""
    rows = read_table(ROOT / "figures" / "results" / "results.csv")
    assert set(rows["id"]) == {e.id for e in grid("full")} and rows["id"].is_unique
    return rows


def test_committed_figures_are_there(full_rows):
    names = ("method", "encryption", "accuracy", "rank", "parameters", "embedding",
             "epsilon", "private_parameters", "signal_to_noise", "accountants",
             "audit", "benchmark")  # fmt: skip
    for figure in names:
        for ending in ("png", "pdf"):
            assert (ROOT / "figures" / f"{figure}.{ending}").stat().st_size > 5000
    committed = pd.read_csv(ROOT / "figures" / "results" / "table.csv", keep_default_na=False)
    assert committed.astype(str).equals(accuracy_table(full_rows).astype(str))


def test_the_privacy_results_are_those_of_the_preset():
    rows = read_table(ROOT / "figures" / "results" / "privacy.csv")
    assert set(rows["id"]) == {e.id for e in grid("full", study="privacy")}
    private = rows[np.isfinite(rows["epsilon"])]
    assert (private["epsilon_spent"] <= private["epsilon"]).all()
    assert (private["epsilon_spent"] > 0.99 * private["epsilon"]).all()
    assert (private["delta"] < 1 / private["train"]).all()


def test_importing_lorakit_is_light():
    """Widgets, Opacus and scikit-learn are loaded where they are used, not at import."""
    code = "import sys; from lorakit import create_backbone; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    modules = {name.split(".")[0] for name in loaded.stdout.split()}
    assert "timm" in modules and not modules & {"opacus", "ipywidgets", "sklearn", "matplotlib"}
