"""What spreads a result, key or seed? ``python -m lorakit.experiments.crossed``; it resumes.

Elsewhere a seed makes the key too. Here five keys meet three seeds (start and order of images) on
4,000 encrypted clothes, with the settings of the study ``ciphers``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from lorakit.encryption.cipher import make_key
from lorakit.experiments.claim import cells
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.run import encrypt_split, load_data, train_model
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.runtime import device_name, one_thread, pick_device, versions, write_atomic
from lorakit.training.evaluate import evaluate

TABLE = Path("figures/results/crossed.csv")
METHODS, KEYS, SEEDS = ("full", "lora+patch"), range(5), range(3)


def run_crossed(experiment: Experiment, key_seed: int) -> dict[str, object]:
    """Train an experiment on pictures under the key of another seed; a row."""
    with one_thread():
        e, plain = experiment, load_data(experiment)
        key = make_key(32, 8, e.cipher.split("+"), seed=key_seed)
        hidden = {name: encrypt_split(getattr(plain, name), key) for name in ("train", "test")}
        hidden = replace(plain, **hidden)
        model, _, _ = train_model(e.replace(cipher="none"), dataset=hidden)  # encrypted already
        accuracy = evaluate(model, hidden.test)["accuracy"]
    row = {"method": e.method, "key": key_seed, "seed": e.seed, "accuracy": accuracy}
    return row | {"device": device_name(pick_device()), "versions": versions()}


def spread(rows: pd.DataFrame, value: str = "accuracy") -> pd.Series:
    """Standard deviations from the key, the seed, and what is left, by analysis of variance.

    A two-way layout with random effects and one run in each cell; an estimate below zero is zero.

    Args:
        rows: one for each ``key`` and ``seed``.
        value: the column that spreads.
    """
    grid = rows.pivot(index="key", columns="seed", values=value)  # (k, s)
    k, s = grid.shape
    by_key, by_seed = grid.mean(axis=1), grid.mean(axis=0)
    rest = grid.sub(by_key, axis=0).sub(by_seed, axis=1) + grid.to_numpy().mean()
    left = (rest**2).to_numpy().sum() / ((k - 1) * (s - 1))
    found = {"key": by_key.var() - left / s, "seed": by_seed.var() - left / k, "rest": left}
    return pd.Series(found).clip(lower=0) ** 0.5


def main() -> pd.DataFrame:
    """Every row that is not in the table yet."""
    usual = {e.method: e for e in cells("ciphers", "vit_micro") if e.cipher == CIPHER_SHOWN}
    rows = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["method", "key", "seed"])
    done = set(rows[["method", "key", "seed"]].itertuples(index=False, name=None))
    open_ = [place for place in product(METHODS, KEYS, SEEDS) if place not in done]
    work = (delayed(run_crossed)(usual[m].replace(seed=s), k) for m, k, s in open_)
    for row in tqdm(Parallel(-1, return_as="generator")(work), total=len(open_), unit="run"):
        rows = pd.concat([rows, pd.DataFrame([row])])
        write_atomic(rows.to_csv(index=False), TABLE)
    return rows


if __name__ == "__main__":
    for method, part in main().groupby("method"):
        print(method, (100 * spread(part)).round(2).to_dict())
