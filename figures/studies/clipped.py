"""What does a part cost that hardly moves? ``python -m figures.studies.clipped``; it resumes.

Under DP-SGD each part's gradient counts in the norm that is clipped. ``lora`` at its rates, against
``lora+patch`` at the same ones with a patch embedding that next to nothing moves: its noise hardly
matters then, and its share of the norm remains. On the study ``privacy``, at epsilon 2 and without
noise.
"""

import argparse
from itertools import product
from pathlib import Path

import pandas as pd

from figures.studies.claim import TUNED_AT, cells
from lorakit.experiments.sweep import sweep

TABLE = Path("figures/results/clipped.csv")
SEEDS, HARDLY = range(5), 4e-5  # AdamW moves a weight by about so much a step: 0.003 in all


def run_clipped(n_jobs: int | None = None) -> pd.DataFrame:
    """The rows of both, with the same seeds."""
    (lora,) = [cell for cell in cells("privacy", "vit_micro") if cell.method == "lora"]
    rates = {f"lr_{part}": rate for part, rate in lora.recipe.lr.items()}
    ways = rates, {"method": "lora+patch", **rates, "lr_patch_embed": HARDLY}
    budgets = {"epsilon": TUNED_AT}, {"epsilon": None, "noise_multiplier": 0.0}
    runs = [
        lora.replace(seed=seed, **budget, **way)
        for budget, seed, way in product(budgets, SEEDS, ways)
    ]
    return sweep(runs, TABLE, n_jobs=n_jobs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("``")[0])
    parser.add_argument("--jobs", type=int, help="runs at a time (default: see sweep)")
    rows = run_clipped(parser.parse_args().jobs)
    print(rows.groupby(["epsilon", "method"])["accuracy"].mean())
