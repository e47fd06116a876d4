"""Pre-train on synthetic pictures: ``python -m lorakit.experiments.pretrain_synthetic vit_micro``.

The network learns to tell a picture's histograms of oriented gradients (HOG: Dalal and Triggs 2005)
from one token, after MaskFeat (Wei et al. 2022, arXiv 2112.09133): no class, no real image.
"""

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from lorakit import runtime
from lorakit.checks import check_choice
from lorakit.data.dataset import Split, generator_for
from lorakit.data.synthetic import SOURCES, draw_pictures
from lorakit.lora.backbones import weights_of
from lorakit.lora.vit import create_backbone
from lorakit.training.criterion import Criterion
from lorakit.training.evaluate import evaluate
from lorakit.training.fit import fit
from lorakit.training.recipe import Recipe

RECIPE = Recipe(epochs=8, batch_size=128, lr=1.5e-3, weight_decay=0.05, precision="float32")
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
        images: pictures to draw, in equal parts from each of ``sources``.
        recipe: None means the one in ``RECIPES``.
        seed: of the pictures, the random start and the order.
    """
    sources, recipe = tuple(sources), recipe or RECIPES[backbone]
    pictures, held_out = draw_mix(images, sources, seed), draw_mix(HELD_OUT, sources, seed + 1)
    criterion, path = GradientCriterion(pictures.images), Path(out).with_suffix(".checkpoint")
    runtime.seed_everything(seed)
    device = runtime.pick_device()
    model = create_backbone(backbone, TARGETS, pretrained=False)
    options = {"criterion": criterion, "val": held_out, "checkpoint": path, "progress": progress}
    history = fit(model, pictures, recipe, seed=seed, **options)
    for row in history:
        row["held_out"] = row.pop("val_loss")
        del row["accuracy"], row["val_accuracy"]  # of a network that tells no classes
    half = {name: tensor.half().contiguous().cpu() for name, tensor in model.state_dict().items()}
    model.load_state_dict(half)
    settings = {"images": images, "sources": sources} | asdict(recipe) | {"seed": seed}
    told = evaluate(model, held_out, criterion, precision="float32")["loss"]
    log = {
        "command": f"python -m lorakit.experiments.pretrain_synthetic {backbone}",
        **{name: value for name, value in settings.items() if value is not None},
        "held_out": told,  # by the weights that are written
        "seconds": sum(row["seconds"] for row in history),
        "device": runtime.device_name(device),
        "peak_memory_mb": runtime.peak_memory_mb(device),
        "versions": runtime.versions(),
        "history": history,
    }
    runtime.write_atomic(save(half), out)
    runtime.write_atomic(json.dumps(log, indent=1) + "\n", Path(out).with_suffix(".json"))
    path.unlink()
    return log


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("backbone", choices=RECIPES)
    name = parser.parse_args().backbone
    log = pretrain_synthetic(weights_of(f"{name}_synthetic"), name)
    print(f"{name}: mean squared error {log['held_out']:.3f} on held-out pictures")
