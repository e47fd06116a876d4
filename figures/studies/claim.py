"""The evidence on real pictures: ``python -m figures.studies.claim STUDY``; it resumes.

Ways to train on clothes, from a small ViT that never saw a photograph, at rates searched for each
cell. ``headline``: the paper's claim (pixel shuffling with negative-positive), ten seeds; the
others have five. ``ciphers``: the study ``encryption`` of the preset ``full``, every method and
cipher, and ranks; ``larger``: methods and ciphers for ``vit_mini``, on a GPU. ``painted``: the same
clothes in random colours. ``privacy``: that study of ``full``, one recipe along the curve, tuned at
epsilon 2; some of it again, ``banded``: with correlated noise, ``apart``: with the gradient of each
part clipped by itself. ``both``: encrypted pictures under epsilon, the same recipe.
``public``: 4,000 of them, with and without public ones first, and plain ones. ``mark``: all 60,000
clothes under epsilon, against the published mark; for a GPU. (``vit_mini`` is searched from one
start.)
"""

import argparse
import math
from itertools import product
from pathlib import Path

import pandas as pd

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import MLP, PRESETS, grid
from lorakit.experiments.search_rates import search_rates, write_rates
from lorakit.experiments.sweep import sweep
from lorakit.experiments.table_file import read_rows, read_table, write_rows
from lorakit.figures.paired import claim_sentences, claim_title, plot_paired
from lorakit.figures.style import CIPHER_SHOWN, RANK_SHOWN, TARGETS_SHOWN, save_figure
from lorakit.lora.vit import METHODS

FOLDER = Path("figures/results")
TABLES = {"headline": "claim", "ciphers": "results"}
TABLES |= {n: n for n in "larger painted privacy banded apart both public mark".split()}
BACKBONES = ("vit_micro", "vit_mini")
HEADLINE = ("lora+patch", "full", "lora", "patch")
CLAIMED = ("headline", "painted")  # their rows make figures/claim
ONE_RATE = ("mark",)  # for head and LoRA; in all others they are searched apart
TUNED_ON = {"train": 50_000, "val": 10_000}  # of the mark, which is set on all of them
TUNED_AT, CURVE = 2.0, (0.5, 2.0, 8.0, math.inf)  # inf: clipped, no noise
SETTINGS = {  # of the studies that the preset does not have, and the ways to train in each
    "headline": {"epochs": 5, "cipher": CIPHER_SHOWN},
    "larger": {"train": 4000, "epochs": 4, "backbone": "vit_mini"},
    "painted": {"dataset": "painted", "train": 4000, "epochs": 4, "cipher": CIPHER_SHOWN},
    "both": {"train": 10_000, "epochs": 4, "batch_size": 512, "epsilon": TUNED_AT},
    "public": {"train": 4000, "epochs": 4, "batch_size": 256, "epsilon": TUNED_AT},
    "mark": {"epochs": 30, "batch_size": 4096, "epsilon": 3.0, **TUNED_ON},
}
WAYS = {
    **{study: [{"method": method} for method in HEADLINE] for study in CLAIMED},
    "larger": [{"cipher": c, "method": m} for c, m in product(PRESETS["full"]["ciphers"], METHODS)],
    "both": [
        {"cipher": CIPHER_SHOWN, "method": method, "groupwise_clipping": apart}
        for method in ("lora+patch", "lora", "patch", "probe")
        for apart in ((False,) if method == "probe" else (False, True))  # it has one part
    ],
    "public": [{}, {"cipher": CIPHER_SHOWN}, {"cipher": CIPHER_SHOWN, "public": 10_000}],
    "mark": [{"method": "lora+patch"}, {"method": "probe"}],
}
MECHANISMS = {  # of the study privacy, once more: with what, and for which methods
    "banded": ({"bands": 8}, ("lora+patch",)),
    "apart": ({"groupwise_clipping": True}, ("lora+patch", "lora")),
}
BUDGETS = {  # epsilons
    "banded": CURVE[:-1],
    "apart": CURVE,
    "both": CURVE,
    "public": (1.0, 3.0, 8.0),
    "mark": (0.5, 1.0, 2.0, 3.0, 8.0, math.inf),
}
ALONE = {"head": "patch", "patch_embed": "patch", "lora": "lora"}  # who lends a part its rate
SEEDS = dict.fromkeys(TABLES, 5) | {"headline": 10}


def cells(study: str, backbone: str) -> list[Experiment]:
    """What rates are searched for in a study; other ranks and budgets take them over."""
    if study in SETTINGS:
        ways = [*WAYS[study]]
        if study in CLAIMED:  # the paper's share, less than a hundredth; or as many parameters
            small = {"method": "lora+patch", "rank": 1}
            ways.append(small if backbone == "vit_mini" else {"method": "lora", "targets": MLP})
        settings = {"backbone": backbone, **SETTINGS[study]}
        return [Experiment.from_settings(**settings, **way) for way in ways]
    found = _of_preset(study, backbone, 1)
    if study == "ciphers":
        usual = (None, RANK_SHOWN), (None, TARGETS_SHOWN)
        return [e for e in found if e.rank in usual[0] and e.targets in usual[1]]
    return [e for e in found if e.recipe.privacy.epsilon == TUNED_AT]


