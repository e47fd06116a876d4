"""The paper's own experiment, ViT-B/16 at 224 pixels: ``python -m lorakit.experiments.paper``.

It says what it will take, refuses what cannot fit, and trains; stopped, it goes on after the last
epoch. On four GPUs: ``torchrun --nproc-per-node 4 -m lorakit.experiments.paper``.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lorakit.data.load import DATASETS, load
from lorakit.experiments.estimate import estimate
from lorakit.experiments.experiment import Experiment
from lorakit.experiments.presets import grid
from lorakit.experiments.run import load_data
from lorakit.experiments.sweep import sweep
from lorakit.figures.accuracy import plot_accuracy
from lorakit.figures.paired import claim_sentences
from lorakit.figures.style import save_figure
from lorakit.figures.tables import accuracy_table, save_table
from lorakit.training import distributed

_DRY = {"dataset": "street", "train": 4, "val": 2, "test": 4, "epochs": 1, "batch_size": 2}
_DRY |= {"pretrained": False}


def main(arguments: Sequence[str] | None = None) -> pd.DataFrame:
    """The command line: run the preset, draw its figure; the rows, or what they would take."""
    name = "python -m lorakit.experiments.paper"
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    say = parser.add_argument
    say("--dataset", default="cifar10", help="cifar10, cifar100, imagenette or folder:NAME")
    say("--root", help="where data sets are (default: $LORAKIT_DATA)")
    say("--out", default="figures/paper", help="for table, figure, checkpoints; here: %(default)s")
    say("--seeds", type=int, help="how many; the preset has 1")
    say("--private", action="store_true", help="accuracy against epsilon, not against ciphers")
    say("--hours", type=float, default=24.0, help="refuse to start what takes longer")
    say("--backbone", help="another timm ViT")
    say("--estimate", action="store_true", help="only say what it would take")
    say(
        "--dry-run",
        action="store_true",
        help="all of it, on a few drawn pictures in place of the data set, random weights",
    )
    asked = parser.parse_args(arguments)
    if asked.root:
        os.environ["LORAKIT_DATA"] = asked.root
    distributed.init()
    try:
        return _run(asked)
    except (MemoryError, RuntimeError, ValueError) as error:
        raise SystemExit(f"lorakit.paper: {error}") from None


def _run(asked: argparse.Namespace) -> pd.DataFrame:
    out, study = Path(asked.out), "privacy" if asked.private else "encryption"
    leads = distributed.is_main_process()
    if not leads:
        distributed.barrier()  # the first process downloads and decodes, the others find it there
    experiments = _experiments(None if asked.dry_run else asked.dataset, asked.seeds, study)
    if asked.backbone:
        experiments = [e.replace(backbone=asked.backbone) for e in experiments]
    classes = len(load_data(experiments[0]).classes)
    if leads:
        distributed.barrier()
    needs = estimate(experiments, classes, folder=out)
    sums = distributed.all_reduce([float(needs["hours"].sum())])
    total = sums[0] / distributed.world_size()  # all processes must come to the same decision
    if leads:
        print(needs.to_string(index=False))
        print(f"{len(experiments)} runs, about {total:.1f} hours; stop at any time, it goes on")
    if asked.estimate:
        return needs
    if total > asked.hours:
        raise RuntimeError(
            f"hours={asked.hours:g}: it would take about {total:.1f} hours here. Allow more with "
            "--hours, or take a GPU, several (torchrun), fewer seeds, or --backbone with a smaller "
            "ViT"
        )
    rows = sweep(experiments, out / f"{study}.csv", n_jobs=1, checkpoints=out / "checkpoints")
    if leads:
        _report(rows, out, study, "epsilon" if asked.private else "cipher")
    return rows


def _experiments(dataset: str | None, seeds: int | None, study: str) -> list[Experiment]:
    """The preset's, on this data set; with None small ones, on pictures that are drawn."""
    if dataset in DATASETS:
        return grid("paper", dataset, seeds, study)
    changes = _DRY
    if dataset is not None:
        found = load(dataset)
        changes = {part: len(getattr(found, part)) for part in ("train", "val", "test")}
        changes["dataset"] = dataset
    return [e.replace(delta=None, **changes) for e in grid("paper", "cifar10", seeds, study)]


def _report(rows: pd.DataFrame, out: Path, study: str, against: str) -> None:
    """Figure, table, and what they say."""
    table = accuracy_table(rows, against)
    print(table.to_string(index=False))
    if against == "cipher":
        for cipher in rows["cipher"].unique():
            print(f"{cipher}:", *claim_sentences(rows, cipher, ("full", "lora")), sep="\n  ")
    paths = [*save_figure(plot_accuracy(rows, against), out / study)]
    print("written:", *paths, *save_table(table, out / f"{study}_table"))


if __name__ == "__main__":
    main()
