"""Every notebook runs at ``smoke`` with no network, and shows its pictures."""

import re
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import papermill
import pytest
from compose import compose, sources

from lorakit.explore import committed_rows

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
FIGURES = "10_paper_figures"
LESSONS = [p.stem for p in sources() if p.stem != FIGURES]


def execute(notebook, folder, **parameters):
    """The executed notebook."""
    return papermill.execute_notebook(
        notebook,
        folder / "out.ipynb",
        parameters={"preset": "smoke", **parameters},
        kernel_name="python3",
        progress_bar=False,
        cwd=NOTEBOOKS,  # where the committed tables are found
    )


@pytest.fixture(autouse=True)
def figures_are_shown(monkeypatch):
    """As in JupyterLab."""
    monkeypatch.delenv("MPLBACKEND")


def check_outputs(done, pictures):
    """No error; a picture under each plot and explorer, so many or more in all."""
    outputs = [o for c in done.cells for o in c.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error"]
    for cell in done.cells:
        if cell.cell_type == "code" and re.search(r"^figure = plot", cell.source, re.M):
            assert any("image/png" in o.get("data", {}) for o in cell.outputs), cell.source
        if cell.cell_type == "code" and re.search(
            r"^(?!from ).*xplorer(\(.*\))?$", cell.source, re.M
        ):
            bundles = [o.data for o in cell.outputs if WIDGET in o.get("data", {})]
            assert bundles and "image/png" in bundles[-1], cell.source
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= pictures


@pytest.mark.parametrize("name", LESSONS)
def test_runs_at_smoke(name, tmp_path):
    check_outputs(execute(NOTEBOOKS / f"{name}.ipynb", tmp_path), pictures=2)


def test_the_figures_notebook_leaves_its_figures_and_a_second_run_trains_nothing(tmp_path):
    out = tmp_path / "figures"
    done = execute(NOTEBOOKS / f"{FIGURES}.ipynb", tmp_path, out_dir=str(out))
    check_outputs(done, pictures=5)
    for figure in ("method", "encryption", "accuracy", "rank", "parameters", "embedding"):
        assert (out / f"{figure}.png").stat().st_size > 5000
        assert (out / f"{figure}.pdf").stat().st_size > 5000
    names = {p.name for p in (out / "results").iterdir() if not p.name.startswith(".")}
    tables = {
        f"{name}.{end}" for name in ("table", "privacy_table") for end in ("csv", "md", "tex")
    }
    swept = ("results.csv", "privacy.csv")
    assert names == tables | {*swept, "signal_to_noise.csv"}

    again = compose(NOTEBOOKS / "source" / f"{FIGURES}.py")
    again.cells = [cell for cell in again.cells if leads_to_a_sweep(cell)]
    assert sum("sweep(" in cell.source for cell in again.cells) >= len(swept)
    nbformat.write(again, tmp_path / "again.ipynb")
    before = [(out / "results" / name).stat().st_mtime_ns for name in swept]
    execute(tmp_path / "again.ipynb", tmp_path, out_dir=str(out))
    assert before == [(out / "results" / name).stat().st_mtime_ns for name in swept]


def leads_to_a_sweep(cell):
    tags = {"setup", "parameters", "context"}
    asked = re.search(r"\bgrid\(|\bsweep\(", cell.source)
    return cell.cell_type == "code" and (asked or tags & set(cell.metadata.get("tags", [])))


def test_the_mixture_of_lesson_09_turns_the_order_round():
    rows = committed_rows(NOTEBOOKS)
    rows = rows[rows["dataset"] == "fashion"]
    mixed = rows.groupby("method")["accuracy"].mean()
    assert mixed["probe"] > max(mixed["patch"], mixed["bitfit"])
    private = rows[np.isfinite(rows["epsilon"])].groupby(["method", "train"]).size()
    assert private["probe"].to_dict() == {10_000: 25, 60_000: 25} and "bitfit" not in private
    one = {"train": 4000, "backbone": "vit_micro", "cipher": "shuffle+negative"}
    alike = rows[(rows[[*one]] == one).all(axis=1) & rows["rank"].isin([4, np.nan])]
    means = alike.groupby("method")["accuracy"].mean()
    assert means.idxmin() == "probe" and 0.035 < means["patch"] - means["probe"] < 0.045


def test_the_folded_answers_of_lesson_09_run_and_say_what_comes_out():
    lesson = jupytext.read(NOTEBOOKS / "source" / "09_explore.py").cells
    space = {"preset": "smoke", "root": NOTEBOOKS.parent}
    for cell in lesson:
        if "context" in cell.metadata.get("tags", []) or cell.source.startswith("entry = "):
            exec(cell.source, space)
        for code in re.findall(r"```python\n(.*?)```", cell.source, re.S):
            exec(code, space)
    text = " ".join(" ".join(cell.source for cell in lesson).split())
    entry, x, y = space["entry"], space["x"], space["y"]
    assert (x.mean() > y.mean()) and len(x) == len(y) == 10
    said = (
        "overlap in {} of 120, as if nothing could be said. The pairs decide in {}, always for the"
    )
    assert said.format(space["overlap"], space["decided"]) in text
    gap, half = 100 * (x - y).mean(), 100 * space["half_width"](x - y)
    assert f"no doubt left: {gap:.2f} ± {half:.2f} points" in text
    lora = 100 * entry[entry["method"] == "lora"].groupby("targets")["accuracy"].mean()
    assert f"it compared: {lora.mean():.1f} %" in text
    assert f"on q and v ({lora['q+v']:.1f} %)" in text
    assert f"on proj, fc1 and fc2 ({lora['proj+fc1+fc2']:.1f} %)" in text
    assert space["best_method"](entry, 100_000, np.inf) == "lora"
    assert space["best_setting"](entry, 100_000, np.inf)[:2] == ("lora", "proj+fc1+fc2")
    assert space["best_setting"](entry, 2_000_000, np.inf)[0] == "full"
