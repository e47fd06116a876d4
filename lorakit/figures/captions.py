"""What a results table says, in words: sentences and headlines with their numbers."""

import numpy as np
import pandas as pd

from lorakit.figures.style import CIPHER_SHOWN, NAMES, RANK_SHOWN, TARGETS_SHOWN
from lorakit.figures.tables import KEYS, epsilon_name, in_order, summarise, told_apart


def finding(rows: pd.DataFrame, dataset: str, cipher: str = CIPHER_SHOWN) -> str:
    """What a table says of the paper's claim on one data set, in a sentence with its numbers.

    Every pair of ``lora+patch`` and ``lora`` with the same targets and rank is compared.
    """
    rows = rows[(rows["dataset"] == dataset) & (rows["cipher"] == cipher)]
    means = summarise(rows).set_index("method")
    if missing := {"lora", "lora+patch", "full"} - set(means.index):
        raise ValueError(f"rows: no {sorted(missing)} with dataset={dataset!r}, cipher={cipher!r}")
    pairs = means.loc[["lora+patch"]].merge(
        means.loc[["lora"]], on=["targets", "rank"], suffixes=("", "_lora")
    )
    full = means.loc[["full"]].iloc[0]["mean"]
    text = f"{NAMES.get(dataset, dataset)}, {NAMES.get(cipher, cipher)}: "
    for pair in pairs.itertuples():
        text += (
            f"LoRA on {pair.targets} at rank {int(pair.rank)}: lora+patch {pair.mean:.1%} with "
            f"{pair.share:.1%} of the parameters, {100 * (pair.mean - pair.mean_lora):+.1f} points "
            f"against lora and {100 * (pair.mean - full):+.1f} against full; "
        )
    return text + f"full fine-tuning {full:.1%}."


def headline(rows: pd.DataFrame, x: str, hue: str = "method") -> str:
    """What a figure shows, for above it; of the first data set and the cipher that matters."""
    dataset = in_order(rows["dataset"])[0]
    rows = rows[rows["dataset"] == dataset]
    ciphers = in_order(rows["cipher"])
    telling = [c for c in (CIPHER_SHOWN, "shuffle") if x == "cipher" and c in ciphers]
    cipher = [*telling, *ciphers][0]
    rows = rows[rows["cipher"] == cipher]
    where = f"{dataset}, {NAMES.get(cipher, cipher)}"
    budgets = rows["epsilon"].unique()
    if len(budgets) == 1 and np.isfinite(budgets[0]):
        where += f", {epsilon_name(budgets[0])}"
    means = summarise(rows, told_apart(x, hue))
    if hue == "epsilon":
        return _strictest(means)
    if x == "epsilon":
        return f"{where}: {_extremes(means)}"
    if x == "epochs" and {"full", "lora+patch"} <= set(means["method"]):
        return _missing(rows)
    usual = (means["targets"] == TARGETS_SHOWN) & (means["rank"] == RANK_SHOWN)
    shown = means[means["rank"].isna() | usual].groupby("method")["mean"].first()
    found = [f"{m} {shown[m]:.0%}" for m in ("full", "lora+patch", "lora", "probe") if m in shown]
    return f"{where}, r = {RANK_SHOWN}: {', '.join(found)}" if found else where


def _extremes(means: pd.DataFrame) -> str:
    """What the strictest and the loosest promise leave to ``lora+patch``, or the first method."""
    method = "lora+patch" if "lora+patch" in set(means["method"]) else means["method"].iloc[0]
    mine = means[means["method"] == method].sort_values("epsilon")
    ends = mine[["mean", "epsilon"]].iloc[[0, -1]].to_numpy()
    found = [f"{m:.0%} " + (f"at ε = {e:g}" if np.isfinite(e) else "without") for m, e in ends]
    return f"{method} reaches {', '.join(found)}"


def _strictest(means: pd.DataFrame) -> str:
    """The best and the largest method under the smallest epsilon."""
    strict = means[means["epsilon"] == means["epsilon"].min()]
    best = strict.loc[strict["mean"].idxmax()]
    largest = strict.loc[strict["trainable"].idxmax()]
    found = [f"{line['method']} {line['mean']:.0%}" for line in (best, largest)]
    return f"at {epsilon_name(strict['epsilon'].iloc[0])}: {', '.join(dict.fromkeys(found))}"


def _missing(rows: pd.DataFrame) -> str:
    means = rows.groupby(["method", "epochs"])["accuracy"].mean().unstack()
    gap = 100 * (means.loc["full"] - means.loc["lora+patch"])
    text = ", ".join(f"{gap[n]:.1f} after {n}" for n in means.columns)
    return f"points lora+patch lacks to full: {text} epochs"


def best_within(
    rows: pd.DataFrame, dataset: str, cipher: str, *, parameters: int, epsilon: float = np.inf
) -> pd.DataFrame:
    """What a budget buys: lines of ``tables.summarise``, the best first; ValueError if none.

    The first is the best mean of few seeds, so it flatters itself a little.

    Args:
        parameters: at most so many trainable ones.
        epsilon: at most so much; infinity allows runs without privacy too.
    """
    mine = rows[(rows["dataset"] == dataset) & (rows["cipher"] == cipher)]
    mine = mine[(mine["trainable"] <= parameters) & (mine["epsilon"] <= epsilon)]
    if mine.empty:
        budget = f"at most {parameters:,} parameters and {epsilon_name(epsilon)}"
        raise ValueError(f"rows: none with dataset={dataset!r}, cipher={cipher!r}, {budget}")
    means = summarise(mine, [*KEYS, "epochs", "epsilon"])
    return means.sort_values("mean", ascending=False, ignore_index=True)
