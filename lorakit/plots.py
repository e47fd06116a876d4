"""Figures drawn from the results table; each function returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lorakit.style import (
    CIPHER_NAMES,
    CIPHER_SHOWN,
    DATASET_NAMES,
    METHOD_COLOURS,
    METHOD_MARKERS,
    METHOD_NAMES,
    TARGETS_SHOWN,
    style,
)
from lorakit.tables import summarise


def plot_accuracy_by_method(
    rows: pd.DataFrame, rank: int = 4, targets: str = TARGETS_SHOWN
) -> Figure:
    """Accuracy of each method under each cipher; a dot for each seed, a bar for the interval.

    Args:
        rows: a results table.
        rank, targets: of the LoRA methods; other LoRA rows are left out.

    Raises:
        ValueError: the table has no row to draw.
    """
    mine = (rows["rank"] == rank) & (rows["targets"] == targets)
    rows = rows[rows["rank"].isna() | mine]
    _need(rows, f"rank={rank}, targets={targets!r}")
    with style():
        figure, axes = _panels(rows, width=6.6)
        for ax, (name, part) in zip(axes, _by_dataset(rows)):
            ciphers = [c for c in CIPHER_NAMES if c in set(part["cipher"])]
            ciphers += sorted(set(part["cipher"]) - set(ciphers))
            series = list(_series(part))
            for i, (method, targets, mine) in enumerate(series):
                shift = (i - (len(series) - 1) / 2) * 0.16
                for j, cipher in enumerate(ciphers):
                    seeds = mine[mine["cipher"] == cipher]
                    _mean_and_seeds(ax, j + shift, seeds, _name(method, targets))
            labels = [CIPHER_NAMES.get(c, c).replace(" + ", "\n+ ") for c in ciphers]
            ax.set_xticks(range(len(ciphers)), labels)
            ax.set_xlim(-0.5, len(ciphers) - 0.5)
            ax.set_xlabel("encryption of all images, training and test")
            ax.grid(False, axis="x")
            _accuracy_axis(ax, name)
        encrypted = rows[rows["cipher"] == CIPHER_SHOWN]
        _finish(figure, axes, rows if encrypted.empty else encrypted)
        return figure


def plot_accuracy_by_rank(rows: pd.DataFrame, cipher: str = CIPHER_SHOWN) -> Figure:
    """Accuracy against LoRA's rank, with the methods that have no rank as level lines.

    Raises:
        ValueError: the table has no row with this cipher.
    """
    rows = rows[rows["cipher"] == cipher]
    _need(rows, f"cipher={cipher!r}")
    with style():
        figure, axes = _panels(rows, width=5.6)
        for ax, (name, part) in zip(axes, _by_dataset(rows)):
            for method, targets, mine in _series(part):
                if targets is None:
                    dashes = {"full": "--", "probe": ":"}.get(method, "-.")
                    look = {"color": METHOD_COLOURS[method], "linestyle": dashes}
                    ax.axhline(mine["accuracy"].mean(), label=_name(method, targets), **look)
                else:
                    _line(ax, mine, "rank", method, targets)
            ranks = sorted(part["rank"].dropna().unique())
            ax.set_xscale("log", base=2)
            ax.set_xticks(ranks, [str(int(r)) for r in ranks])
            ax.minorticks_off()
            ax.set_xlabel("rank r of LoRA")
            _accuracy_axis(ax, name)
        _finish(figure, axes, rows)
        return figure


def plot_accuracy_by_parameters(rows: pd.DataFrame, cipher: str = CIPHER_SHOWN) -> Figure:
    """Accuracy against the number of trainable parameters, on a logarithmic axis.

    Raises:
        ValueError: the table has no row with this cipher.
    """
    rows = rows[rows["cipher"] == cipher]
    _need(rows, f"cipher={cipher!r}")
    with style():
        figure, axes = _panels(rows, width=5.6)
        for ax, (name, part) in zip(axes, _by_dataset(rows)):
            for method, targets, mine in _series(part):
                _line(ax, mine, "trainable", method, targets)
            ax.set_xscale("log")
            ax.set_xlabel("trainable parameters, head included")
            _accuracy_axis(ax, name)
        _finish(figure, axes, rows)
        return figure


def plot_accuracy_by_epochs(rows: pd.DataFrame, cipher: str = CIPHER_SHOWN) -> Figure:
    """Accuracy against the length of training, for what was trained for more than one length.

    Raises:
        ValueError: no series with this cipher has two lengths, or ``full`` has not.
    """
    rows = rows[(rows["cipher"] == cipher) & (rows["rank"].isna() | (rows["rank"] == 4))]
    series = [s for _, part in _by_dataset(rows) for s in _series(part) if _lengths(s[2]) > 1]
    _need(rows if series else rows[:0], f"several epochs of one run, cipher={cipher!r}")
    rows = pd.concat([mine for _, _, mine in series])
    with style():
        figure, axes = _panels(rows, width=5.6)
        for ax, (name, part) in zip(axes, _by_dataset(rows)):
            for method, targets, mine in _series(part):
                _line(ax, mine, "epochs", method, targets)
            ax.set_xticks(sorted(part["epochs"].unique()))
            ax.set_xlabel("epochs of training")
            _accuracy_axis(ax, name)
            ax.set_ylim(0.5, 1.0)
        axes[0].set_ylabel("test accuracy")
        means = rows.groupby(["method", "epochs"])["accuracy"].mean().unstack()
        gap = 100 * (means.loc["full"] - means.loc["lora+patch"])
        text = ", ".join(f"{gap[n]:.1f} points after {n} epochs" for n in means.columns)
        figure.suptitle(f"lora+patch falls short of full by {text}", fontweight="bold", x=0.01,
                        ha="left")  # fmt: skip
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncol=1)
        return figure


def finding(rows: pd.DataFrame, dataset: str, cipher: str = CIPHER_SHOWN) -> str:
    """What a table says of the paper's claim on one data set, in a sentence with its numbers.

    Every pair of ``lora+patch`` and ``lora`` with the same targets and rank is compared.

    Raises:
        ValueError: the table lacks this data set, this cipher, or one of the methods.
    """
    rows = rows[(rows["dataset"] == dataset) & (rows["cipher"] == cipher)]
    means = summarise(rows).set_index("method")
    if missing := {"lora", "lora+patch", "full"} - set(means.index):
        raise ValueError(f"rows: no {sorted(missing)} with dataset={dataset!r}, cipher={cipher!r}")
    pairs = means.loc[["lora+patch"]].merge(
        means.loc[["lora"]], on=["targets", "rank"], suffixes=("", "_lora")
    )
    full = means.loc[["full"]].iloc[0]["mean"]
    text = f"{DATASET_NAMES.get(dataset, dataset)}, {CIPHER_NAMES.get(cipher, cipher)}: "
    for pair in pairs.itertuples():
        text += (
            f"LoRA on {pair.targets} at rank {int(pair.rank)}: lora+patch {pair.mean:.1%} with "
            f"{pair.share:.1%} of the parameters, {100 * (pair.mean - pair.mean_lora):+.1f} points "
            f"against lora and {100 * (pair.mean - full):+.1f} against full; "
        )
    return text + f"full fine-tuning {full:.1%}."


def _series(rows: pd.DataFrame) -> Iterator[tuple[str, str | None, pd.DataFrame]]:
    """Method, targets (None without LoRA) and rows of each line, in the legend's order."""
    for method in METHOD_NAMES:
        mine = rows[rows["method"] == method]
        if mine["targets"].isna().any():
            yield method, None, mine[mine["targets"].isna()]
        for targets in sorted(mine["targets"].dropna().unique(), reverse=True):
            yield method, targets, mine[mine["targets"] == targets]


