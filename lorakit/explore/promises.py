"""Compute what the privacy chart draws: ``python -m lorakit.explore.promises``.

It takes ten minutes on two CPU cores.
"""

import math
from itertools import product
from multiprocessing import Pool

import numpy as np
import pandas as pd

from lorakit.explore.privacy import TABLE
from lorakit.privacy.accountant import compute_epsilon, default_delta
from lorakit.privacy.meaning import what_it_means

EXAMPLES, BATCHES, EPOCHS = (2000, 10_000, 60_000), (256, 1024), (1, 3, 10, 30, 100)
NOISES = np.linspace(0.6, 5, 12).round(1)  # as far apart as the steps of the chart's slider


def promise(setting: tuple[int, int, int, float]) -> tuple[float, ...]:
    """The setting, epsilon by PRV at ``default_delta``, mu of the Gaussian curve for attackers."""
    examples, batch, epochs, noise = setting
    steps = epochs * math.ceil(examples / batch)
    mechanism = noise, batch / examples, steps, default_delta(examples)
    return *setting, round(compute_epsilon(*mechanism), 3), round(what_it_means(*mechanism).mu, 4)


if __name__ == "__main__":
    with Pool() as pool:
        lines = pool.map(promise, product(EXAMPLES, BATCHES, EPOCHS, NOISES), chunksize=8)
    names = ["examples", "batch", "epochs", "noise", "epsilon", "mu"]
    pd.DataFrame(lines, columns=names).to_csv(TABLE, index=False)
