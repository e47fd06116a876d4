"""All explorers on one page, as tabs."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from threading import Thread

import ipywidgets as widgets
import pandas as pd

from lorakit import explore  # whose names load when asked for
from lorakit.checks import checked
from lorakit.experiments.table_file import read_table
from lorakit.explore.explorer import try_this
from lorakit.explore.results import Results
from lorakit.explore.saved import SavedChart

TABLES = ("claim", "privacy", "results", "painted", "larger", "mark")
_TRY = {
    "Results": "Drag the budget below 20,000 parameters. Which method is ringed now?",
    "Rank": "Move the rank to 64. Does lora+patch ever train a tenth of the model?",
    "Privacy": "Move σ to 5, then train for 100 epochs. Which of the two changes ε more?",
}

# Vega loops for ever where there is no width: a chart in a tab that is not shown keeps its own
_LAID_OUT = (
    "<style>.lorakit-chart.lm-mod-hidden {display: block !important; position: absolute; "
    "visibility: hidden; inset: 0 16px auto; height: 0; overflow: hidden} "
    ".lm-TabBar-tabLabel {color: var(--jp-ui-font-color1)}</style>"
)


@checked
def dashboard(rows: pd.DataFrame, table: str | Path = "my_runs.csv") -> widgets.Tab:
    """Six explorers as tabs; a finished training appears among the results.

    The results are there at once; a thread makes the other tabs, which wait for PyTorch. ``table``
    is a CSV file for the rows trained here; those it holds already are shown too.
    """
    results = Results(rows, read_table(table) if Path(table).exists() else None)
    makers: dict[str, Callable[[], widgets.Widget | list[SavedChart]]] = {
        "Rank": lambda: [explore.rank_chart(), explore.spectrum_chart()],
        "Cipher": lambda: explore.CipherExplorer(),
        "Privacy": lambda: [explore.privacy_chart()],
        "Attack": lambda: explore.attack_explorer(),
        "Train": lambda: explore.LiveTraining(table, results.add),
    }
    tabs = {"Results": _charts(_LAID_OUT + try_this(_TRY["Results"]), results.output)}
    for name in makers:
        wait = "getting ready …"
        tabs[name] = (
            _charts(wait, widgets.Output()) if name in _TRY else widgets.VBox([widgets.HTML(wait)])
        )

    def fill() -> None:
        for name, make in makers.items():
            try:
                made = make()
            except Exception as error:  # a thread's traceback is never seen
                made = widgets.HTML(escape(f"This tab cannot be shown. {error!r}"))
            if isinstance(made, list):  # charts, drawn only where there is a place for them
                words, place = tabs[name].children
                words.value = try_this(_TRY[name])
                place.outputs = tuple(chart.output() for chart in made)
            else:
                tabs[name].children = [made]

    Thread(target=fill, daemon=True).start()
    return widgets.Tab(list(tabs.values()), titles=list(tabs), layout={"width": "100%"})


def _charts(words: str, place: widgets.Output) -> widgets.VBox:
    place.layout.width = "100%"
    page = widgets.VBox([widgets.HTML(words), place])
    return page.add_class("lorakit-chart")


@checked
def committed_rows(root: str | Path = ".") -> pd.DataFrame:
    """The course's result tables, in or above a folder or beside the package; or an OSError."""
    root, here = Path(root).resolve(), Path(__file__).resolve()
    for folder in (root, *root.parents, *here.parents):
        results = folder / "figures" / "results"
        if (results / "claim.csv").exists():
            paths = [results / f"{name}.csv" for name in TABLES]
            return pd.concat([read_table(p) for p in paths if p.exists()], ignore_index=True)
    raise FileNotFoundError(f"root={str(root)!r}: no figures/results/claim.csv there or above")
