"""Figures drawn from the results table; each function returns a matplotlib Figure."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lorakit.draw import (
    accuracy_axis,
    by_dataset,
    line_of_means,
    mean_and_seeds,
    need,
    panels,
    series,
    series_name,
    suptitle,
)
from lorakit.style import (
    CIPHER_NAMES,
    CIPHER_SHOWN,
    DATASET_NAMES,
    METHOD_COLOURS,
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
    need(rows, f"rank={rank}, targets={targets!r}")
    with style():
        figure, axes = panels(rows, width=6.6)
        for ax, (name, part) in zip(axes, by_dataset(rows)):
            ciphers = [c for c in CIPHER_NAMES if c in set(part["cipher"])]
            ciphers += sorted(set(part["cipher"]) - set(ciphers))
            lines = list(series(part))
            for i, (method, targets, mine) in enumerate(lines):
                shift = (i - (len(lines) - 1) / 2) * 0.16
                for j, cipher in enumerate(ciphers):
                    seeds = mine[mine["cipher"] == cipher]
                    mean_and_seeds(ax, j + shift, seeds, series_name(method, targets))
            labels = [CIPHER_NAMES.get(c, c).replace(" + ", "\n+ ") for c in ciphers]
            ax.set_xticks(range(len(ciphers)), labels)
            ax.set_xlim(-0.5, len(ciphers) - 0.5)
            ax.set_xlabel("encryption of all images, training and test")
            ax.grid(False, axis="x")
            accuracy_axis(ax, name)
        encrypted = rows[rows["cipher"] == CIPHER_SHOWN]
        _finish(figure, axes, rows if encrypted.empty else encrypted)
        return figure


def plot_accuracy_by_rank(rows: pd.DataFrame, cipher: str = CIPHER_SHOWN) -> Figure:
    """Accuracy against LoRA's rank, with the methods that have no rank as level lines.

    Raises:
        ValueError: the table has no row with this cipher.
    """
    rows = rows[rows["cipher"] == cipher]
    need(rows, f"cipher={cipher!r}")
    with style():
        figure, axes = panels(rows, width=5.6)
        for ax, (name, part) in zip(axes, by_dataset(rows)):
            for method, targets, mine in series(part):
                if targets is None:
                    dashes = {"full": "--", "probe": ":"}.get(method, "-.")
                    look = {"color": METHOD_COLOURS[method], "linestyle": dashes}
                    ax.axhline(mine["accuracy"].mean(), label=series_name(method, targets), **look)
                else:
                    line_of_means(ax, mine, "rank", method, targets)
            ranks = sorted(part["rank"].dropna().unique())
            ax.set_xscale("log", base=2)
            ax.set_xticks(ranks, [str(int(r)) for r in ranks])
            ax.minorticks_off()
            ax.set_xlabel("rank r of LoRA")
            accuracy_axis(ax, name)
        _finish(figure, axes, rows)
        return figure


def plot_accuracy_by_parameters(rows: pd.DataFrame, cipher: str = CIPHER_SHOWN) -> Figure:
    """Accuracy against the number of trainable parameters, on a logarithmic axis.

    Raises:
        ValueError: the table has no row with this cipher.
    """
    rows = rows[rows["cipher"] == cipher]
    need(rows, f"cipher={cipher!r}")
    with style():
        figure, axes = panels(rows, width=5.6)
        for ax, (name, part) in zip(axes, by_dataset(rows)):
            for method, targets, mine in series(part):
                line_of_means(ax, mine, "trainable", method, targets)
            ax.set_xscale("log")
            ax.set_xlabel("trainable parameters, head included")
            accuracy_axis(ax, name)
        _finish(figure, axes, rows)
        return figure


def plot_accuracy_by_epochs(rows: pd.DataFrame, cipher: str = CIPHER_SHOWN) -> Figure:
    """Accuracy against the length of training, for what was trained for more than one length.

    Raises:
        ValueError: no series with this cipher has two lengths, or ``full`` has not.
    """
    rows = rows[(rows["cipher"] == cipher) & (rows["rank"].isna() | (rows["rank"] == 4))]
    found = [s for _, part in by_dataset(rows) for s in series(part) if _lengths(s[2]) > 1]
    need(rows if found else rows[:0], f"several epochs of one run, cipher={cipher!r}")
    rows = pd.concat([mine for _, _, mine in found])
    with style():
        figure, axes = panels(rows, width=5.6)
        for ax, (name, part) in zip(axes, by_dataset(rows)):
            for method, targets, mine in series(part):
                line_of_means(ax, mine, "epochs", method, targets)
            ax.set_xticks(sorted(part["epochs"].unique()))
            ax.set_xlabel("epochs of training")
            accuracy_axis(ax, name)
            ax.set_ylim(0.5, 1.03)
        axes[0].set_ylabel("test accuracy")
        means = rows.groupby(["method", "epochs"])["accuracy"].mean().unstack()
        gap = 100 * (means.loc["full"] - means.loc["lora+patch"])
        text = ", ".join(f"{gap[n]:.1f} after {n}" for n in means.columns)
        suptitle(figure, f"points lora+patch lacks to full: {text} epochs")
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


def _lengths(rows: pd.DataFrame) -> int:
    return rows["epochs"].nunique()


def _finish(figure: Figure, axes: list[Axes], rows: pd.DataFrame) -> None:
    """The legend, and a title: means on the first data set, LoRA on q+v at rank 4."""
    axes[0].set_ylabel("test accuracy")
    name, rows = by_dataset(rows)[0]
    means = summarise(rows)
    at = (means["targets"] == TARGETS_SHOWN) & (means["rank"] == 4)
    shown = means[means["rank"].isna() | at].set_index("method")["mean"]
    found = [f"{m} {shown[m]:.0%}" for m in ("full", "lora+patch", "lora", "probe") if m in shown]
    cipher = rows["cipher"].iloc[0]
    where = f"{name}, {CIPHER_NAMES.get(cipher, cipher)}, r = 4"
    suptitle(figure, f"{where}: {', '.join(found)}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=min(2 * len(axes), 4))
