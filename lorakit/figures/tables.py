"""Summaries of the results table, as data and as text for a page or a paper."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lorakit.figures.style import CIPHER_NAMES, NAMES, RANK_SHOWN, TARGETS_SHOWN
from lorakit.runtime import write_atomic

KEYS = ["dataset", "cipher", "method", "targets", "rank"]
MEASURED = ["id", "accuracy", "loss", "train_loss", "epsilon_spent", "trainable", "total"]
MEASURED += ["accuracy_by_class", "tpr_at_0_1", "tpr_at_1", "mu", "posterior"]
MEASURED += ["seconds", "peak_memory_mb", "device", "versions"]  # all other columns are settings


def with_usual_lora(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without LoRA, and those with it at rank 4 on q and v."""
    usual = (rows["rank"] == RANK_SHOWN) & (rows["targets"] == TARGETS_SHOWN)
    return rows[usual | (rows["rank"].isna() & rows["targets"].isna())]


def summarise(rows: pd.DataFrame, by: Sequence[str] = KEYS) -> pd.DataFrame:
    """One line for each combination of settings: the mean over seeds.

    Rows that agree in ``by`` and the seed are no repetitions: ValueError.

    Returns:
        Columns: those of ``by``, ``mean`` accuracy (0 to 1), ``interval`` (see ``half_width``),
        ``seeds``, ``trainable`` parameters, and their ``share`` (see ``share_of``).
    """
    by = list(by)
    if rows.duplicated([*by, "seed"]).any():
        raise ValueError(f"rows: some agree in {by} and seed; choose one setting of the others")
    groups = rows.assign(share=share_of(rows)).groupby(by, dropna=False, sort=False)
    summary = groups.agg(
        mean=("accuracy", "mean"),
        interval=("accuracy", "sem"),
        seeds=("accuracy", "size"),
        trainable=("trainable", "first"),
        share=("share", "first"),
    ).reset_index()
    summary = summary.astype({key: rows[key].dtype for key in by})  # None alone would become NaN
    return summary.assign(interval=half_width(summary["interval"], summary["seeds"]))


def share_of(rows: pd.DataFrame) -> pd.Series:
    """What part of the backbone trains, whose own is the smallest total: LoRA adds to it."""
    return rows["trainable"] / rows.groupby("backbone")["total"].transform("min")


def half_width(sem: pd.Series, count: pd.Series) -> pd.Series:
    """Of Student's 95 % interval of a mean, from its standard error; NaN for a count of one."""
    from scipy.special import stdtrit  # Student's quantile, in a tenth of scipy.stats' time

    return sem * stdtrit(np.maximum(count - 1, 1), 0.975)


def accuracy_table(rows: pd.DataFrame, across: str = "cipher") -> pd.DataFrame:
    """Accuracy in percent ± interval, in words; columns are the values of cipher or epsilon."""
    summary = summarise(rows, dict.fromkeys([*KEYS, across]))
    summary["cell"] = [cell(m, i) for m, i in zip(summary["mean"], summary["interval"])]
    summary["targets"] = summary["targets"].fillna("")
    summary["rank"] = summary["rank"].fillna(0).astype(int)
    lines = [key for key in KEYS if key != across]
    wide = summary.pivot(index=[*lines, "trainable", "share"], columns=across, values="cell")
    wide = wide[in_order(summary[across])].fillna("").reset_index()
    wide = wide.sort_values(lines, key=lambda column: column.map(in_order(column).index))
    names = CIPHER_NAMES if across == "cipher" else {e: epsilon_name(e) for e in summary[across]}
    table = wide.assign(
        rank=[str(r) if r else "" for r in wide["rank"]],
        trainable=[f"{n:,}" for n in wide["trainable"]],
        share=[f"{s:.2%}" for s in wide["share"]],
    )
    return table.rename(columns=names).reset_index(drop=True).rename_axis(columns=None)


def in_order(values: Iterable) -> list:
    """The different values in the order figures and tables show them: known names, then sorted."""
    place = {name: number for number, name in enumerate(NAMES)}
    return sorted(set(values), key=lambda v: (place.get(v, len(place)), v))


def epsilon_name(epsilon: float) -> str:
    """How a privacy budget is called: ``ε = 2``, or ``no noise`` for infinity."""
    return f"ε = {epsilon:g}" if np.isfinite(epsilon) else "no noise"


def cell(mean: float, interval: float) -> str:
    """Percent ± half-width, from shares of one; without an interval the mean alone."""
    return f"{100 * mean:.1f}" + ("" if np.isnan(interval) else f" ± {100 * interval:.1f}")


def save_table(table: pd.DataFrame, stem: str | Path) -> list[Path]:
    """Write a table as ``stem`` + .csv, .md and .tex; returns the paths."""
    lines = [table.columns, ["---"] * len(table.columns), *table.to_numpy()]
    markdown = "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
    tex = table.to_latex(index=False, escape=True).replace("±", r"$\pm$")
    texts = {".csv": table.to_csv(index=False), ".md": markdown, ".tex": tex}
    for ending, text in texts.items():
        write_atomic(text, f"{stem}{ending}")
    return [Path(f"{stem}{ending}") for ending in texts]
