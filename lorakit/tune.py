"""Choose each method's learning rates on validation splits: ``python -m lorakit.tune``.

Every candidate trains on ``street``, plain and encrypted, and is judged by the mean of the two
validation accuracies. The test split is never read. The table is resumable, like every sweep.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lorakit.experiment import Experiment
from lorakit.presets import SHOWN
from lorakit.sweep import sweep

TABLE = Path("figures/results/tuning.csv")
_RATES = ["lr_head", "lr_lora", "lr_patch_embed", "lr_backbone"]


def candidates(**settings) -> list[Experiment]:
    """The grid: one rate for all parts, and for lora+patch faster or slower patch embeddings."""
    base = Experiment(dataset="street", test=1, measure="val", **settings)
    found = []
    for cipher in ("none", SHOWN):
        plain = base.but(cipher=cipher)
        for rate in (3e-3, 1e-2, 3e-2):
            found.append(plain.but(method="probe", lr_head=rate))
        for rate in (2e-3, 5e-3, 1e-2):
            found.append(plain.but(method="lora", lr_head=rate, lr_lora=rate))
            for ratio in (0.5, 1.0):
                rates = {"lr_head": rate, "lr_lora": rate, "lr_patch_embed": ratio * rate}
                found.append(plain.but(method="lora+patch", **rates))
        for rate in (5e-4, 1e-3, 2e-3):
            rates = {"lr_head": rate, "lr_patch_embed": rate, "lr_backbone": rate}
            found.append(plain.but(method="full", **rates))
        for rate in (2e-3, 5e-3, 1e-2):
            rates = {"lr_head": rate, "lr_patch_embed": rate, "lr_backbone": rate}
            found.append(plain.but(method="bitfit", **rates))
    return found


def best_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The rates with the highest validation accuracy, averaged over ciphers, for each method."""
    means = rows.groupby(["method", *_RATES], dropna=False)["accuracy"].mean().reset_index()
    return means.loc[means.groupby("method")["accuracy"].idxmax()].reset_index(drop=True)


def tune(experiments: Iterable[Experiment] | None = None, table: Path = TABLE) -> pd.DataFrame:
    """Run the grid and print the choice; copy it into ``experiment.LEARNING_RATES``."""
    rows = sweep(candidates(train=4000, epochs=5) if experiments is None else experiments, table)
    return best_rates(rows)


if __name__ == "__main__":
    print(tune().to_string(index=False))
