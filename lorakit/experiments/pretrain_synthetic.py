"""Pre-train on synthetic pictures: ``python -m lorakit.experiments.pretrain_synthetic vit_micro``.

The network learns to tell a picture's histograms of oriented gradients (HOG: Dalal and Triggs 2005)
from one token, after MaskFeat (Wei et al. 2022, arXiv 2112.09133): no class, no real image.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn
from tqdm.auto import tqdm

from lorakit.checks import check_choice
from lorakit.data.dataset import Split, fingerprint, generator_for, normalise
from lorakit.data.synthetic import SOURCES, draw_pictures
from lorakit.lora.backbones import weights_of
from lorakit.lora.vit import create_backbone
from lorakit.runtime import (
    device_name,
    peak_memory_mb,
    pick_device,
    seed_everything,
    versions,
    write_atomic,
)
from lorakit.training.checkpoint import Checkpoint
from lorakit.training.criterion import Criterion
from lorakit.training.fit import train_one_epoch
from lorakit.training.loader import Loader
from lorakit.training.optimizer import Average, make_optimizer, make_scheduler
from lorakit.training.recipe import Recipe
from lorakit.training.step import PlainStep

RECIPE = Recipe(epochs=8, batch_size=128, lr=1.5e-3, weight_decay=0.05, warmup=0.1)
RECIPES = {"vit_micro": RECIPE, "vit_mini": RECIPE.replace(lr=1e-3)}
_ORIENTATIONS, _CELL, _STRIDE = 8, 8, 4  # cells overlap by half
TARGETS = 128  # principal components to tell
HELD_OUT = 2000  # pictures to measure on


def oriented_gradients(images: Tensor) -> Tensor:
    """Histograms of oriented gradients, and brightness: uint8 (n, 3, H, W) to (n, 9 x cells).

    A gradient counts for the directions it is near to, with its length; cells of 8 x 8 pixels
    overlap by half; the root of each mean, so that strong edges do not drown weak ones.
    """
    grey = images.float().mean(1, keepdim=True) / 255  # (n, 1, H, W)
    sobel = grey.new_tensor([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 8
    kernels = torch.stack([sobel, sobel.T])[:, None]  # (2, 1, 3, 3): across and down
    gradient = F.conv2d(F.pad(grey, (1, 1, 1, 1), "replicate"), kernels)  # (n, 2, H, W)
    angles = torch.arange(_ORIENTATIONS, device=grey.device) * (2 * math.pi / _ORIENTATIONS)
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)  # (8, 2)
    length = gradient.norm(dim=1, keepdim=True)
    along = torch.einsum("od,ndhw->nohw", directions, gradient / length.clamp_min(1e-6))
    votes = length * along.clamp_min(0) ** 4
    pooled = F.avg_pool2d(torch.cat([votes, grey], dim=1), _CELL, _STRIDE)
    return pooled.flatten(1).sqrt()


class GradientCriterion(Criterion):
    """The mean squared error of whitened ``oriented_gradients``; 1 is what a blind guess gets.

    The targets are the first principal components of pictures' gradients, z = Λ^(-1/4) Vᵀ (f - μ),
    which gives the many small components more weight than they have, and less than all the same.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        f = torch.cat([oriented_gradients(chunk) for chunk in images.split(1000)])
        self.mean, self.std = f.mean(0), f.std(0).clamp_min(1e-6)
        variance, basis = torch.linalg.eigh(((f - self.mean) / self.std).T.cov())
        variance, basis = variance[-TARGETS:], basis[:, -TARGETS:]
        scale = variance**-0.25 * (TARGETS / variance.sqrt().sum()) ** 0.5  # mean square 1
        self.basis = basis * scale / self.std[:, None]

    def targets(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, H, W) to (n, TARGETS)."""
        mean, basis = self.mean.to(images.device), self.basis.to(images.device)
        return (oriented_gradients(images) - mean) @ basis

    def loss(self, outputs: Tensor, images: Tensor, _labels: Tensor) -> Tensor:
        return F.mse_loss(outputs, self.targets(images))


def draw_mix(images: int, sources: Iterable[str], seed: int) -> Split:
    """As many pictures of each source as of the others; labels say which source."""
    sources = tuple(sources)
    for source in sources:
        check_choice("sources", source, SOURCES)
    labels = (torch.arange(images) % len(sources)).sort().values
    pictures = [
        draw_pictures(source, n, generator_for(source, seed))
        for source, n in zip(sources, labels.bincount().tolist())
    ]
    return Split(torch.cat(pictures), labels)


def pretrain_synthetic(
    out: str | Path,
    backbone: str = "vit_micro",
    *,
    images: int = 80_000,
    sources: Iterable[str] = SOURCES,
    recipe: Recipe | None = None,
    seed: int = 0,
    progress: bool = True,
) -> dict:
    """Train from random weights, and write them in half precision; returns the log, beside them.

    Stopped, it goes on from a checkpoint beside ``out``.

    Args:
        out: the file to write.
        backbone: a name for ``lora.vit.create_backbone``.
        images: pictures to draw, in equal parts from each of ``sources``.
        sources: some of ``data.synthetic.SOURCES``.
        recipe: None means the one in ``RECIPES``.
        seed: of the pictures, the random start and the order.
        progress: show a progress bar.
    """
    sources, recipe = tuple(sources), recipe or RECIPES[backbone]
    pictures = draw_mix(images, sources, seed)
    held_out = draw_mix(HELD_OUT, sources, seed + 1).images
    seed_everything(seed)
    criterion, device = GradientCriterion(pictures.images), pick_device()
    model = create_backbone(backbone, TARGETS, pretrained=False).to(device)
    optimizer, steps = make_optimizer(model, recipe), recipe.steps(images)
    scheduler, average = make_scheduler(optimizer, recipe, steps), Average(optimizer, None)
    step = PlainStep(model, optimizer, recipe, images, criterion)
    needs = {"recipe": asdict(recipe), "data": fingerprint(pictures, normalise)}
    path = Path(out).with_suffix(".checkpoint")
    state = Checkpoint(path, model, optimizer, scheduler, average, step, needs)
    history, loader = state.load(steps // recipe.epochs), Loader(pictures, device)
    done = len(history) * (steps // recipe.epochs)

    with tqdm(total=steps, initial=done, disable=not progress) as bar:
        for epoch in range(len(history) + 1, recipe.epochs + 1):
            row = train_one_epoch(step, loader, scheduler, lambda _: bar.update() and False)
            del row["accuracy"]
            history.append({"epoch": epoch, **row, "held_out": _error(model, criterion, held_out)})
            state.save(history)
            bar.set_postfix(epoch=epoch, error=f"{history[-1]['held_out']:.3f}")
    half = {name: tensor.half().contiguous().cpu() for name, tensor in model.state_dict().items()}
    model.load_state_dict(half)
    settings = {"images": images, "sources": sources} | asdict(recipe) | {"seed": seed}
    log = {
        "command": f"python -m lorakit.experiments.pretrain_synthetic {backbone}",
        **{name: value for name, value in settings.items() if value is not None},
        "held_out": _error(model, criterion, held_out),  # of the weights that are written
        "seconds": sum(row["seconds"] for row in history),
        "device": device_name(device),
        "peak_memory_mb": peak_memory_mb(device),
        "versions": versions(),
        "history": history,
    }
    write_atomic(save(half), out)
    write_atomic(json.dumps(log, indent=1) + "\n", Path(out).with_suffix(".json"))
    path.unlink()
    return log


@torch.no_grad()
def _error(model: nn.Module, criterion: GradientCriterion, images: Tensor) -> float:
    """The mean squared error on pictures, in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    chunks = images.to(device).split(500)
    losses = [criterion.loss(model(normalise(x)), x, x).item() * len(x) for x in chunks]
    return sum(losses) / len(images)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("backbone", choices=RECIPES)
    name = parser.parse_args().backbone
    log = pretrain_synthetic(weights_of(f"{name}_synthetic"), name)
    print(f"{name}: mean squared error {log['held_out']:.3f} on held-out pictures")
