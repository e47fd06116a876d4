"""Summaries of the results table, as data and as text for a page or a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lorakit.figures.style import CIPHER_NAMES, DATASET_NAMES, METHOD_NAMES
from lorakit.runtime import write_atomic

KEYS = ["dataset", "cipher", "method", "targets", "rank"]
MEASURED = ["id", "accuracy", "loss", "train_loss", "epsilon_spent", "trainable", "total"]
MEASURED += ["seconds", "peak_memory_mb", "device", "versions"]  # all other columns are settings


def summarise(rows: pd.DataFrame, by: Sequence[str] = KEYS) -> pd.DataFrame:
    """One line for each combination of settings: the mean over seeds.

    Args:
        rows: a results table.
        by: the columns that tell lines apart.

    Returns:
        Columns: those of ``by``, ``mean`` accuracy (0 to 1), ``interval`` (half-width of the
        Student-t 95 % confidence interval of the mean over seeds; NaN for one seed), ``seeds``,
        ``trainable`` parameters, ``share`` of the backbone's parameters (0 to 1; the smallest
        total in the rows of a backbone, since LoRA adds to it).

    Raises:
        ValueError: two rows differ in none of these nor the seed, so they are not repetitions.
    """
    from scipy.stats import t

    by = list(by)
    if rows.duplicated([*by, "seed"]).any():
        raise ValueError(f"rows: some agree in {by} and seed; choose one setting of the others")
    share = rows["trainable"] / rows.groupby("backbone")["total"].transform("min")
    groups = rows.assign(share=share).groupby(by, dropna=False, sort=False)
    summary = groups.agg(
        mean=("accuracy", "mean"),
        interval=("accuracy", "sem"),
        seeds=("accuracy", "size"),
        trainable=("trainable", "first"),
        share=("share", "first"),
    ).reset_index()
    summary = summary.astype({key: rows[key].dtype for key in by})  # None alone would become NaN
    summary["interval"] *= t.ppf(0.975, np.maximum(summary["seeds"] - 1, 1))
    return summary


def apart(rows: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """Settings in which rows differ that agree in ``by`` and the seed, so are no repetitions."""
    settings = [name for name in rows if name not in (*MEASURED, *by)]
    several = rows[rows.duplicated([*by, "seed"], keep=False)]
    counts = several.groupby([*by, "seed"], dropna=False)[settings].nunique(dropna=False)
    return [name for name in settings if name != "seed" and (counts[name] > 1).any()]


def accuracy_table(rows: pd.DataFrame, across: str = "cipher") -> pd.DataFrame:
    """Accuracy in percent ± interval, ready to print: a line for each method, data set and so on.

    Args:
        rows: a results table.
        across: the setting that has a column for each of its values, ``cipher`` or ``epsilon``.
    """
    summary = summarise(rows, dict.fromkeys([*KEYS, across]))
    summary["cell"] = [_cell(m, i) for m, i in zip(summary["mean"], summary["interval"])]
    summary["targets"] = summary["targets"].fillna("")
    summary["rank"] = summary["rank"].fillna(0).astype(int)
    lines = [key for key in KEYS if key != across]
    wide = summary.pivot(index=[*lines, "trainable", "share"], columns=across, values="cell")
    wide = wide[in_order(summary[across])].fillna("").reset_index()
    for key in lines[::-1]:  # a stable sort by each, the first one last
        order = {value: place for place, value in enumerate(in_order(wide[key]))}
        wide = wide.sort_values(key, key=lambda column: column.map(order), kind="stable")
    names = (
        {e: epsilon_name(e) for e in summary["epsilon"]} if across == "epsilon" else CIPHER_NAMES
    )
    table = wide.assign(
        rank=[str(r) if r else "" for r in wide["rank"]],
        trainable=[f"{n:,}" for n in wide["trainable"]],
        share=[f"{s:.2%}" for s in wide["share"]],
    )
    return table.rename(columns=names).reset_index(drop=True).rename_axis(columns=None)


def in_order(values: Iterable) -> list:
    """The different values in the order figures and tables show them: known names, then sorted."""
    known = [*DATASET_NAMES, *CIPHER_NAMES, *METHOD_NAMES]
    place = {name: number for number, name in enumerate(known)}
    return sorted(set(values), key=lambda v: (place.get(v, len(known)), v))


def epsilon_name(epsilon: float) -> str:
    """How a privacy budget is called: ``ε = 2``, or ``no privacy`` for infinity."""
    return f"ε = {epsilon:g}" if np.isfinite(epsilon) else "no privacy"


def save_table(table: pd.DataFrame, stem: str | Path) -> list[Path]:
    """Write a table as ``stem`` + .csv, .md and .tex; returns the paths."""
    head = "| " + " | ".join(table.columns) + " |\n|" + " --- |" * len(table.columns) + "\n"
    body = "".join("| " + " | ".join(map(str, row)) + " |\n" for row in table.to_numpy())
    tex = table.to_latex(index=False, escape=True).replace("±", r"$\pm$")
    texts = {".csv": table.to_csv(index=False), ".md": head + body, ".tex": tex}
    paths = [Path(f"{stem}{ending}") for ending in texts]
    for path, text in zip(paths, texts.values()):
        write_atomic(text, path)
    return paths


def _cell(mean: float, interval: float) -> str:
    return f"{100 * mean:.1f}" + ("" if np.isnan(interval) else f" ± {100 * interval:.1f}")
