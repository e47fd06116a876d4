"""Figures drawn from the results table; each function returns a matplotlib Figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lorakit.style import (
    CIPHER_NAMES,
    DATASET_NAMES,
    METHOD_COLOURS,
    METHOD_MARKERS,
    METHOD_NAMES,
    style,
)
from lorakit.tables import summarise


def plot_accuracy_by_method(rows: pd.DataFrame, rank: int = 4) -> Figure:
    """Accuracy of each method under each cipher; a dot for each seed, a bar for the interval.

    Args:
        rows: a results table; LoRA rows of other ranks are left out.
        rank: of the LoRA methods.

    Raises:
        ValueError: the table has no row to draw.
    """
    rows = rows[rows["rank"].isna() | (rows["rank"] == rank)]
    _need(rows, f"rank={rank}")
    with style():
        figure, axes = _panels(rows, width=6.6)
        for ax, (name, part) in zip(axes, _by_dataset(rows)):
            ciphers = [c for c in CIPHER_NAMES if c in set(part["cipher"])]
            methods = [m for m in METHOD_NAMES if m in set(part["method"])]
            for i, method in enumerate(methods):
                shift = (i - (len(methods) - 1) / 2) * 0.16
                for j, cipher in enumerate(ciphers):
                    mine = part[(part["method"] == method) & (part["cipher"] == cipher)]
                    _mean_and_seeds(ax, j + shift, mine, method, label=j == 0)
            labels = [CIPHER_NAMES[c].replace(" + ", "\n+ ") for c in ciphers]
            ax.set_xticks(range(len(ciphers)), labels)
            ax.set_xlim(-0.5, len(ciphers) - 0.5)
            ax.set_xlabel("encryption of all images, training and test")
            ax.grid(False, axis="x")
            _accuracy_axis(ax, name, part)
        axes[0].set_ylabel("test accuracy")
        encrypted = rows[rows["cipher"] == "shuffle+negative"]
        _finish(figure, axes[0], rows if encrypted.empty else encrypted)
        return figure


def plot_accuracy_by_rank(rows: pd.DataFrame, cipher: str = "shuffle+negative") -> Figure:
    """Accuracy against LoRA's rank, with the methods that have no rank as level lines.

    Raises:
        ValueError: the table has no row with this cipher.
    """
    rows = rows[rows["cipher"] == cipher]
    _need(rows, f"cipher={cipher!r}")
    with style():
        figure, axes = _panels(rows, width=5.2)
        for ax, (name, part) in zip(axes, _by_dataset(rows)):
            ranks = sorted(part["rank"].dropna().unique())
            for method in [m for m in METHOD_NAMES if m in set(part["method"])]:
                mine = part[part["method"] == method]
                if mine["rank"].isna().all():
                    dashes = {"full": "--", "probe": ":"}.get(method, "-.")
                    level = {"color": METHOD_COLOURS[method], "linestyle": dashes}
                    ax.axhline(mine["accuracy"].mean(), label=METHOD_NAMES[method], **level)
                    continue
                line = summarise(mine).sort_values("rank")
                ax.plot(line["rank"], line["mean"], color=METHOD_COLOURS[method])
                for rank in line["rank"]:
                    seeds = mine[mine["rank"] == rank]
                    _mean_and_seeds(ax, rank, seeds, method, label=rank == line["rank"].iloc[0])
            ax.set_xscale("log", base=2)
            ax.set_xticks(ranks, [str(int(r)) for r in ranks])
            ax.minorticks_off()
            ax.set_xlabel("rank r of LoRA")
            _accuracy_axis(ax, name, part)
        axes[0].set_ylabel("test accuracy")
        _finish(figure, axes[0], rows)
        return figure


def plot_accuracy_by_parameters(rows: pd.DataFrame, cipher: str = "shuffle+negative") -> Figure:
    """Accuracy against the number of trainable parameters, on a logarithmic axis.

    Raises:
        ValueError: the table has no row with this cipher.
    """
    rows = rows[rows["cipher"] == cipher]
    _need(rows, f"cipher={cipher!r}")
    with style():
        figure, axes = _panels(rows, width=5.2)
        for ax, (name, part) in zip(axes, _by_dataset(rows)):
            for method in [m for m in METHOD_NAMES if m in set(part["method"])]:
                mine = part[part["method"] == method]
                line = summarise(mine).sort_values("trainable")
                ax.plot(line["trainable"], line["mean"], color=METHOD_COLOURS[method])
                for i, (_, seeds) in enumerate(mine.groupby("trainable")):
                    x = seeds["trainable"].iloc[0]
                    _mean_and_seeds(ax, x, seeds, method, label=i == 0)
                if len(line) > 1:  # name the ranks at the two ends
                    for end in (0, -1):
                        spot = (line["trainable"].iloc[end], line["mean"].iloc[end])
                        ax.annotate(
                            f"r={int(line['rank'].iloc[end])}", spot, (7, -13),
                            textcoords="offset points", fontsize=9, color=METHOD_COLOURS[method],
                        )  # fmt: skip
            ax.set_xscale("log")
            ax.set_xlabel("trainable parameters, head included")
            _accuracy_axis(ax, name, part)
        axes[0].set_ylabel("test accuracy")
        _finish(figure, axes[0], rows)
        return figure


def finding(rows: pd.DataFrame, dataset: str, cipher: str = "shuffle+negative") -> str:
    """What a table says of the paper's claim on one data set, in a sentence with its numbers."""
    rows = rows[(rows["dataset"] == dataset) & (rows["cipher"] == cipher)]
    _need(rows, f"dataset={dataset!r}, cipher={cipher!r}")
    means = summarise(rows)

    def best(method: str) -> pd.Series:
        return means[means["method"] == method].sort_values("mean").iloc[-1]

    patch, lora, full = best("lora+patch"), best("lora"), best("full")
    return (
        f"{DATASET_NAMES.get(dataset, dataset)}, {CIPHER_NAMES[cipher]}: lora+patch reaches "
        f"{patch['mean']:.1%} at rank {int(patch['rank'])} with {patch['share']:.1%} of the "
        f"parameters; lora {lora['mean']:.1%} at rank {int(lora['rank'])}; full fine-tuning "
        f"{full['mean']:.1%}."
    )


