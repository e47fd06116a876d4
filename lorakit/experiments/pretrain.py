"""Pre-train ``vit_micro.letters``: ``python -m lorakit.experiments.pretrain``.

Public pre-training, private fine-tuning: the letters are public, the digits are not among them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from lorakit.data.load import load
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
from lorakit.training.evaluate import evaluate
from lorakit.training.fit import fit
from lorakit.training.recipe import Recipe

WEIGHTS = weights_of("vit_micro_letters")
RECIPE = Recipe(epochs=8, batch_size=128, lr=1.5e-3, weight_decay=0.05, warmup=0.2)


def pretrain(
    out: str | Path = WEIGHTS,
    *,
    images: int = 150_000,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    progress: bool = True,
) -> dict:
    """Train from random weights, and ``ship`` them to ``out``; returns the log.

    Stopped, it goes on from a checkpoint beside ``out``. ``images`` letters are drawn; the accuracy
    is that on 5,000 others.
    """
    seed_everything(seed)
    letters = load("letters", train=images, seed=seed)
    model = create_backbone("vit_micro", len(letters.classes), pretrained=False)
    options = {"checkpoint": Path(out).with_suffix(".checkpoint"), "progress": progress}
    history = fit(model, letters.train, recipe, seed=seed, val=letters.val, **options)

    def measure() -> dict[str, float]:
        measured = evaluate(model, letters.test)
        return {f"test_{name}": measured[name] for name in ("accuracy", "loss")}

    settings = {"command": "python -m lorakit.experiments.pretrain", "images": images}
    return ship(model, out, settings | asdict(recipe) | {"seed": seed}, measure, history)


def ship(
    model: nn.Module,
    out: str | Path,
    settings: dict,
    measure: Callable[[], dict[str, float]],
    history: list[dict[str, float]],
) -> dict:
    """Write safetensors in half precision and a JSON log beside; the checkpoint goes.

    ``measure`` says what the model is worth when its weights are those that ship.
    """
    from safetensors.torch import save

    half = {name: tensor.half().contiguous().cpu() for name, tensor in model.state_dict().items()}
    model.load_state_dict(half)
    device = pick_device()
    log = {
        **{name: value for name, value in settings.items() if value is not None},
        **measure(),
        "seconds": sum(row["seconds"] for row in history),
        "device": device_name(device),
        "peak_memory_mb": peak_memory_mb(device),
        "versions": versions(),
        "history": history,
    }
    out = Path(out)
    write_atomic(save(half), out)
    write_atomic(json.dumps(log, indent=1) + "\n", out.with_suffix(".json"))
    out.with_suffix(".checkpoint").unlink()
    return log


if __name__ == "__main__":
    torch.set_num_threads(2)
    log = pretrain()
    print(f"accuracy on held-out letters: {log['test_accuracy']:.1%}, written to {WEIGHTS}")
