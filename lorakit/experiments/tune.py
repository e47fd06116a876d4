"""Choose the rates of ``learning_rates``: ``python -m lorakit.experiments.tune``; it resumes.

Without privacy candidates train on encrypted ``street`` images, under privacy on plain ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import MLP
from lorakit.experiments.search_rates import KNOBS, LR
from lorakit.experiments.sweep import sweep
from lorakit.figures.style import CIPHER_SHOWN

TABLE = Path("figures/results/tuning.csv")


def candidates(**settings: object) -> list[Experiment]:
    """The grid; where the patch embedding trains beside others, it has a rate of its own."""
    settings |= {"cipher": CIPHER_SHOWN, "test": 1, "eval_split": "val"}
    base = Experiment.from_settings(dataset="street", **settings)
    pairs = [*product((1e-3, 2e-3), (1e-3, 2e-3, 4e-3)), (2e-3, 8e-3), (4e-3, 4e-3)]
    full = [(5e-4, 5e-4), (1e-3, 1e-3), (2e-3, 2e-3), (4e-3, 4e-3)]
    full += [(5e-4, 4e-3), (1e-3, 4e-3), (2e-3, 4e-3), (2e-4, 4e-3), (5e-4, 8e-3)]
    found = [_at(base, "probe", rate) for rate in (3e-3, 1e-2, 3e-2, 1e-1)]
    found += [_at(base, "lora", rate) for rate in (1e-3, 2e-3, 5e-3, 1e-2)]
    found += [_at(base, "lora+patch", *rates) for rates in pairs]
    for rate in (1e-3, 2e-3):  # more rank, or wider layers, want slower steps
        found += [_at(base, "lora", rate, rank=16), _at(base, "lora", rate, targets=MLP)]
    found += [_at(base, "full", *rates) for rates in full]
    return found + [_at(base, "bitfit", rate) for rate in (2e-3, 5e-3, 1e-2, 2e-2)]


def private_candidates() -> list[Experiment]:
    """The same under differential privacy, at epsilon 2.

    All on ``digits``; the finalists on ``street`` too, which takes more steps and wants smaller
    ones. The highest mean of the two decides.
    """
    settings = {"test": 1, "eval_split": "val", "epsilon": 2.0, "batch_size": 256}
    make = Experiment.from_settings
    digits = make(dataset="digits", train=1097, val=200, epochs=6, **settings)
    street = make(dataset="street", train=10_000, val=1000, epochs=2, **settings)
    pairs = product((3e-3, 1e-2, 2e-2, 4e-2), (1e-3, 3e-3, 1e-2))
    found = [_at(digits, "probe", rate) for rate in (3e-3, 1e-2, 3e-2, 1e-1)]
    found += [_at(digits, "lora", rate) for rate in (3e-3, 1e-2, 2e-2, 4e-2, 8e-2)]
    found += [_at(street, "lora", rate) for rate in (2e-2, 4e-2)]
    found += [_at(digits, "lora+patch", *rates) for rates in pairs]
    found += [_at(street, "lora+patch", *rates) for rates in ((5e-3, 3e-3), (2e-2, 1e-2))]
    found += [_at(digits, "full", rate, rate) for rate in (3e-4, 1e-3, 3e-3, 1e-2)]
    return found + [_at(street, "full", rate, rate) for rate in (3e-3, 1e-2)]


def _at(base: Experiment, method: str, *rates: float, **settings: object) -> Experiment:
    """An experiment with this method, and a rate for each of its ``KNOBS``."""
    lr = {f"lr_{part}": rate for knob, rate in zip(KNOBS[method], rates) for part in knob}
    return base.replace(method=method, **settings, **lr)


def best_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The rates with the highest validation accuracy, a line for each method, targets and rank.

    Rates tried on several data sets are compared by their mean, and beat those tried on fewer.
    """
    rows = rows.assign(private=rows["epsilon"] < math.inf)
    kind = ["private", "method", "targets", "rank"]
    tried = rows.groupby([*kind, *LR], dropna=False, sort=False)["accuracy"]
    means = tried.agg(tries="size", accuracy="mean").reset_index()
    order = means.sort_values(["tries", "accuracy"], ascending=False, kind="stable")
    best = order.drop_duplicates(kind).sort_values(kind)
    return best.drop(columns="tries").reset_index(drop=True)


def tune(experiments: Iterable[Experiment] | None = None, table: Path = TABLE) -> pd.DataFrame:
    """Run the grid; the choice is to be copied into ``learning_rates.LEARNING_RATES``."""
    wanted = [*candidates(train=5000, epochs=4), *private_candidates()]
    return best_rates(sweep(wanted if experiments is None else experiments, table))


if __name__ == "__main__":
    print(tune().to_string(index=False))
