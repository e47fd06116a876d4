"""The paper's claim on real pictures: ``python -m lorakit.experiments.claim``; it resumes.

Every way to train on clothes, plain and encrypted, from small ViTs that never saw a photograph, at
rates searched for each cell: the headline (pixel shuffling with negative-positive) first, at ten
seeds. ``figures/claim`` is drawn from what is in the table. ``vit_mini`` has to be
pre-trained before.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import CIPHERS
from lorakit.experiments.search_rates import search_rates, write_rates
from lorakit.experiments.sweep import read_table, sweep
from lorakit.figures.paired import plot_paired
from lorakit.figures.style import CIPHER_SHOWN, save_figure
from lorakit.lora.backbones import SHIPPED
from lorakit.lora.vit import METHODS

BACKBONES = ("vit_micro", "vit_mini")
HEADLINE = ("lora+patch", "full", "lora", "patch")
TRIALS, ROWS = Path("figures/results/claim_trials.csv"), Path("figures/results/claim.csv")
SETTINGS = {"dataset": "fashion", "epochs": 5}
SEEDS, HEADLINE_SEEDS = 5, 10


def cells(backbone: str, *, headline: bool) -> list[Experiment]:
    """The cells of the headline, or all others, without rates of their own yet."""
    made = [
        Experiment.from_settings(**SETTINGS, backbone=backbone, cipher=cipher, method=method)
        for cipher, method in product(CIPHERS, METHODS)
        if (cipher == CIPHER_SHOWN and method in HEADLINE) == headline
    ]
    if headline and backbone == "vit_mini":  # the paper's share: less than one in a hundred
        made.append(made[0].replace(method="lora+patch", rank=1))
    return made


def repeat(cell: Experiment, seeds: int) -> Iterable[Experiment]:
    """A cell at its seeds, with the rates that were found for it."""
    settings = {n: v for n, v in cell.settings().items() if not n.startswith("lr_")}
    for seed in range(seeds):
        yield Experiment.from_settings(**settings | {"seed": seed})


def run_claim(
    backbones: Iterable[str] = BACKBONES, *, only_headline: bool = False, n_jobs: int | None = None
) -> pd.DataFrame:
    """Search rates, then run every cell at its seeds; returns the rows. Stopped, it goes on."""
    rows = []
    for headline, backbone in product((True,) if only_headline else (True, False), backbones):
        wanted = cells(backbone, headline=headline)
        for cell in wanted:
            search_rates(cell, TRIALS, n_jobs=n_jobs)
        write_rates(sorted(TRIALS.parent.glob("*_trials.csv")))
        runs = [e for c in wanted for e in repeat(c, HEADLINE_SEEDS if headline else SEEDS)]
        rows.append(sweep(sorted(runs, key=lambda e: e.seed), ROWS, n_jobs=n_jobs))
    return pd.concat(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--only", choices=("headline",))
    parser.add_argument("--backbones", nargs="+", default=SHIPPED[:1], choices=BACKBONES)
    asked = parser.parse_args()
    run_claim(asked.backbones, only_headline=asked.only == "headline")
    save_figure(plot_paired(read_table(ROWS)), "figures/claim")
