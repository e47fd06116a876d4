"""What spreads a result, key or seed? ``python -m figures.studies.crossed``; it resumes.

Elsewhere a seed makes the key too. Here five keys meet three seeds (start and order of images) on
4,000 encrypted clothes, with the settings of the study ``ciphers``.
"""

from pathlib import Path

import pandas as pd

from figures.studies.claim import cells
from lorakit.experiments.sweep import sweep
from lorakit.figures.style import CIPHER_SHOWN

TABLE = Path("figures/results/crossed.csv")
METHODS, KEYS, SEEDS = ("full", "lora+patch"), range(5), range(3)


def spread(rows: pd.DataFrame) -> pd.Series:
    """Of accuracy, standard deviations from the key, the seed, and what is left.

    Analysis of variance in a two-way layout with random effects and one row for each ``key_seed``
    and ``seed``; an estimate below zero is zero.
    """
    grid = rows.pivot(index="key_seed", columns="seed", values="accuracy")  # (k, s)
    k, s = grid.shape
    by_key, by_seed = grid.mean(axis=1), grid.mean(axis=0)
    rest = grid.sub(by_key, axis=0).sub(by_seed, axis=1) + grid.to_numpy().mean()
    left = (rest**2).to_numpy().sum() / ((k - 1) * (s - 1))
    found = {"key": by_key.var() - left / s, "seed": by_seed.var() - left / k, "rest": left}
    return pd.Series(found).clip(lower=0) ** 0.5


def run_crossed() -> pd.DataFrame:
    """The rows of every method, key and seed; those whose key has their own seed say so."""
    usual = [e for e in cells("ciphers", "vit_micro") if e.cipher == CIPHER_SHOWN]
    chosen = [e for e in usual if e.method in METHODS]
    runs = [e.replace(seed=s, key_seed=k) for k in KEYS for s in SEEDS for e in chosen]
    rows = sweep(runs, TABLE)
    return rows.assign(key_seed=rows["key_seed"].fillna(rows["seed"]))


if __name__ == "__main__":
    for method, part in run_crossed().groupby("method"):
        print(method, (100 * spread(part)).round(2).to_dict())
