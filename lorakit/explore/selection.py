"""Which rows of a results table a picture shows, and what they say in words and as a table."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from lorakit.figures.captions import best_within
from lorakit.figures.style import CIPHER_NAMES
from lorakit.figures.tables import KEYS, apart, cell, epsilon_name

BY = [*KEYS, "epsilon"]  # what tells lines apart


def choose(rows: pd.DataFrame, shown: Collection[str] = (), **values: object) -> pd.DataFrame:
    """The rows with these values, except of columns that the picture shows all values of."""
    for name, value in values.items():
        if name not in shown:
            rows = rows[rows[name] == value]
    return rows


def trainings(rows: pd.DataFrame) -> pd.Series:
    """A name for each row whose settings differ from others that a picture shows alike, or NaN.

    Those would be averaged as if they were repetitions; one of them has to be chosen.
    """
    names = pd.Series(np.nan, index=rows.index, dtype=object)
    if different := apart(rows, BY):
        several = rows.loc[rows.duplicated([*BY, "seed"], keep=False), BY].drop_duplicates()
        alike = rows[BY].merge(several, how="left", indicator=True)["_merge"] == "both"
        names[alike.to_numpy()] = [
            ", ".join(f"{n} {v:g}" if isinstance(v, float) else f"{n} {v}" for n, v in line.items())
            for line in rows.loc[alike.to_numpy(), different].to_dict("records")
        ]
    return names


def best_in_words(
    rows: pd.DataFrame, dataset: str, cipher: str, parameters: float, budget: float
) -> str:
    """The best method within a budget."""
    limit = f"ε up to {budget:g}" if np.isfinite(budget) else "with or without privacy"
    text = f"{CIPHER_NAMES.get(cipher, cipher)}, up to {parameters:,.0f} parameters, {limit}: "
    names = rows["training"] if "training" in rows else trainings(rows)
    limits = {"parameters": int(parameters), "epsilon": budget}
    try:
        best = best_within(rows[names.isna()], dataset, cipher, **limits).iloc[0]
    except ValueError:
        return text + "no run in the table is within it"
    lora = f", r = {best['rank']:.0f} on {best['targets']}" if best["rank"] > 0 else ""
    sure = f" ± {100 * best['interval']:.1f}" if np.isfinite(best["interval"]) else ""
    return (
        f"{text}best is {best['method']}{lora}: {best['mean']:.1%}{sure}, "
        f"{best['trainable']:,} parameters, {epsilon_name(best['epsilon'])}"
    )


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of ``summarise`` with columns in words, and few digits."""
    columns = {
        "method": table["method"],
        "cipher": [CIPHER_NAMES.get(c, c) for c in table["cipher"]],
        "LoRA on": table["targets"].astype(object).fillna(""),
        "r": [f"{r:.0f}" if r > 0 else "" for r in table["rank"]],
        "ε": [f"{e:g}" if np.isfinite(e) else "∞" for e in table["epsilon"]],
        "accuracy": [f"{cell(m, i)} %" for m, i in zip(table["mean"], table["interval"])],
        "seeds": table["seeds"],
        "parameters": [f"{n:,}" for n in table["trainable"]],
    }
    return pd.DataFrame(columns)
