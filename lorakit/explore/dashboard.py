"""All explorers on one page, as tabs."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as widgets
import pandas as pd

from lorakit.checks import checked
from lorakit.experiments.table_file import read_table
from lorakit.explore.attack import attack_explorer
from lorakit.explore.cipher import CipherExplorer
from lorakit.explore.live import LiveTraining
from lorakit.explore.privacy import privacy_chart
from lorakit.explore.rank import rank_chart
from lorakit.explore.results import Results
from lorakit.explore.spectrum import spectrum_chart

TABLES = ("claim", "privacy", "results")  # the last one: vit_micro.letters


# Vega loops for ever where there is no width: a chart in a tab that is not shown keeps its own
_LAID_OUT = (
    "<style>.lorakit-chart.lm-mod-hidden {display: block !important; position: absolute; "
    "visibility: hidden; inset: 0 16px auto; height: 0; overflow: hidden} "
    ".lm-TabBar-tabLabel {color: var(--jp-ui-font-color1)}</style>"
)


@checked
def dashboard(rows: pd.DataFrame, table: str | Path = "my_runs.csv") -> widgets.Tab:
    """Six explorers as tabs; a finished training appears among the results.

    ``table`` is a CSV file for the rows trained here; those it holds already are shown too.
    """
    results = Results(rows, read_table(table) if Path(table).exists() else None)
    tabs = {
        "Results": _page(results.output),
        "Rank": _page(rank_chart().widget(), spectrum_chart().widget()),
        "Cipher": CipherExplorer(),
        "Privacy": _page(privacy_chart().widget()),
        "Attack": attack_explorer(),
        "Train": LiveTraining(table, results.add),
    }
    return widgets.Tab(list(tabs.values()), titles=list(tabs), layout={"width": "100%"})


def _page(*charts: widgets.Output) -> widgets.VBox:
    return widgets.VBox([widgets.HTML(_LAID_OUT), *charts]).add_class("lorakit-chart")


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
