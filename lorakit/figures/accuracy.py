"""Accuracy against anything that was varied: one figure, drawn from the results table."""

from functools import partial
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter
from matplotlib.transforms import offset_copy

from lorakit.figures.marks import DASHES, IN_STEPS, draw_means, explain_colours, look_of, value_axis
from lorakit.figures.style import CHANCE, NAMES, RANK_SHOWN, TARGETS_SHOWN, style, suptitle
from lorakit.figures.tables import KEYS, in_order, summarise, with_usual_lora

AXES = {
    "cipher": "encryption of all images, training and test",
    "rank": "rank r of LoRA",
    "trainable": "trainable parameters, head included",
    "epsilon": "privacy budget ε (less is more private)",
}
_ASKED = {
    "cipher": "Which methods can read encrypted pictures?",
    "rank": "How much rank does it take?",
    "trainable": "What do more parameters buy?",
    "epsilon": "What does a promise cost in accuracy?",
}
HUES = ("method", "epsilon")


def plot_accuracy(rows: pd.DataFrame, x: str = "cipher", *, hue: str = "method") -> Figure:
    """Test accuracy against one setting: a marker for each mean, a dot for each seed.

    A seed's dot is right of its mean; bars are 95 % confidence intervals of the mean. LoRA on other
    targets has hollow markers. Rows that differ in a setting that is not shown are a ValueError.

    Args:
        rows: a results table; an infinite epsilon means no noise.
        x: one of ``AXES``; against ``cipher`` and ``epsilon``, LoRA is that of rank 4 on q and v.
        hue: what colours tell apart, one of ``HUES``; markers tell methods apart.
    """
    rows, means = _means(rows, x, hue)
    panel = ["dataset"] if x == "cipher" else ["dataset", "cipher"]
    with style():
        figure, axes = _axes(means, panel)
        parts = dict(iter(means.groupby(panel)))
        every = product(*(in_order(means[key]) for key in panel))
        for ax, names in zip(axes.flat, (names for names in every if names in parts)):
            seeds = rows.merge(parts[names][panel].drop_duplicates())
            _panel(ax, parts[names], seeds, x, hue)
            ax.set_title(", ".join(NAMES.get(name, name) for name in names), fontsize=11)
        for ax in axes.flat:
            _accuracy_axis(ax, rows)
        for ax in axes[-1]:
            ax.set_xlabel(AXES[x])
        for ax in axes[:, 0]:
            ax.set_ylabel("test accuracy")
        asked = _ASKED[x]
        suptitle(figure, asked.replace("?", " under noise?") if hue == "epsilon" else asked)
        _legend(figure, axes)
        return figure


def _means(rows: pd.DataFrame, x: str, hue: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows a figure shows, and a line for each of its marks."""
    if x not in AXES or hue not in HUES or x == hue:
        allowed = f"two different ones, of {tuple(AXES)} and {HUES}"
        raise ValueError(f"x={x!r}, hue={hue!r}: allowed: {allowed}")
    what = f"a value of {x}"
    rows = rows[rows[x].notna()] if x != "rank" else rows
    if x in IN_STEPS:
        rows = with_usual_lora(rows)
        what += f", rank={RANK_SHOWN}, targets={TARGETS_SHOWN!r}"
    if x == "epsilon" and not np.isfinite(rows["epsilon"]).any():
        rows, what = rows[:0], "a finite epsilon"
    if rows.empty:
        raise ValueError(f"rows: the table has none with {what}")
    told_apart = [key for key in dict.fromkeys([*KEYS, x, hue]) if key != "trainable"]
    return rows, summarise(rows, told_apart)


def _axes(means: pd.DataFrame, panel: list[str]) -> tuple[Figure, np.ndarray]:
    """One row of panels; a row for each data set if both data sets and ciphers vary."""
    count = len(means[panel].drop_duplicates())
    varied = [means[key].nunique() for key in panel]
    columns = varied[-1] if min(varied) > 1 else count
    lines = -(-count // columns)
    size = (max(8.2, 5.4 * columns), 4.6 if lines == 1 else 3.2 * lines + 1)
    figure, axes = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return figure, axes


def _panel(ax: Axes, means: pd.DataFrame, seeds: pd.DataFrame, x: str, hue: str) -> None:
    values = in_order(means[x].dropna())
    at = {value: place for place, value in enumerate(values)} if x in IN_STEPS else None
    keys = list(dict.fromkeys([hue, "method", "targets"]))
    order = {key: in_order(means[key]) for key in (hue, "method")}
    lines = [line for _, line in means.groupby(keys, dropna=False, sort=False)]
    lines.sort(key=lambda line: [names.index(line[key].iloc[0]) for key, names in order.items()])
    step = min(0.16, 0.8 / len(lines)) if x == "cipher" else 0.08
    if x == "rank" and len(values) > 1:
        step = 0.02 * np.log2(values[-1] / values[0])
    for number, line in enumerate(lines):
        look = look_of(line, hue, order[hue])
        named = look["label"] if hue == "method" else None
        if x == "rank" and line["rank"].isna().all():
            dashes = DASHES.get(look["method"], "-.")
            ax.axhline(line["mean"].mean(), color=look["colour"], linestyle=dashes, label=named)
            continue
        mine = seeds.merge(line[keys].drop_duplicates())
        shift = step * (number - (len(lines) - 1) / 2)
        where = partial(_beside, at=at, shift=shift, x=x)
        line = line.sort_values(x, key=where)
        if x != "cipher":
            ax.plot(where(line[x]), line["mean"], color=look["colour"])
        draw_means(ax, where(line[x]), line, look, named)
        if line["seeds"].max() > 1:
            beside = offset_copy(ax.transData, ax.figure, x=7, units="points")
            dots = {"color": look["colour"], "ms": 4, "alpha": 0.6, "transform": beside}
            ax.plot(where(mine[x]), mine["accuracy"], ".", **dots)
    if hue != "method":
        explain_colours(ax, means, x, hue)
    value_axis(ax, x, values)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _beside(values: pd.Series, at: dict | None, shift: float, x: str) -> pd.Series:
    """Values to places, a little aside where marks would hide each other."""
    if at:
        return values.map(at) + shift
    return values * 2**shift if x == "rank" else values


def _accuracy_axis(ax: Axes, rows: pd.DataFrame) -> None:
    """Near the marks if none is below one half; else from zero, with a line at blind guesses."""
    low, high = rows["accuracy"].min(), rows["accuracy"].max()
    if low > 0.5:
        low, high = np.floor(100 * low - 0.3), np.ceil(100 * high + 0.3)
        ax.set_ylim(low / 100, min(1.03, high / 100))
        step = next(step for step in (1, 2, 5, 10) if high - low < 9 * step)
        ax.yaxis.set_major_locator(MultipleLocator(step / 100))
        return
    ax.set_ylim(0, 1.03)
    chance, *others = {CHANCE.get(name) for name in rows["dataset"]}
    if chance is None or others:
        return
    ax.axhline(chance, color="#BBBBBB", linewidth=1, zorder=0)
    place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "top"}
    ax.annotate("chance", (1, chance), fontsize=9, color="#777777", **place)


def _legend(figure: Figure, axes: np.ndarray) -> None:
    found = {}
    for ax in axes.flat:
        found |= dict(zip(*reversed(ax.get_legend_handles_labels())))
    columns = int(11 * figure.get_figwidth() / (max(map(len, found)) + 6))  # 11 letters an inch
    figure.legend(found.values(), found, loc="outside lower center", ncol=max(1, columns))
