"""Accuracy against rank, parameters, epsilon or cipher, from any results table."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from ipywidgets import Dropdown
from matplotlib.axes import Axes

from lorakit.checks import checked
from lorakit.explore.explorer import Explorer, dropdown, log_slider, refill
from lorakit.explore.selection import BY, best_in_words, choose, readable, trainings
from lorakit.explore.view import View, bullets, new_axes, new_figure, to_html
from lorakit.figures.accuracy import HUES, draw_accuracy
from lorakit.figures.captions import headline
from lorakit.figures.style import CIPHER_NAMES, CIPHER_SHOWN, DATASET_NAMES, METHOD_COLOURS, style
from lorakit.figures.tables import epsilon_name, in_order, summarise

AGAINST = {"rank": "rank r", "trainable": "trainable parameters", "epsilon": "privacy budget ε",
           "cipher": "encryption"}  # fmt: skip
_NEEDED = [*BY, "seed", "accuracy", "trainable", "total", "backbone", "epochs", "training"]


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
        rows: a results table.
        own: rows of one's own, drawn as stars and never averaged with the others; where there
            are no others, they are drawn instead.
        dataset, cipher, epsilon: what is kept; not used where x or hue shows it.
        x, hue: see ``accuracy.plot_accuracy``.
        training: which of several trainings alike in all that is shown, see ``trainings``.
        parameters, budget: at most so many trainable parameters, and so much epsilon.

    Raises:
        ValueError: nothing to draw.
    """
    mine = choose(rows, dataset, x, hue, cipher, epsilon)
    names = mine["training"] if "training" in mine else trainings(mine)
    if training in set(names.dropna()):
        mine = mine[names.isna() | (names == training)]
    mark = choose(own, dataset, x, hue, cipher, epsilon) if own is not None else mine[:0]
    if mine.empty:  # one's own alone, the newest of those that a picture shows alike
        mine, mark = mark.drop_duplicates([*BY, "seed"], keep="last"), mark[:0]
    with style():
        figure = new_figure(height=4.6, below=1.85)
        ax = new_axes(figure)
        means = draw_accuracy(ax, mine, x, hue=hue)
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


class ResultsExplorer(Explorer):
    """Explore a results table; ``add`` puts a row of one's own into the picture.

    Args:
        rows: any results table, for example of ``read_table``.
        own: rows of one's own to begin with.
    """

    @checked
    def __init__(self, rows: pd.DataFrame, own: pd.DataFrame | None = None) -> None:
        missing = [name for name in _NEEDED if name not in rows and name != "training"]
        if missing or not len(rows):
            raise ValueError(f"rows: a results table has rows, and columns {missing}")
        # few columns: every move filters them
        self.rows, self.own = rows.assign(training=trainings(rows))[_NEEDED], own
        datasets = [(DATASET_NAMES.get(d, d), d) for d in in_order(rows["dataset"])]
        ciphers = [(CIPHER_NAMES.get(c, c), c) for c in in_order(rows["cipher"])]
        shown = CIPHER_SHOWN if CIPHER_SHOWN in set(rows["cipher"]) else ciphers[0][1]
        budgets = [(epsilon_name(e), e) for e in sorted(rows["epsilon"].unique(), reverse=True)]
        against = [(name, key) for key, name in AGAINST.items()]
        controls = {
            "dataset": dropdown("data set", datasets, hint="Which images"),
            "x": dropdown("against", against, hint="What stands on the horizontal axis"),
            "hue": dropdown("coloured by", list(HUES), hint="What colours tell apart"),
            "cipher": dropdown("cipher", ciphers, shown, hint="Encryption of all images"),
            "epsilon": dropdown("privacy", budgets, hint="Privacy budget epsilon of the runs"),
            "training": dropdown("training", [("the only one", "")],
                                 hint="Which of several trainings alike in all else"),
            "parameters": log_slider("budget: up to", 3, 6.1, 1e5,
                                     hint="Budget: at most so many trainable parameters"),
            "budget": dropdown("budget: ε up to", budgets, hint="Budget: at most so much epsilon"),
        }  # fmt: skip
        super().__init__(self._view, controls, rules=self._rules)

    def add(self, row: Mapping[str, object]) -> None:
        """Show one more row of one's own, and move the controls to where it can be seen."""
        line = pd.DataFrame([row])
        old = self.own[self.own["id"] != row["id"]] if self.own is not None else None
        self.own = line if old is None or old.empty else pd.concat([old, line], ignore_index=True)
        self._busy = True
        others = self.rows
        for name in ("dataset", "cipher", "epsilon"):
            control = self.controls[name]
            if row[name] not in [value for _, value in control.options]:
                control.options = [*control.options, (str(row[name]), row[name])]
            control.value = row[name]
            others = others[others[name] == row[name]]
        if others.empty:
            self.controls["x"].value = "trainable"  # an axis on which every method has a place
        self._busy = False
        self.draw()

    def _view(self, **chosen: object) -> View:
        return results_view(self.rows, self.own, **chosen)

    def _rules(self, controls: Mapping[str, Dropdown]) -> str:
        x, hue = controls["x"].value, controls["hue"]
        reasons = []
        refill(hue, [(name, name) for name in HUES if name != x])
        for name in ("cipher", "epsilon"):
            controls[name].disabled = name in (x, hue.value)
        if off := [name for name in ("cipher", "epsilon") if controls[name].disabled]:
            reasons.append(f"All values of {' and '.join(off)} are in the picture: no choice.")
        if not controls["epsilon"].disabled:
            offers = self._epsilons(controls)
            refill(controls["epsilon"], [(epsilon_name(e), e) for e in offers])
            if hidden := set(self.rows["epsilon"]) - set(offers):
                names = ", ".join(f"{e:g}" for e in sorted(hidden))
                reasons.append(f"No runs at ε = {names} with this data set and cipher.")
        values = {n: controls[n].value for n in ("dataset", "x", "cipher", "epsilon")}
        names = choose(self.rows, hue=hue.value, **values)["training"].dropna()
        several = list(names.value_counts().index)
        refill(controls["training"], [(n, n) for n in several] or [("the only one", "")])
        controls["training"].disabled = len(several) < 2
        return " ".join(reasons)

    def _epsilons(self, controls: Mapping[str, Dropdown]) -> list[float]:
        """The budgets of runs with the chosen data set and, if one is chosen, cipher."""
        found: set[float] = set()
        for table in [self.rows] if self.own is None else [self.rows, self.own]:
            mine = table[table["dataset"] == controls["dataset"].value]
            if not controls["cipher"].disabled:
                mine = mine[mine["cipher"] == controls["cipher"].value]
            found |= set(mine["epsilon"])
        return sorted(found, reverse=True)


def _stars(ax: Axes, own: pd.DataFrame, x: str, means: pd.DataFrame) -> int:
    """Rows of one's own, each a star at its setting; how many have no place on the axis."""
    values = in_order(means[x].dropna())
    placed = own[own[x].isin(values)] if x in ("cipher", "epsilon") else own
    if len(placed):
        steps = [values.index(v) if v in values else 0 for v in placed[x]]
        places = steps if x in ("cipher", "epsilon") else placed[x].fillna(min(values))
        colours = [METHOD_COLOURS[m] for m in placed["method"]]
        ax.scatter(places, placed["accuracy"], 190, colours, marker="*", edgecolors="black",
                   zorder=5)  # fmt: skip
        ax.plot([], [], "*", color="white", markeredgecolor="black", ms=12, label="your runs")
        if placed["accuracy"].min() < ax.get_ylim()[0]:
            ax.set_ylim(0, 1.03)
    return len(own) - len(placed)
