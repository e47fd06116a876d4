"""Tune the learning rates of every cell of a study, each on its own task.

A search climbs: it tries the rates at hand and each of them doubled and halved, moves to the best
on validation images, and ends where no neighbour is better, so that the winner is never at the edge
of what was tried. Its seeds are 100 and up; those that are reported are below. The test images are
never read. Every trial is a row of a table, and the search goes on after a stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.learning_rates import RATES, searched_rates
from lorakit.experiments.sweep import read_table, sweep
from lorakit.lora.vit import PARTS
from lorakit.runtime import write_atomic

FIRST_TUNING_SEED = 100
KNOBS: dict[str, tuple[tuple[str, ...], ...]] = {  # parts whose rates move together
    "probe": (("head",),),
    "patch": (("head",), ("patch_embed",)),
    "bitfit": (("head", "backbone", "patch_embed"),),
    "lora": (("head", "lora"),),
    "lora+patch": (("head", "lora"), ("patch_embed",)),
    "lora+patch+pos": (("head", "lora"), ("patch_embed", "position")),
    "full": (("head", "backbone", "position"), ("patch_embed",)),
}
CELL = ["dataset", "backbone", "cipher", "method", "targets", "rank", "freeze_a", "epsilon"]
_LR = [f"lr_{part}" for part in PARTS]


def search_rates(
    experiment: Experiment, table: str | Path, *, seeds: int = 1, n_jobs: int | None = None
) -> Experiment:
    """Climb from an experiment's own rates; returns it with the best ones.

    Args:
        experiment: the cell; its seed and split do not matter.
        table: a CSV file for the trials.
        seeds: how many, from 100, whose mean accuracy decides.
        n_jobs: see ``experiments.sweep``.
    """
    tuning = {"eval_split": "val", "test": 1, "seed": FIRST_TUNING_SEED}
    centre = experiment.replace(**tuning)
    while True:
        points = [centre, *_neighbours(centre)]
        trials = [p.replace(seed=FIRST_TUNING_SEED + i) for p in points for i in range(seeds)]
        rows = sweep(trials, table, n_jobs=n_jobs)
        means = rows["accuracy"].to_numpy().reshape(len(points), seeds).mean(axis=1)
        best = points[means.argmax()]  # of equals the first, which is the centre if it is one
        if best is centre:
            rates = {name: value for name, value in best.settings().items() if name in _LR}
            return experiment.replace(**rates)
        centre = best


def _neighbours(centre: Experiment) -> Iterable[Experiment]:
    """The same experiment with one knob doubled or halved."""
    lr = centre.recipe.lr
    for knob in KNOBS[centre.method]:
        for factor in (2.0, 0.5):
            turned = {f"lr_{part}": factor * lr[part] for part in knob if part in lr}
            yield centre.replace(**turned)


def best_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """Of every cell the rates with the highest mean validation accuracy, a line each."""
    means = rows.groupby([*CELL, *_LR], dropna=False, sort=False)["accuracy"].mean().reset_index()
    best = means.groupby(CELL, dropna=False, sort=False)["accuracy"].idxmax()
    return means.loc[best].sort_values(CELL).reset_index(drop=True)


def write_rates(tables: Iterable[str | Path], out: str | Path = RATES) -> pd.DataFrame:
    """Write the best rates of all trials to the file that experiments look theirs up in."""
    best = best_rates(pd.concat([read_table(table) for table in tables]))
    write_atomic(best.to_csv(index=False), Path(out))
    searched_rates.cache_clear()
    return best
