"""Which rows of a results table a picture shows, and what they say in words and as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lorakit.figures.captions import best_within
from lorakit.figures.style import CIPHER_NAMES
from lorakit.figures.tables import KEYS, apart, epsilon_name

BY = [*KEYS, "epsilon"]  # what tells lines apart


def choose(
    rows: pd.DataFrame, dataset: str, x: str, hue: str, cipher: str, epsilon: float
) -> pd.DataFrame:
    """The rows of one data set, and of a cipher and an epsilon unless x or hue shows them."""
    mine = rows[rows["dataset"] == dataset]
    for name, value in (("cipher", cipher), ("epsilon", epsilon)):
        if name not in (x, hue):
            mine = mine[mine[name] == value]
    return mine


def trainings(rows: pd.DataFrame) -> pd.Series:
    """A name for each row whose settings differ from others that a picture shows alike, or NaN.

    Those would be averaged as if they were repetitions; one of them has to be chosen.
    """
    names = pd.Series(np.nan, index=rows.index, dtype=object)
    if different := apart(rows, BY):
        several = rows.duplicated([*BY, "seed"], keep=False)
        cells = rows[BY].merge(rows.loc[several, BY].drop_duplicates(), how="left",
                                indicator=True)["_merge"].eq("both").to_numpy()  # fmt: skip
        names[cells] = [
            ", ".join(f"{n} {v:g}" if isinstance(v, float) else f"{n} {v}" for n, v in line.items())
            for line in rows.loc[cells, different].to_dict("records")
        ]
    return names


def best_in_words(
    rows: pd.DataFrame, dataset: str, cipher: str, parameters: float, budget: float
) -> str:
    """The best method within a budget, in words."""
    limit = f"up to {parameters:,.0f} parameters, " + (
        f"ε up to {budget:g}" if np.isfinite(budget) else "with or without privacy"
    )
    text = f"{CIPHER_NAMES.get(cipher, cipher)}, {limit}: "
    try:
        names = rows["training"] if "training" in rows else trainings(rows)
        best = best_within(rows[names.isna()], dataset, cipher,
                           parameters=int(parameters), epsilon=budget).iloc[0]  # fmt: skip
    except ValueError:
        return text + "no run in the table is within it"
    lora = f", r = {best['rank']:.0f} on {best['targets']}" if best["rank"] > 0 else ""
    sure = f" ± {100 * best['interval']:.1f}" if np.isfinite(best["interval"]) else ""
    return (
        f"{text}best is {best['method']}{lora}: {best['mean']:.1%}{sure}, "
        f"{best['trainable']:,} parameters, {epsilon_name(best['epsilon'])}"
    )


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Columns in words, few digits."""
    return pd.DataFrame({
        "method": table["method"],
        "cipher": [CIPHER_NAMES.get(c, c) for c in table["cipher"]],
        "LoRA on": table["targets"].astype(object).fillna(""),
        "r": [f"{r:.0f}" if r > 0 else "" for r in table["rank"]],
        "ε": [f"{e:g}" if np.isfinite(e) else "∞" for e in table["epsilon"]],
        "accuracy": [f"{100 * m:.1f}" + (f" ± {100 * i:.1f}" if i >= 0 else "") + " %"
                     for m, i in zip(table["mean"], table["interval"])],
        "seeds": table["seeds"],
        "parameters": [f"{n:,}" for n in table["trainable"]],
    })  # fmt: skip
