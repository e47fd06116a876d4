"""The evidence on real pictures: ``python -m lorakit.experiments.claim STUDY``; it resumes.

Ways to train on clothes, from a small ViT that never saw a photograph, at rates searched for each
cell. ``headline``: the paper's claim (pixel shuffling with negative-positive), ten seeds.
``ciphers``: every other method and cipher, five seeds. ``privacy``: plain pictures against epsilon,
one recipe along the curve, tuned at epsilon 2, and the same without noise, five seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import CIPHERS
from lorakit.experiments.search_rates import LR, search_rates, write_rates
from lorakit.experiments.sweep import sweep
from lorakit.figures.paired import claim_sentences, plot_paired
from lorakit.figures.style import CIPHER_SHOWN, save_figure
from lorakit.lora.vit import METHODS

FOLDER = Path("figures/results")
TABLES = {"headline": "claim", "ciphers": "claim", "privacy": "claim_privacy"}
BACKBONES = ("vit_micro", "vit_mini")
HEADLINE = ("lora+patch", "full", "lora", "patch")
SETTINGS = {"dataset": "fashion", "epochs": 5}
PRIVATE = {"dataset": "fashion", "epochs": 4, "batch_size": 512}
TUNED_AT, EPSILONS = 2.0, (0.5, 1.0, 2.0, 3.0, 8.0)
SEEDS = {"headline": 10, "ciphers": 5, "privacy": 5}


def cells(study: str, backbone: str) -> list[Experiment]:
    """What rates are searched for in a study."""
    if study == "privacy":
        private = {**PRIVATE, "backbone": backbone, "epsilon": TUNED_AT}
        methods = ("probe", "patch", "lora+patch", "full")
        return [Experiment.from_settings(**private, method=method) for method in methods]
    made = [
        Experiment.from_settings(**SETTINGS, backbone=backbone, cipher=cipher, method=method)
        for cipher, method in product(CIPHERS, METHODS)
        if (cipher == CIPHER_SHOWN and method in HEADLINE) == (study == "headline")
    ]
    if study == "headline" and backbone == "vit_mini":  # the paper's share: less than a hundredth
        made.append(made[0].replace(method="lora+patch", rank=1))
    return made


def reported(study: str, cell: Experiment, seeds: int | None = None) -> Iterable[Experiment]:
    """The runs of a cell, at the rates that were found for it."""
    settings = {name: value for name, value in cell.settings().items() if name not in LR}
    budgets = [{}]
    if study == "privacy":
        budgets = [{"epsilon": epsilon} for epsilon in EPSILONS]
        budgets.append({"epsilon": None, "noise_multiplier": 0.0})  # the control: clipped, no noise
    for seed, budget in product(range(seeds or SEEDS[study]), budgets):
        yield Experiment.from_settings(**settings | budget | {"seed": seed})


def run_claim(
    study: str, backbone: str = "vit_micro", *, seeds: int | None = None, n_jobs: int | None = None
) -> pd.DataFrame:
    """Search rates, then run every cell at its seeds; returns the rows. Stopped, it goes on."""
    table, wanted = FOLDER / f"{TABLES[study]}.csv", cells(study, backbone)
    for cell in wanted:
        search_rates(cell, table.with_name(f"{table.stem}_trials.csv"), n_jobs=n_jobs)
    searched = {t for t in TABLES.values() if t == table.stem or (FOLDER / f"{t}.csv").exists()}
    write_rates([FOLDER / f"{name}_trials.csv" for name in sorted(searched)])
    runs = [run for cell in wanted for run in reported(study, cell, seeds)]
    return sweep(sorted(runs, key=lambda run: run.seed), table, n_jobs=n_jobs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("study", choices=TABLES)
    parser.add_argument("--backbone", default="vit_micro", choices=BACKBONES)
    parser.add_argument("--seeds", type=int, help="how many, from 0")
    asked = parser.parse_args()
    rows = run_claim(asked.study, asked.backbone, seeds=asked.seeds)
    if asked.study == "headline":
        print(*claim_sentences(rows, CIPHER_SHOWN, ("full", "lora", "patch")), sep="\n")
        save_figure(plot_paired(rows), "figures/claim")
