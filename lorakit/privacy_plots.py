"""Accuracy under differential privacy; each function returns a matplotlib Figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lorakit.draw import need, suptitle
from lorakit.style import (
    CIPHER_NAMES,
    DATASET_NAMES,
    METHOD_COLOURS,
    METHOD_MARKERS,
    METHOD_NAMES,
    TARGETS_SHOWN,
    style,
)
from lorakit.tables import summarise


def plot_accuracy_by_epsilon(
    rows: pd.DataFrame, rank: int = 4, targets: str = TARGETS_SHOWN
) -> Figure:
    """Accuracy against epsilon, a panel for each data set and cipher, a line for each method.

    Args:
        rows: a results table of private runs, with the non-private ones (epsilon infinite) on the
            right.
        rank, targets: of the LoRA methods; other LoRA rows are left out.

    Raises:
        ValueError: the table has no private row.
    """
    rows = rows[rows["rank"].isna() | ((rows["rank"] == rank) & (rows["targets"] == targets))]
    need(rows[np.isfinite(rows["epsilon"])], "a finite epsilon")
    panels = list(rows.groupby(["dataset", "cipher"], sort=False))
    order = {name: n for n, name in enumerate([*DATASET_NAMES, *CIPHER_NAMES])}
    panels.sort(key=lambda panel: [order.get(name, 99) for name in panel[0]])
    columns = rows["cipher"].nunique()
    with style():
        lines = -(-len(panels) // columns)
        size = (max(7.4, 4.9 * columns), 3.2 * lines + 1)
        figure, axes = plt.subplots(lines, columns, figsize=size, sharey=True, squeeze=False)
        for ax, ((dataset, cipher), part) in zip(axes.flat, panels):
            values = sorted(part["epsilon"].unique())
            places = {value: place for place, value in enumerate(values)}
            methods = [m for m in METHOD_NAMES if (part["method"] == m).any()]
            for number, method in enumerate(methods):
                mine = part[part["method"] == method]
                shift = 0.08 * (number - (len(methods) - 1) / 2)  # side by side, not on top
                _line(ax, mine, mine["epsilon"].map(places) + shift, method)
            labels = [f"{v:g}" if np.isfinite(v) else "∞\n(no noise)" for v in values]
            ax.set_xticks(range(len(values)), labels)
            ax.set_ylim(0, 1.03)
            ax.axhline(0.1, color="#BBBBBB", linewidth=1, zorder=0)
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            where = DATASET_NAMES.get(dataset, dataset), CIPHER_NAMES.get(cipher, cipher)
            ax.set_title(", ".join(where), fontsize=11)
        for ax in axes[-1]:
            ax.set_xlabel("privacy budget ε (less is more private)")
        for ax in axes[:, 0]:
            ax.set_ylabel("test accuracy")
        suptitle(figure, _epsilon_title(panels))
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncol=min(4, len(labels)))
        return figure


def plot_private_parameters(rows: pd.DataFrame) -> Figure:
    """Accuracy against trainable parameters, coloured by epsilon, a marker for each method.

    Raises:
        ValueError: the table has no private row, or more than one data set or cipher.
    """
    need(rows[np.isfinite(rows["epsilon"])], "a finite epsilon")
    if rows["dataset"].nunique() > 1 or rows["cipher"].nunique() > 1:
        raise ValueError("rows: choose one data set and one cipher")
    with style():
        figure, ax = plt.subplots(figsize=(7.4, 4.6))
        values = sorted(rows["epsilon"].unique())
        colours = plt.get_cmap("viridis_r")(np.linspace(0.05, 0.95, len(values)))
        for value, colour in zip(values, colours):
            means = _means(rows[rows["epsilon"] == value]).sort_values("trainable")
            name = f"ε = {value:g}" if np.isfinite(value) else "no privacy"
            ax.plot(means["trainable"], means["mean"], color=colour, label=name)
            for line in means.itertuples():
                ax.plot(line.trainable, line.mean, METHOD_MARKERS[line.method], color=colour,
                        markersize=8, markeredgecolor="white")  # fmt: skip
        for method in METHOD_NAMES:
            if (rows["method"] == method).any():
                ax.plot([], [], METHOD_MARKERS[method], color="#555555", label=METHOD_NAMES[method])
        ax.set_xscale("log")
        _whole_decades(ax, rows["trainable"])
        ax.set_xlabel("trainable parameters, head included")
        ax.set_ylabel("test accuracy")
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        dataset, cipher = rows["dataset"].iloc[0], rows["cipher"].iloc[0]
        where = f"{DATASET_NAMES.get(dataset, dataset)}, {CIPHER_NAMES.get(cipher, cipher)}"
        lost = _lost(rows)
        ax.set_title(where)
        suptitle(figure, f"at ε = {min(values):g}: {lost}")
        figure.legend(loc="outside right center")
        return figure


def _line(ax: Axes, rows: pd.DataFrame, x: pd.Series, method: str) -> None:
    """Means with intervals, and a dot for each seed."""
    colour, marker = METHOD_COLOURS[method], METHOD_MARKERS[method]
    ax.plot(x, rows["accuracy"], ".", color=colour, markersize=4, alpha=0.6)
    means = _means(rows).assign(x=lambda m: m["epsilon"].map(dict(zip(rows["epsilon"], x))))
    means = means.sort_values("x")
    ax.errorbar(means["x"], means["mean"], means["interval"].fillna(0), color=colour, capsize=3,
                marker=marker, markersize=7, markeredgecolor="white",
                label=METHOD_NAMES[method])  # fmt: skip


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """``tables.summarise`` for each epsilon."""
    parts = [summarise(part).assign(epsilon=e) for e, part in rows.groupby("epsilon")]
    return pd.concat(parts, ignore_index=True)


def _epsilon_title(panels: list) -> str:
    """What the strictest and the loosest promise cost ``lora+patch``, in the first panel."""
    (dataset, cipher), part = panels[0]
    means = _means(part)
    method = "lora+patch" if (means["method"] == "lora+patch").any() else means["method"].iloc[0]
    mine = means[means["method"] == method].sort_values("epsilon")
    found = [
        f"{line.mean:.0%} at ε = {line.epsilon:g}" if np.isfinite(line.epsilon) else
        f"{line.mean:.0%} without" for line in mine.iloc[[0, -1]].itertuples()
    ]  # fmt: skip
    where = f"{dataset}, {CIPHER_NAMES.get(cipher, cipher)}"
    return f"{where}: {method} reaches {', '.join(found)}"


def _lost(rows: pd.DataFrame) -> str:
    means = _means(rows)
    strict = means[means["epsilon"] == means["epsilon"].min()]
    best = strict.loc[strict["mean"].idxmax()]
    largest = strict.loc[strict["trainable"].idxmax()]
    return f"{best['method']} {best['mean']:.0%}, {largest['method']} {largest['mean']:.0%}"


def _whole_decades(ax: Axes, values: pd.Series) -> None:
    """Limit a log axis to whole powers of ten, so that its labels are round."""
    low, high = np.log10(values.min()), np.log10(values.max())
    ax.set_xlim(0.8 * 10 ** np.floor(low), 10 ** max(np.ceil(high), np.floor(low) + 1))
    ax.minorticks_off()
