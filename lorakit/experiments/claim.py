"""The evidence on real pictures: ``python -m lorakit.experiments.claim STUDY``; it resumes.

Ways to train on clothes, from a small ViT that never saw a photograph, at rates searched for each
cell. ``headline``: the paper's claim (pixel shuffling with negative-positive), ten seeds.
``ciphers``: every other method and cipher, five seeds. ``privacy``: that study of the preset
``full``, one recipe along the curve, tuned at epsilon 2. ``banded``: its ``lora+patch`` with
correlated noise. ``public``: encrypted pictures under epsilon, with and without public ones first,
and plain ones, five seeds.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import CIPHERS, grid
from lorakit.experiments.search_rates import LR, search_rates, write_rates
from lorakit.experiments.sweep import sweep
from lorakit.figures.paired import claim_sentences, plot_paired
from lorakit.figures.style import CIPHER_SHOWN, save_figure
from lorakit.lora.vit import METHODS

FOLDER = Path("figures/results")
TABLES = {"headline": "claim", "ciphers": "claim"} | {
    name: name for name in ("privacy", "banded", "public")
}
BACKBONES = ("vit_micro", "vit_mini")
HEADLINE = ("lora+patch", "full", "lora", "patch")
SETTINGS = {"dataset": "fashion", "epochs": 5}
PUBLIC = {"dataset": "fashion", "train": 4000, "epochs": 4, "batch_size": 256}
ROADS = ({"cipher": "none"}, {"cipher": CIPHER_SHOWN}, {"cipher": CIPHER_SHOWN, "public": 10_000})
TUNED_AT, PUBLIC_EPSILONS = 2.0, (1.0, 3.0, 8.0)
BANDS, BANDED_AT = 8, (0.5, 2.0, 8.0)
SEEDS = dict.fromkeys(TABLES, 5) | {"headline": 10}


def cells(study: str, backbone: str) -> list[Experiment]:
    """What rates are searched for in a study."""
    if study in ("privacy", "banded"):
        found = _private(study, backbone, 1)
        return [e for e in found if e.recipe.privacy.epsilon == TUNED_AT]
    if study == "public":
        public = {**PUBLIC, "backbone": backbone, "method": "lora+patch", "epsilon": TUNED_AT}
        return [Experiment.from_settings(**public, **road) for road in ROADS]
    made = [
        Experiment.from_settings(**SETTINGS, backbone=backbone, cipher=cipher, method=method)
        for cipher, method in product(CIPHERS, METHODS)
        if (cipher == CIPHER_SHOWN and method in HEADLINE) == (study == "headline")
    ]
    if study == "headline" and backbone == "vit_mini":  # the paper's share: less than a hundredth
        made.append(made[0].replace(method="lora+patch", rank=1))
    return made


def _private(study: str, backbone: str, seeds: int) -> list[Experiment]:
    """The preset's, at the rates found for a backbone; with correlated noise, if there is any."""
    runs = grid("full", seeds=seeds, study="privacy")
    if study == "privacy":
        return [_at_its_rates(e, backbone=backbone) for e in runs]
    some = [e for e in runs if e.method == "lora+patch" and e.recipe.privacy.epsilon in BANDED_AT]
    return [_at_its_rates(e, backbone=backbone, bands=BANDS) for e in some]


def _at_its_rates(experiment: Experiment, **changes: object) -> Experiment:
    settings = {n: value for n, value in experiment.settings().items() if n not in LR}
    return Experiment.from_settings(**settings | changes)


def reported(study: str, cell: Experiment, seeds: int | None = None) -> list[Experiment]:
    """The runs of a cell, at the rates that were found for it."""
    seeds = seeds or SEEDS[study]
    if study in ("privacy", "banded"):
        return [e for e in _private(study, cell.backbone, seeds) if e.method == cell.method]
    budgets = [{"epsilon": e} for e in PUBLIC_EPSILONS] if study == "public" else [{}]
    return [_at_its_rates(cell, seed=n, **budget) for n, budget in product(range(seeds), budgets)]


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
