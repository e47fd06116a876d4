"""Accuracy against rank, parameters, epsilon or cipher, from any results table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes

from lorakit.checks import checked
from lorakit.explore.explorer import Controls, Explorer, dropdown, log_slider, refill
from lorakit.explore.selection import BY, best_in_words, choose, readable, trainings
from lorakit.explore.view import View, bullets, new_axes, new_figure, to_html
from lorakit.figures.accuracy import HUES, draw_accuracy
from lorakit.figures.captions import headline
from lorakit.figures.style import CIPHER_NAMES, CIPHER_SHOWN, DATASET_NAMES, METHOD_COLOURS, style
from lorakit.figures.tables import epsilon_name, in_order, summarise

_AGAINST = {
    "rank r": "rank",
    "trainable parameters": "trainable",
    "privacy budget ε": "epsilon",
    "encryption": "cipher",
}
_NEEDED = [*BY, "seed", "accuracy", "trainable", "total", "backbone", "epochs"]
_ONLY = [("the only one", "")]  # a choice among trainings where there is none


def results_view(
    rows: pd.DataFrame,
    own: pd.DataFrame | None = None,
    *,
    dataset: str,
    x: str = "rank",
    hue: str = "method",
    cipher: str = "none",
    epsilon: float = math.inf,
    training: str = "",
    parameters: float = 1e6,
    budget: float = math.inf,
) -> View:
    """Draw a selection of a results table, with a table under it and the best for a budget.

    Args:
        own: rows of one's own, drawn as stars; where there are no others, in their place.
        dataset, cipher, epsilon: what is kept, unless x or hue shows all of it.
        x, hue: see ``accuracy.plot_accuracy``.
        training: which of several trainings alike in all that is shown, see ``trainings``.
        parameters, budget: for the best, at most so many that train, and so much epsilon.
    """
    kept = {"dataset": dataset, "cipher": cipher, "epsilon": epsilon}
    mine = choose(rows, (x, hue), **kept)
    names = mine["training"] if "training" in mine else trainings(mine)
    if training in set(names.dropna()):
        mine = mine[names.isna() | (names == training)]
    mark = mine[:0] if own is None else choose(own, (x, hue), **kept)
    if mine.empty:  # one's own alone, the newest of those that a picture shows alike
        mine, mark = mark.drop_duplicates([*BY, "seed"], keep="last"), mark[:0]
    with style():
        figure = new_figure(height=4.6, below=1.85)
        ax = new_axes(figure)
        means = draw_accuracy(ax, mine, x, hue)
        hidden = _stars(ax, mark, x, means)
        figure.legend(loc="lower left", ncol=2, fontsize=10, columnspacing=1.2)

    def details() -> str:
        table = summarise(mine, BY).sort_values("mean", ascending=False)
        ciphers = in_order(mine["cipher"])
        lines = [best_in_words(rows, dataset, c, parameters, budget) for c in ciphers]
        if hidden:
            lines.append(f"{hidden} of your runs have a value that is not on this axis.")
        return bullets(lines) + to_html(readable(table))

    return View(figure, headline(mine, x, hue), details)


def _stars(ax: Axes, own: pd.DataFrame, x: str, means: pd.DataFrame) -> int:
    """Rows of one's own, each a star at its setting; how many have no place on the axis."""
    values = in_order(means[x].dropna())
    in_steps = x in ("cipher", "epsilon")
    placed = own[own[x].isin(values)] if in_steps else own
    if len(placed):
        at = placed[x]
        at = at.map(values.index) if in_steps else at.fillna(min(values, default=1))
        colours = [METHOD_COLOURS[m] for m in placed["method"]]
        look = {"marker": "*", "edgecolors": "black", "zorder": 5}
        ax.scatter(at, placed["accuracy"], 190, colours, **look)
        ax.plot([], [], "*", color="white", markeredgecolor="black", ms=12, label="your runs")
        if placed["accuracy"].min() < ax.get_ylim()[0]:
            ax.set_ylim(0, 1.03)
    return len(own) - len(placed)


