"""Summaries of the results table, as data and as text for a page or a paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lorakit.files import write_atomic

KEYS = ["dataset", "cipher", "method", "rank"]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One line for each data set, cipher, method and rank.

    Returns:
        Columns: the four keys, ``mean`` accuracy (0 to 1), ``interval`` (half-width of the
        Student-t 95 % confidence interval of the mean over seeds; NaN for one seed), ``seeds``,
        ``trainable`` parameters, ``share`` of the model's parameters without LoRA (0 to 1).
    """
    from scipy.stats import t

    groups = rows.groupby(KEYS, dropna=False, sort=False)
    summary = groups.agg(
        mean=("accuracy", "mean"),
        interval=("accuracy", "sem"),
        seeds=("accuracy", "size"),
        trainable=("trainable", "first"),
    ).reset_index()
    summary["interval"] *= t.ppf(0.975, np.maximum(summary["seeds"] - 1, 1))
    full = rows["total"].min()  # adding LoRA adds to the total, nothing takes away
    return summary.assign(share=summary["trainable"] / full)


def method_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Method by cipher, ready to print: accuracy in percent ± interval, parameters, share."""
    from lorakit.style import CIPHER_NAMES, METHOD_NAMES

    summary = summarise(rows)
    summary["cell"] = [_cell(m, i) for m, i in zip(summary["mean"], summary["interval"])]
    summary["rank"] = ["" if np.isnan(r) else str(int(r)) for r in summary["rank"]]
    lines = summary.pivot_table(
        index=["dataset", "method", "rank", "trainable", "share"],
        columns="cipher", values="cell", aggfunc="first", fill_value="",
    ).reset_index()  # fmt: skip
    order = {name: place for place, name in enumerate(METHOD_NAMES)}
    place = lines["rank"].replace("", "0").astype(int)
    lines = lines.assign(_m=lines["method"].map(order), _r=place)
    lines = lines.sort_values(["dataset", "_m", "_r"], ascending=[False, True, True])
    shown = [cipher for cipher in CIPHER_NAMES if cipher in lines]
    table = lines[["dataset", "method", "rank", "trainable", "share", *shown]]
    table = table.assign(
        trainable=[f"{n:,}" for n in lines["trainable"]],
        share=[f"{s:.2%}" for s in lines["share"]],
    )
    return table.rename(columns=CIPHER_NAMES).reset_index(drop=True)


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
