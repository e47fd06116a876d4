"""Summaries of the results table, as data and as text for a page or a paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lorakit.files import write_atomic

KEYS = ["dataset", "cipher", "method", "targets", "rank"]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One line for each data set, cipher, method, targets and rank.

    Returns:
        Columns: the five keys, ``mean`` accuracy (0 to 1), ``interval`` (half-width of the
        Student-t 95 % confidence interval of the mean over seeds; NaN for one seed), ``seeds``,
        ``trainable`` parameters, ``share`` of the backbone's parameters (0 to 1; the smallest
        total in the rows of a backbone, since LoRA adds to it).

    Raises:
        ValueError: two rows differ in none of the keys nor the seed, so they are not repetitions.
    """
    from scipy.stats import t

    if rows.duplicated([*KEYS, "seed"]).any():
        raise ValueError(f"rows: some agree in {KEYS} and seed; choose one setting of the others")
    share = rows["trainable"] / rows.groupby("backbone")["total"].transform("min")
    groups = rows.assign(share=share).groupby(KEYS, dropna=False, sort=False)
    summary = groups.agg(
        mean=("accuracy", "mean"),
        interval=("accuracy", "sem"),
        seeds=("accuracy", "size"),
        trainable=("trainable", "first"),
        share=("share", "first"),
    ).reset_index()
    summary["interval"] *= t.ppf(0.975, np.maximum(summary["seeds"] - 1, 1))
    return summary


def method_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Method by cipher, ready to print: accuracy in percent ± interval, parameters, share."""
    from lorakit.style import CIPHER_NAMES, METHOD_NAMES

    summary = summarise(rows)
    summary["cell"] = [_cell(m, i) for m, i in zip(summary["mean"], summary["interval"])]
    place = summary["method"].map({name: place for place, name in enumerate(METHOD_NAMES)})
    summary = summary.assign(place=place, targets=summary["targets"].fillna(""))
    summary["rank"] = summary["rank"].fillna(0).astype(int)
    index = ["dataset", "place", "method", "targets", "rank", "trainable", "share"]
    lines = summary.pivot(index=index, columns="cipher", values="cell").fillna("").reset_index()
    lines = lines.sort_values(
        ["dataset", "place", "targets", "rank"], ascending=[False, *[True] * 3]
    )
    known = [cipher for cipher in CIPHER_NAMES if cipher in lines]
    shown = [*known, *sorted(set(summary["cipher"]) - set(known))]
    table = lines[["dataset", "method", "targets", "rank", "trainable", "share", *shown]]
    table = table.assign(
        rank=[str(r) if r else "" for r in lines["rank"]],
        trainable=[f"{n:,}" for n in lines["trainable"]],
        share=[f"{s:.2%}" for s in lines["share"]],
    )
    return table.rename(columns=CIPHER_NAMES).reset_index(drop=True).rename_axis(columns=None)


def privacy_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Method by epsilon, ready to print: accuracy in percent ± interval; infinity is no privacy."""
    parts = [summarise(part).assign(epsilon=e) for e, part in rows.groupby("epsilon")]
    summary = pd.concat(parts, ignore_index=True)
    summary["cell"] = [_cell(m, i) for m, i in zip(summary["mean"], summary["interval"])]
    summary["targets"] = summary["targets"].fillna("")
    summary["rank"] = [str(int(r)) if r > 0 else "" for r in summary["rank"]]
    lines = summary.pivot(index=KEYS, columns="epsilon", values="cell").fillna("")
    lines.columns = [f"ε = {e:g}" if np.isfinite(e) else "no privacy" for e in lines.columns]
    return lines.reset_index().sort_values(KEYS).reset_index(drop=True)


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
