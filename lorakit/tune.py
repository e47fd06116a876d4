"""Choose each method's learning rates on a validation split: ``python -m lorakit.tune``.

Every candidate trains on encrypted ``street`` images at rank 4, and the one with the highest
validation accuracy is used everywhere. The test split is never read. The table is resumable,
like every sweep.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiment import Experiment
from lorakit.presets import MLP, SHOWN
from lorakit.sweep import sweep

TABLE = Path("figures/results/tuning.csv")
_RATES = ["lr_head", "lr_lora", "lr_patch_embed", "lr_backbone"]


def candidates(**settings) -> list[Experiment]:
    """The grid; where the patch embedding trains beside others, it has a rate of its own."""
    base = Experiment(dataset="street", cipher=SHOWN, test=1, measure="val", **settings)
    found = [base.but(method="probe", lr_head=rate) for rate in (3e-3, 1e-2, 3e-2, 1e-1)]
    for rate in (1e-3, 2e-3, 5e-3, 1e-2):
        found.append(base.but(method="lora", lr_head=rate, lr_lora=rate))
    for rate, patch in [*product((1e-3, 2e-3), (1e-3, 2e-3, 4e-3)), (2e-3, 8e-3), (4e-3, 4e-3)]:
        rates = {"lr_head": rate, "lr_lora": rate, "lr_patch_embed": patch}
        found.append(base.but(method="lora+patch", **rates))
    for rate in (1e-3, 2e-3):  # more rank, or wider layers, want slower steps
        rates = {"method": "lora", "lr_head": rate, "lr_lora": rate}
        found += [base.but(rank=16, **rates), base.but(targets=MLP, **rates)]
    apart = ((5e-4, 4e-3), (1e-3, 4e-3), (2e-3, 4e-3), (2e-4, 4e-3), (5e-4, 8e-3))
    together = ((5e-4, 5e-4), (1e-3, 1e-3), (2e-3, 2e-3), (4e-3, 4e-3))
    for rate, patch in (*together, *apart):
        rates = {"lr_head": rate, "lr_backbone": rate, "lr_patch_embed": patch}
        found.append(base.but(method="full", **rates))
    for rate in (2e-3, 5e-3, 1e-2, 2e-2):
        rates = {"lr_head": rate, "lr_backbone": rate, "lr_patch_embed": rate}
        found.append(base.but(method="bitfit", **rates))
    return found


def private_candidates(**settings) -> list[Experiment]:
    """The same under differential privacy, on ``digits`` at epsilon 2; other epsilons follow."""
    base = Experiment(dataset="digits", test=1, measure="val", epsilon=2.0, **settings)
    found = [base.but(method="probe", lr_head=rate) for rate in (3e-3, 1e-2, 3e-2, 1e-1)]
    for rate in (3e-3, 1e-2, 2e-2, 4e-2):
        found.append(base.but(method="lora", lr_head=rate, lr_lora=rate))
    for rate, patch in product((3e-3, 1e-2, 2e-2, 4e-2), (1e-3, 3e-3, 1e-2)):
        rates = {"lr_head": rate, "lr_lora": rate, "lr_patch_embed": patch}
        found.append(base.but(method="lora+patch", **rates))
    for rate in (3e-4, 1e-3, 3e-3, 1e-2):
        rates = {"lr_head": rate, "lr_patch_embed": rate, "lr_position": rate, "lr_backbone": rate}
        found.append(base.but(method="full", **rates))
    return found


def best_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The rates with the highest validation accuracy, a line for each method, targets and rank."""
    best = rows.loc[rows.groupby(["method", "targets", "rank"], dropna=False)["accuracy"].idxmax()]
    return best[["method", "targets", "rank", *_RATES, "accuracy"]].reset_index(drop=True)


def tune(experiments: Iterable[Experiment] | None = None, table: Path = TABLE) -> pd.DataFrame:
    """Run the grid and print the choice; copy it into ``experiment.LEARNING_RATES``."""
    rows = sweep(candidates(train=5000, epochs=4) if experiments is None else experiments, table)
    return best_rates(rows)


if __name__ == "__main__":
    print(tune().to_string(index=False))
