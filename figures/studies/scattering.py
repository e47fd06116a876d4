"""The published mark in our harness: a private linear model on scattering features, of all clothes.

    pip install kymatio && python -m figures.studies.scattering [--jobs 2]

Tramèr and Boneh (2021, arXiv 2011.11660) reach 89.7 % on Fashion-MNIST with epsilon 3, by features
that nobody learned (a scattering network, kymatio's) and a linear layer. Here such a layer takes
the place of our ViT: recipe, accountant, search of the rate and seeds are those of ``claim mark``.
Writes figures/results/scattering.csv and goes on from it; takes an hour on two cores.
"""

import argparse
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import scipy.special
import torch
import torch.nn.functional as F
from joblib import Parallel, delayed
from torch import Tensor, nn

from figures.studies.claim import cells
from lorakit.data.dataset import Split
from lorakit.data.load import load
from lorakit.runtime import device_name, one_thread, versions, write_atomic
from lorakit.training.evaluate import evaluate
from lorakit.training.fit import fit

OUT = Path("figures/results/scattering.csv")
GROUPS = 27  # of the 81 features at each place, standardised together in each picture
FIRST_RATE, TUNING_SEED, SEEDS = 4e-3, 100, range(5)
CELL = next(e for e in cells("mark", "vit_micro") if e.method == "probe")  # all but the features


@torch.no_grad()
def scattered(images: Tensor) -> Tensor:
    """Scattering features of grey pictures uint8 (N, 3, 32, 32), each one by itself: (N, 3969)."""
    if not hasattr(scipy.special, "sph_harm"):  # gone from SciPy; kymatio's 3D part imports it
        scipy.special.sph_harm = None
    from kymatio.torch import Scattering2D

    grey = images[:, 0, 2:30, 2:30].float().div(255).contiguous()  # without the padding
    chunks = map(Scattering2D(J=2, shape=(28, 28)), grey.split(500))  # (n, 81, 7, 7) each
    return torch.cat([F.group_norm(chunk, GROUPS).flatten(1).half() for chunk in chunks])


def numbered(labels: Tensor) -> Split:
    """Pictures that hold nothing but their number, so that features are computed once."""
    n = torch.arange(len(labels))
    digits = torch.stack([n >> 16, n >> 8 & 255, n & 255], dim=1)
    return Split(digits.to(torch.uint8)[..., None, None], labels)


def train(folder: Path, rate: float, seed: int, eval_split: str) -> dict[str, object]:
    """Train with one rate; the accuracy on validation pictures (of 50,000 + 10,000) or test."""
    read = {n: torch.from_numpy(np.load(folder / f"{n}.npy")) for n in ("x", "y", "tx", "ty")}
    x, y = read["x"], read["y"]
    if eval_split == "val":
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        fitted, measured = order[: CELL.train], order[CELL.train :]
        x, y, tx, ty = x[fitted], y[fitted], x[measured], y[measured]
    else:
        tx, ty = read["tx"], read["ty"]

    def features_of(table: Tensor):
        weights = torch.tensor([65536, 256, 1])
        return lambda images: table[(images.flatten(1).long().cpu() * weights).sum(dim=1)].float()

    recipe = CELL.recipe.replace(lr=rate, physical_batch=512)
    with one_thread():
        model = nn.Sequential(OrderedDict(head=nn.Linear(x.shape[1], 10)))  # lorakit's part "head"
        nn.init.zeros_(model.head.weight)
        options = {"seed": seed, "device": "cpu", "progress": False}
        history = fit(model, numbered(y), recipe, transform=features_of(x), **options)
        found = evaluate(model, numbered(ty), transform=features_of(tx), device="cpu")
    return {
        "eval_split": eval_split, "lr": rate, "seed": seed, "train": len(y), "test": len(ty),
        "epochs": recipe.epochs, "batch_size": recipe.batch_size,
        "epsilon": recipe.privacy.epsilon, "delta": recipe.privacy.delta, **found,
        "epsilon_spent": history[-1]["epsilon"],
        "seconds": round(sum(row["seconds"] for row in history), 1),
        "device": device_name(torch.device("cpu")), "versions": versions(),
    }  # fmt: skip


def main(jobs: int) -> None:
    """Climb to the best rate on validation pictures, then five seeds on test pictures."""
    rows = pd.read_csv(OUT).to_dict("records") if OUT.exists() else []

    known = {(row["lr"], row["seed"], row["eval_split"]): row["accuracy"] for row in rows}

    def ask(folder: Path, wanted: list[tuple[float, int, str]]) -> list[float]:
        new = [delayed(train)(folder, *one) for one in wanted if one not in known]
        for row in Parallel(jobs, return_as="generator_unordered")(new):
            rows.append(row)
            write_atomic(pd.DataFrame(rows).to_csv(index=False), OUT)
            known[row["lr"], row["seed"], row["eval_split"]] = row["accuracy"]
            print(f"{row['eval_split']} lr {row['lr']:g} seed {row['seed']}: {row['accuracy']:.2%}")
        return [known[one] for one in wanted]

    with TemporaryDirectory() as name:
        folder, clothes = Path(name), load("fashion", train=60_000, val=0, test=10_000)
        for x, y, split in (("x", "y", clothes.train), ("tx", "ty", clothes.test)):
            np.save(folder / f"{x}.npy", scattered(split.images).numpy())
            np.save(folder / f"{y}.npy", split.labels.numpy())
        best, rate = None, FIRST_RATE
        while best != rate:  # neither doubling nor halving is better
            best, near = rate, (rate, 2 * rate, rate / 2)
            found = ask(folder, [(lr, TUNING_SEED, "val") for lr in near])
            rate = near[int(np.argmax(found))]
        found = ask(folder, [(best, seed, "test") for seed in SEEDS])
    print(f"{np.mean(found):.2%} on average, at rate {best:g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--jobs", type=int, default=2)
    main(parser.parse_args().jobs)