def _mean_and_seeds(ax: Axes, x: float, rows: pd.DataFrame, method: str, label: bool) -> None:
    if rows.empty:
        return
    colour, marker = METHOD_COLOURS[method], METHOD_MARKERS[method]
    line = summarise(rows).iloc[0]
    if not np.isnan(line["interval"]):
        ax.errorbar(x, line["mean"], line["interval"], color=colour, capsize=3, linewidth=1.2)
        at = np.full(len(rows), float(x))
        ax.plot(at, rows["accuracy"], ".", color=colour, markersize=4, alpha=0.6)
    name = METHOD_NAMES[method] if label else None
    ax.plot(x, line["mean"], marker, color=colour, markersize=8, label=name,
            markeredgecolor="white", linestyle="none")  # fmt: skip


def _panels(rows: pd.DataFrame, width: float) -> tuple[Figure, list[Axes]]:
    n = rows["dataset"].nunique()
    figure, axes = plt.subplots(1, n, figsize=(width * n if n > 1 else width + 1, 4.4), sharey=True)
    return figure, [axes] if n == 1 else list(axes)


def _by_dataset(rows: pd.DataFrame):
    names = [*DATASET_NAMES, *sorted(set(rows["dataset"]) - set(DATASET_NAMES))]
    return [(n, rows[rows["dataset"] == n]) for n in names if n in set(rows["dataset"])]


def _accuracy_axis(ax: Axes, name: str, rows: pd.DataFrame) -> None:
    ax.set_ylim(0, 1.03)
    ax.axhline(0.1, color="#BBBBBB", linewidth=1, zorder=0)
    ax.annotate("chance", (1, 0.1), xycoords=("axes fraction", "data"), ha="right", va="top",
                fontsize=9, color="#777777")  # fmt: skip
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_title(DATASET_NAMES.get(name, name))


def _finish(figure: Figure, ax: Axes, rows: pd.DataFrame) -> None:
    """The legend, and a title that states the best mean of each method, first data set."""
    name, rows = _by_dataset(rows)[0]
    best = summarise(rows).groupby("method")["mean"].max()
    found = [f"{m} {best[m]:.0%}" for m in ("full", "lora+patch", "lora", "probe") if m in best]
    where = f"{name}, {CIPHER_NAMES.get(rows['cipher'].iloc[0], rows['cipher'].iloc[0])}"
    figure.suptitle(f"{where}: {', '.join(found)}", fontweight="bold", x=0.01, ha="left")
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=min(5, len(labels)))


def _need(rows: pd.DataFrame, what: str) -> None:
    if rows.empty:
        raise ValueError(f"rows: the table has none with {what}")
