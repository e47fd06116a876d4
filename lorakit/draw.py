"""What figures of results share: panels, lines, means with their seeds, titles."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lorakit.style import (
    DATASET_NAMES,
    METHOD_COLOURS,
    METHOD_MARKERS,
    METHOD_NAMES,
    TARGETS_SHOWN,
)
from lorakit.tables import summarise


def series(rows: pd.DataFrame) -> Iterator[tuple[str, str | None, pd.DataFrame]]:
    """Method, targets (None without LoRA) and rows of each line, in the legend's order."""
    for method in METHOD_NAMES:
        mine = rows[rows["method"] == method]
        if mine["targets"].isna().any():
            yield method, None, mine[mine["targets"].isna()]
        for targets in sorted(mine["targets"].dropna().unique(), reverse=True):
            yield method, targets, mine[mine["targets"] == targets]


def series_name(method: str, targets: str | None) -> str:
    where = "" if targets in (None, TARGETS_SHOWN) else f" on {targets}"
    return METHOD_NAMES[method] + where


def line_of_means(ax: Axes, rows: pd.DataFrame, x: str, method: str, targets: str | None) -> None:
    groups = list(rows.groupby(x))
    means = [part["accuracy"].mean() for _, part in groups]
    ax.plot([value for value, _ in groups], means, color=METHOD_COLOURS[method])
    for value, part in groups:
        mean_and_seeds(ax, value, part, series_name(method, targets))


def mean_and_seeds(ax: Axes, x: float, rows: pd.DataFrame, name: str) -> None:
    """A marker for the mean (hollow for other targets), a bar for the interval, dots for seeds."""
    if rows.empty:
        return
    method = rows["method"].iloc[0]
    colour, marker = METHOD_COLOURS[method], METHOD_MARKERS[method]
    hollow = name != METHOD_NAMES[method]
    line = summarise(rows).iloc[0]
    if not np.isnan(line["interval"]):
        ax.errorbar(x, line["mean"], line["interval"], color=colour, capsize=3, linewidth=1.2)
        at = np.full(len(rows), float(x))
        ax.plot(at, rows["accuracy"], ".", color=colour, markersize=4, alpha=0.6)
    fill, edge, width = ("white", colour, 1.5) if hollow else (colour, "white", 1)
    look = {"markerfacecolor": fill, "markeredgecolor": edge, "markeredgewidth": width}
    first = name not in ax.get_legend_handles_labels()[1]
    ax.plot(x, line["mean"], marker, color=colour, markersize=8, linestyle="none",
            label=name if first else None, **look)  # fmt: skip


def panels(rows: pd.DataFrame, width: float) -> tuple[Figure, list[Axes]]:
    n = rows["dataset"].nunique()
    figure, axes = plt.subplots(1, n, figsize=(width * n if n > 1 else 8.2, 4.6), sharey=True)
    return figure, [axes] if n == 1 else list(axes)


def by_dataset(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    names = [*DATASET_NAMES, *sorted(set(rows["dataset"]) - set(DATASET_NAMES))]
    return [(n, rows[rows["dataset"] == n]) for n in names if n in set(rows["dataset"])]


def accuracy_axis(ax: Axes, name: str) -> None:
    ax.set_ylim(0, 1.03)
    ax.axhline(0.1, color="#BBBBBB", linewidth=1, zorder=0)
    ax.annotate("chance", (1, 0.1), xycoords=("axes fraction", "data"), ha="right", va="top",
                fontsize=9, color="#777777")  # fmt: skip
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_title(DATASET_NAMES.get(name, name))


def need(rows: pd.DataFrame, what: str) -> None:
    if rows.empty:
        raise ValueError(f"rows: the table has none with {what}")


def suptitle(figure: Figure, text: str) -> None:
    """The finding, above all panels."""
    figure.suptitle(text, fontweight="bold", x=0.01, ha="left")