class ResultsExplorer(Explorer):
    """Explore any results table; ``add`` puts a row of one's ``own`` into the picture."""

    @checked
    def __init__(self, rows: pd.DataFrame, own: pd.DataFrame | None = None) -> None:
        missing = [name for name in _NEEDED if name not in rows]
        if missing or not len(rows):
            raise ValueError(f"rows: a results table has rows, and columns {missing}")
        # few columns: every move filters them
        self.rows, self.own = rows[_NEEDED].assign(training=trainings(rows)), own
        datasets = [(DATASET_NAMES.get(d, d), d) for d in in_order(rows["dataset"])]
        ciphers = [(CIPHER_NAMES.get(c, c), c) for c in in_order(rows["cipher"])]
        shown = CIPHER_SHOWN if CIPHER_SHOWN in set(rows["cipher"]) else ciphers[0][1]
        budgets = _budgets(rows["epsilon"])
        alike = "Which of several trainings alike in all else"
        most = {"hint": "Budget: at most so many trainable parameters"}
        controls = {
            "dataset": dropdown("data set", datasets, hint="Which images"),
            "x": dropdown("against", _AGAINST.items(), hint="What stands on the horizontal axis"),
            "hue": dropdown("coloured by", list(HUES), hint="What colours tell apart"),
            "cipher": dropdown("cipher", ciphers, shown, hint="Encryption of all images"),
            "epsilon": dropdown("privacy", budgets, hint="Privacy budget epsilon of the runs"),
            "training": dropdown("training", _ONLY, hint=alike),
            "parameters": log_slider("budget: up to", 3, 6.1, 1e5, **most),
            "budget": dropdown("budget: ε up to", budgets, hint="Budget: at most so much epsilon"),
        }
        super().__init__(self._view, controls, rules=self._rules)

    def add(self, row: Mapping[str, object]) -> None:
        """Show one more row of one's own, and move the controls to where it can be seen."""
        line = pd.DataFrame([row])
        old = self.own[self.own["id"] != row["id"]] if self.own is not None else None
        self.own = line if old is None or old.empty else pd.concat([old, line], ignore_index=True)
        self._busy = True
        here = {name: row[name] for name in ("dataset", "cipher", "epsilon")}
        for name, value in here.items():
            control = self.controls[name]
            if value not in [offered for _, offered in control.options]:
                control.options = [*control.options, (str(value), value)]
            control.value = value
        if choose(self.rows, **here).empty:
            self.controls["x"].value = "trainable"  # an axis on which every method has a place
        self._busy = False
        self.draw()

    def _view(self, **chosen: object) -> View:
        return results_view(self.rows, self.own, **chosen)

    def _rules(self, controls: Controls) -> str:
        x, hue = controls["x"].value, controls["hue"]
        refill(hue, [(name, name) for name in HUES if name != x])
        shown, reasons = (x, hue.value), []
        for name in ("cipher", "epsilon"):
            controls[name].disabled = name in shown
        if off := [name for name in ("cipher", "epsilon") if name in shown]:
            reasons.append(f"All values of {' and '.join(off)} are in the picture: no choice.")
        kept = {name: controls[name].value for name in ("dataset", "cipher", "epsilon")}
        if "epsilon" not in shown:
            tables = [table for table in (self.rows, self.own) if table is not None]
            found = {e for t in tables for e in choose(t, (*shown, "epsilon"), **kept)["epsilon"]}
            refill(controls["epsilon"], _budgets(found))
            if hidden := set(self.rows["epsilon"]) - found:
                names = ", ".join(f"{e:g}" for e in sorted(hidden))
                reasons.append(f"No runs at ε = {names} with this data set and cipher.")
            kept["epsilon"] = controls["epsilon"].value
        names = choose(self.rows, shown, **kept)["training"].dropna()
        several = [(name, name) for name in names.value_counts().index]
        refill(controls["training"], several or _ONLY)
        controls["training"].disabled = len(several) < 2
        return " ".join(reasons)


def _budgets(epsilons: Iterable[float]) -> list[tuple[str, float]]:
    """Each with its name, the largest first."""
    return [(epsilon_name(e), e) for e in sorted(set(epsilons), reverse=True)]
