"""Choose learning rates on a validation split: ``python -m lorakit.experiments.tune``.

Without privacy every candidate trains on encrypted ``street`` images, under privacy on plain ones,
and the one with the highest validation accuracy is used everywhere. The test split is never read.
The table is resumable, like every sweep.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import MLP
from lorakit.experiments.sweep import sweep
from lorakit.figures.style import CIPHER_SHOWN

TABLE = Path("figures/results/tuning.csv")
_RATES = ["lr_head", "lr_lora", "lr_patch_embed", "lr_position", "lr_backbone"]


def candidates(**settings: object) -> list[Experiment]:
    """The grid; where the patch embedding trains beside others, it has a rate of its own."""
    settings |= {"cipher": CIPHER_SHOWN, "test": 1, "eval_split": "val"}
    base = Experiment.from_settings(dataset="street", **settings)
    found = [base.replace(method="probe", lr_head=rate) for rate in (3e-3, 1e-2, 3e-2, 1e-1)]
    for rate in (1e-3, 2e-3, 5e-3, 1e-2):
        found.append(base.replace(method="lora", lr_head=rate, lr_lora=rate))
    for rate, patch in [*product((1e-3, 2e-3), (1e-3, 2e-3, 4e-3)), (2e-3, 8e-3), (4e-3, 4e-3)]:
        rates = {"lr_head": rate, "lr_lora": rate, "lr_patch_embed": patch}
        found.append(base.replace(method="lora+patch", **rates))
    for rate in (1e-3, 2e-3):  # more rank, or wider layers, want slower steps
        rates = {"method": "lora", "lr_head": rate, "lr_lora": rate}
        found += [base.replace(rank=16, **rates), base.replace(targets=MLP, **rates)]
    apart = ((5e-4, 4e-3), (1e-3, 4e-3), (2e-3, 4e-3), (2e-4, 4e-3), (5e-4, 8e-3))
    together = ((5e-4, 5e-4), (1e-3, 1e-3), (2e-3, 2e-3), (4e-3, 4e-3))
    for rate, patch in (*together, *apart):
        rates = {"lr_head": rate, "lr_backbone": rate, "lr_patch_embed": patch}
        found.append(base.replace(method="full", **rates))
    for rate in (2e-3, 5e-3, 1e-2, 2e-2):
        rates = {"lr_head": rate, "lr_backbone": rate, "lr_patch_embed": rate}
        found.append(base.replace(method="bitfit", **rates))
    return found


def private_candidates() -> list[Experiment]:
    """The same under differential privacy, at epsilon 2.

    All on ``digits``; the finalists on ``street`` too, which takes more steps and wants smaller
    ones. The highest mean of the two decides.
    """
    settings = {"test": 1, "eval_split": "val", "epsilon": 2.0, "batch_size": 256}
    make = Experiment.from_settings
    digits = make(dataset="digits", train=1097, val=200, epochs=6, **settings)
    street = make(dataset="street", train=10_000, val=1000, epochs=2, **settings)
    found = [digits.replace(method="probe", lr_head=rate) for rate in (3e-3, 1e-2, 3e-2, 1e-1)]
    for base, rates in ((digits, (3e-3, 1e-2, 2e-2, 4e-2, 8e-2)), (street, (2e-2, 4e-2))):
        found += [base.replace(method="lora", lr_head=rate, lr_lora=rate) for rate in rates]
    pairs = list(product((3e-3, 1e-2, 2e-2, 4e-2), (1e-3, 3e-3, 1e-2)))
    for base, rates in ((digits, pairs), (street, ((5e-3, 3e-3), (2e-2, 1e-2)))):
        for rate, patch in rates:
            together = {"lr_head": rate, "lr_lora": rate, "lr_patch_embed": patch}
            found.append(base.replace(method="lora+patch", **together))
    for base, rates in ((digits, (3e-4, 1e-3, 3e-3, 1e-2)), (street, (3e-3, 1e-2))):
        for rate in rates:
            every = ("lr_head", "lr_patch_embed", "lr_position", "lr_backbone")
            found.append(base.replace(method="full", **dict.fromkeys(every, rate)))
    return found


def best_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The rates with the highest validation accuracy, a line for each method, targets and rank.

    Rates tried on several data sets are compared by their mean, and beat those tried on fewer.
    """
    rows = rows.assign(private=rows["epsilon"] < math.inf)
    kind = ["private", "method", "targets", "rank"]
    tried = rows.groupby([*kind, *_RATES], dropna=False, sort=False)["accuracy"]
    means = tried.agg(["size", "mean"]).reset_index()
    order = means.sort_values(["size", "mean"], ascending=False, kind="stable")
    best = order.groupby(kind, dropna=False).head(1).sort_values(kind)
    return best.rename(columns={"mean": "accuracy"}).drop(columns="size").reset_index(drop=True)


def tune(experiments: Iterable[Experiment] | None = None, table: Path = TABLE) -> pd.DataFrame:
    """Run the grid and print the choice; copy it into ``learning_rates.LEARNING_RATES``."""
    wanted = [*candidates(train=5000, epochs=4), *private_candidates()]
    return best_rates(sweep(wanted if experiments is None else experiments, table))


if __name__ == "__main__":
    print(tune().to_string(index=False))
