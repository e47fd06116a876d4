"""Tune the learning rates of every cell of a study, each on its own task, by climbing.

Only validation images and seeds from 100 decide, and the winner is never at the edge: neither
doubling nor halving one of its rates is better.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
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
LR = [f"lr_{part}" for part in PARTS]
_APART = {*LR, "alpha", "val", "test", "eval_split", "seed", "key_seed"}
CELL = [name for name in Experiment().settings() if name not in _APART]


def search_rates(
    cells: Sequence[Experiment],
    table: str | Path,
    *,
    head_apart: bool = False,
    n_jobs: int | None = None,
) -> list[Experiment]:
    """Climb from each experiment's own rates, all together; returns them with the best ones.

    Trials are rows of a table, from which a search that was stopped goes on. ``head_apart`` lets
    the head's rate move alone.
    """
    trial = {"eval_split": "val", "test": 1, "seed": FIRST_TUNING_SEED}
    centres = {place: e.replace(**trial) for place, e in enumerate(cells)}
    climbing = set(centres)
    while climbing:
        points = {n: [centres[n], *_neighbours(centres[n], head_apart)] for n in climbing}
        rows = sweep([p for some in points.values() for p in some], table, n_jobs=n_jobs)
        accuracy = rows.set_index("id")["accuracy"]
        for place, some in points.items():
            best = np.argmax([accuracy[p.id] for p in some])  # of equals the first
            centres[place] = some[best]
            if best == 0:  # no neighbour is better
                climbing.remove(place)
    found = [{name: centre.settings()[name] for name in LR} for centre in centres.values()]
    return [cell.replace(**rates) for cell, rates in zip(cells, found)]


def knobs_of(method: str, head_apart: bool = False) -> list[tuple[str, ...]]:
    """The parts whose rates move together, with the head among them or alone.

    >>> knobs_of("lora+patch"), knobs_of("lora+patch", head_apart=True)
    ([('head', 'lora'), ('patch_embed',)], [('head',), ('lora',), ('patch_embed',)])
    """
    if not head_apart:
        return list(KNOBS[method])
    others = (tuple(part for part in knob if part != "head") for knob in KNOBS[method])
    return [("head",), *filter(None, others)]


def _neighbours(centre: Experiment, head_apart: bool) -> Iterable[Experiment]:
    """The same experiment with one knob doubled or halved."""
    lr = centre.recipe.lr
    for knob, factor in product(knobs_of(centre.method, head_apart), (2.0, 0.5)):
        yield centre.replace(**{f"lr_{part}": factor * lr[part] for part in knob if part in lr})


def best_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """Of every cell the rates with the highest mean validation accuracy, a line each."""
    means = rows.groupby([*CELL, *LR], dropna=False, sort=False)["accuracy"].mean().reset_index()
    best = means.groupby(CELL, dropna=False, sort=False)["accuracy"].idxmax()
    return means.loc[best].sort_values(CELL).reset_index(drop=True)


def write_rates(tables: Iterable[str | Path], out: str | Path = RATES) -> pd.DataFrame:
    """Write the best rates of all trials to the file that experiments look theirs up in."""
    best = best_rates(pd.concat([read_table(table) for table in tables]))
    write_atomic(best.to_csv(index=False), Path(out))
    searched_rates.cache_clear()
    return best