def _of_preset(study: str, backbone: str, seeds: int) -> list[Experiment]:
    """The preset ``full``, at the rates found for a backbone; with another mechanism, if asked."""
    runs = grid("full", seeds=seeds, study="encryption" if study == "ciphers" else "privacy")
    mechanism, methods = MECHANISMS.get(study, ({}, METHODS))
    if study in MECHANISMS:
        runs = [e for e in runs if e.recipe.privacy.epsilon in BUDGETS[study]]
    return [e.replace(backbone=backbone, **mechanism) for e in runs if e.method in methods]


def reported(study: str, cell: Experiment, seeds: int | None = None) -> list[Experiment]:
    """The runs of a cell, at its rates."""
    seeds = seeds or SEEDS[study]
    if study not in SETTINGS:
        alike = (cell.method, cell.cipher)
        return [e for e in _of_preset(study, cell.backbone, seeds) if (e.method, e.cipher) == alike]
    if study == "mark":
        cell = cell.replace(train=60_000, val=0, test=10_000)
    changes = [_budget(epsilon) for epsilon in BUDGETS.get(study, ())] or [{}]
    return [cell.replace(seed=n, **change) for change, n in product(changes, range(seeds))]


def _budget(epsilon: float) -> dict[str, float | None]:
    control = {"epsilon": None, "noise_multiplier": 0.0}
    return control if epsilon == math.inf else {"epsilon": epsilon}


def run_claim(
    study: str, backbone: str = "vit_micro", *, seeds: int | None = None, n_jobs: int | None = None
) -> pd.DataFrame:
    """Search rates, then run every cell at its seeds; returns the rows. Stopped, it goes on."""
    _search(study, cells(study, backbone), n_jobs)
    again = [_parts_alone(c) for c in cells(study, backbone) if c.backbone == "vit_micro"]
    if study not in ONE_RATE and again:
        _search(study, again, n_jobs)
    table, wanted = FOLDER / f"{TABLES[study]}.csv", cells(study, backbone)  # at the best rates
    runs = [run for cell in wanted for run in reported(study, cell, seeds)]
    first = {_place(cell) for cell in wanted}  # then ranks and budgets that were not searched
    runs.sort(key=lambda run: (_place(run) not in first, run.seed))
    rows = sweep(runs, table, n_jobs=n_jobs)
    drop_old_rates(table)
    return rows


def _search(study: str, starts: list[Experiment], n_jobs: int | None) -> None:
    """Climb from these, and write the best rates of all trials there are."""
    trials = FOLDER / f"{TABLES[study]}_trials.csv"
    search_rates(starts, trials, head_apart=study not in ONE_RATE, n_jobs=n_jobs)
    write_rates(sorted(FOLDER.glob("*_trials.csv")))


def _parts_alone(cell: Experiment) -> Experiment:
    """Another start for a search: each part at the rate found where it trains alone, or nearly."""
    usual = {"rank": RANK_SHOWN, "targets": TARGETS_SHOWN}
    alone = {part: cell.replace(method=m, **usual).recipe.lr for part, m in ALONE.items()}
    shared = alone.keys() & cell.recipe.lr.keys()
    return cell.replace(**{f"lr_{part}": alone[part][part] for part in shared})


def drop_old_rates(table: Path) -> None:
    """Take out the rows whose rates a longer search has replaced."""
    rows = read_rows(table)
    seeds = 1 + max(int(row["seed"]) for row in rows)
    studies = [study for study, name in TABLES.items() if name == table.stem]
    wanted = [(study, cell) for study in studies for b in BACKBONES for cell in cells(study, b)]
    today = {run.id for study, cell in wanted for run in reported(study, cell, seeds)}
    write_rows([row for row in rows if row["id"] in today], table)


def _place(run: Experiment) -> tuple:
    return run.rank, run.settings()["epsilon"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("study", choices=TABLES)
    parser.add_argument("--backbone", default="vit_micro", choices=BACKBONES)
    parser.add_argument("--seeds", type=int, help="how many, from 0")
    parser.add_argument("--jobs", type=int, help="runs at a time (default: see sweep)")
    asked = parser.parse_args()
    run_claim(asked.study, asked.backbone, seeds=asked.seeds, n_jobs=asked.jobs)
    if asked.study in CLAIMED:
        tables = [FOLDER / f"{TABLES[name]}.csv" for name in CLAIMED]
        rows = pd.concat([read_table(table) for table in tables if table.exists()])
        print(*claim_sentences(rows, CIPHER_SHOWN, ("full", "lora", "patch")), sep="\n")
        save_figure(plot_paired(rows, title=claim_title(rows)), "figures/claim")