def _lengths(rows: pd.DataFrame) -> int:
    return rows["epochs"].nunique()


def _name(method: str, targets: str | None) -> str:
    where = "" if targets in (None, TARGETS_SHOWN) else f" on {targets}"
    return METHOD_NAMES[method] + where


def _line(ax: Axes, rows: pd.DataFrame, x: str, method: str, targets: str | None) -> None:
    groups = list(rows.groupby(x))
    means = [part["accuracy"].mean() for _, part in groups]
    ax.plot([value for value, _ in groups], means, color=METHOD_COLOURS[method])
    for value, part in groups:
        _mean_and_seeds(ax, value, part, _name(method, targets))


def _mean_and_seeds(ax: Axes, x: float, rows: pd.DataFrame, name: str) -> None:
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


def _panels(rows: pd.DataFrame, width: float) -> tuple[Figure, list[Axes]]:
    n = rows["dataset"].nunique()
    figure, axes = plt.subplots(1, n, figsize=(width * n if n > 1 else width + 1, 4.6), sharey=True)
    return figure, [axes] if n == 1 else list(axes)


def _by_dataset(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    names = [*DATASET_NAMES, *sorted(set(rows["dataset"]) - set(DATASET_NAMES))]
    return [(n, rows[rows["dataset"] == n]) for n in names if n in set(rows["dataset"])]


def _accuracy_axis(ax: Axes, name: str) -> None:
    ax.set_ylim(0, 1.03)
    ax.axhline(0.1, color="#BBBBBB", linewidth=1, zorder=0)
    ax.annotate("chance", (1, 0.1), xycoords=("axes fraction", "data"), ha="right", va="top",
                fontsize=9, color="#777777")  # fmt: skip
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_title(DATASET_NAMES.get(name, name))


def _finish(figure: Figure, axes: list[Axes], rows: pd.DataFrame) -> None:
    """The legend, and a title: means on the first data set, LoRA on q+v at rank 4."""
    axes[0].set_ylabel("test accuracy")
    name, rows = _by_dataset(rows)[0]
    means = summarise(rows)
    at = (means["targets"] == TARGETS_SHOWN) & (means["rank"] == 4)
    shown = means[means["rank"].isna() | at].set_index("method")["mean"]
    found = [f"{m} {shown[m]:.0%}" for m in ("full", "lora+patch", "lora", "probe") if m in shown]
    cipher = rows["cipher"].iloc[0]
    where = f"{name}, {CIPHER_NAMES.get(cipher, cipher)}, r = 4"
    figure.suptitle(f"{where}: {', '.join(found)}", fontweight="bold", x=0.01, ha="left")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=min(4, len(labels)))


def _need(rows: pd.DataFrame, what: str) -> None:
    if rows.empty:
        raise ValueError(f"rows: the table has none with {what}")
