"""The paper's own experiment: ViT-B/16 at 224 pixels on a public data set.

``python -m lorakit.experiments.paper`` says what it will take, refuses what cannot fit, and trains;
stopped, it goes on after the last epoch. ``--dry-run`` goes the whole way in minutes with random
weights and a few generated pictures. ``torchrun --nproc-per-node 4 -m lorakit.experiments.paper``
takes four GPUs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import pandas as pd

from lorakit import data
from lorakit.experiments.estimate import estimate
from lorakit.experiments.presets import grid
from lorakit.experiments.run import load_data
from lorakit.experiments.sweep import sweep
from lorakit.figures.accuracy import plot_accuracy
from lorakit.figures.captions import finding
from lorakit.figures.style import save_figure
from lorakit.figures.tables import accuracy_table, save_table
from lorakit.runtime import pick_device, write_atomic
from lorakit.training import distributed

_DRY = {"train": 4, "val": 2, "test": 4, "epochs": 1, "batch_size": 2, "pretrained": False}


def paper(
    dataset: str = "cifar10",
    *,
    out: str | Path = "figures/paper",
    seeds: int | None = None,
    private: bool = False,
    hours: float = 24.0,
    dry_run: bool = False,
    estimate_only: bool = False,
    backbone: str | None = None,
) -> pd.DataFrame:
    """Run the ``paper`` preset and draw its figure.

    Args:
        dataset: ``cifar10``, ``cifar100``, ``imagenette`` or ``folder:NAME``; see ``data.load``
            for where they are.
        out: a folder for the table, figure and checkpoints.
        seeds: how many; None means the preset's own.
        private: the study of accuracy against epsilon, instead of that of ciphers.
        hours: refuse to start what will take longer.
        dry_run: every step of it, on generated pictures and random weights.
        estimate_only: stop before training, and return the estimate.
        backbone: a timm ViT instead of ViT-B/16.

    Returns:
        The rows of the results table.

    Raises:
        MemoryError: it does not fit into memory or on the disk.
        RuntimeError: it would take more than ``hours``, or the data set cannot be had.
    """
    out = Path(out)
    study = "privacy" if private else "encryption"
    known = dataset in data.DATASETS and not dry_run
    experiments = grid("paper", dataset if known else "cifar10", seeds, study)
    if backbone:
        experiments = [e.replace(backbone=backbone) for e in experiments]
    if not distributed.is_main_process():
        distributed.barrier()  # the first process downloads and decodes, the others find it there
    if dry_run:
        dataset = _generate(out / "dry-run")
    if not known:
        found = data.load(dataset)
        sizes = {part: len(getattr(found, part)) for part in ("train", "val", "test")}
        changes = {"dataset": dataset, "delta": None} | (_DRY if dry_run else sizes)
        experiments = [e.replace(**changes) for e in experiments]
    classes = len(load_data(experiments[0]).classes)
    if distributed.is_main_process():
        distributed.barrier()
    needs = estimate(experiments, classes, folder=out)
    sums = distributed.all_reduce([float(needs["hours"].sum())], pick_device())
    total = sums[0] / distributed.world_size()  # all processes must come to the same decision
    if distributed.is_main_process():
        print(needs.to_string(index=False))
        print(f"{len(experiments)} runs, about {total:.1f} hours; stop at any time, it goes on")
    if estimate_only:
        return needs
    if total > hours:
        raise RuntimeError(
            f"hours={hours:g}: it would take about {total:.1f} hours here. Allow more with "
            "--hours, or take a GPU, several (torchrun), fewer seeds, or --backbone with a smaller "
            "ViT"
        )
    rows = sweep(experiments, out / f"{study}.csv", n_jobs=1, checkpoints=out / "checkpoints")
    if distributed.is_main_process():
        _report(rows, out, study, "epsilon" if private else "cipher")
    return rows


def _report(rows: pd.DataFrame, out: Path, study: str, against: str) -> None:
    """Figure, table, and what they say."""
    print(accuracy_table(rows, against).to_string(index=False))
    if against == "cipher":
        for cipher in rows["cipher"].unique():
            print(finding(rows, rows["dataset"].iloc[0], cipher))
    paths = [*save_figure(plot_accuracy(rows, against), out / study)]
    paths += save_table(accuracy_table(rows, against), out / f"{study}_table")
    print("written:", *paths)


def _generate(root: Path) -> str:
    """Generated pictures as files in class folders; where data sets are looked for, from now on."""
    from PIL import Image

    digits = data.load("street", train=60, val=20, test=1, image_size=64)
    for part, split in (("train", digits.train), ("val", digits.val)):
        for number, (image, label) in enumerate(zip(split.images, split.labels.tolist())):
            path = root / "generated" / part / digits.classes[label] / f"{number}.png"
            if not path.exists():
                png = BytesIO()
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(png, "png")
                write_atomic(png.getvalue(), path)
    os.environ["LORAKIT_DATA"] = str(root)
    return "folder:generated"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``paper``."""
    parser = argparse.ArgumentParser(
        prog="python -m lorakit.experiments.paper", description=__doc__
    )
    parser.add_argument("--dataset", default="cifar10", help="cifar10, cifar100, imagenette or "
                        "folder:NAME (default: %(default)s)")  # fmt: skip
    parser.add_argument("--root", help="where data sets are (default: $LORAKIT_DATA)")
    parser.add_argument("--out", default="figures/paper", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, help="default: 1")
    parser.add_argument("--private", action="store_true", help="accuracy against epsilon")
    parser.add_argument("--hours", type=float, default=24.0, help="most that is started")
    parser.add_argument("--backbone", help="another timm ViT")
    parser.add_argument("--estimate", action="store_true", help="only say what it would take")
    parser.add_argument("--dry-run", action="store_true", help="the whole way, in small")
    asked = parser.parse_args(arguments)
    if asked.root:
        os.environ["LORAKIT_DATA"] = asked.root
    distributed.init()
    try:
        paper(
            asked.dataset, out=asked.out, seeds=asked.seeds, private=asked.private,
            hours=asked.hours, dry_run=asked.dry_run, estimate_only=asked.estimate,
            backbone=asked.backbone,
        )  # fmt: skip
    except (MemoryError, RuntimeError, ValueError) as error:
        raise SystemExit(f"lorakit.experiments.paper: {error}") from None


if __name__ == "__main__":
    main()
