"""Pre-train ``vit_micro`` on ``letters``: ``python -m lorakit.experiments.pretrain``.

Public pre-training, private fine-tuning: the letters are public, the digits are not among them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch

from lorakit.data.load import load
from lorakit.lora.backbones import WEIGHTS
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

RECIPE = Recipe(epochs=8, batch_size=128, lr=1.5e-3, weight_decay=0.05, warmup=0.2)


def pretrain(
    out: str | Path = WEIGHTS,
    *,
    images: int = 150_000,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    progress: bool = True,
) -> dict:
    """Train from random weights and write safetensors in half precision, with a JSON log beside.

    Stopped, it goes on from a checkpoint beside ``out``, which is removed at the end.

    Args:
        out: the file to write; the log has the same name and ends in ``.json``.
        images: number of letters to draw.
        recipe: how to train on them.
        seed: of the drawing, the random start and the order.
        progress: show a progress bar.

    Returns:
        The log: recipe, accuracy on 5,000 held-out letters, the history, versions, seconds.
    """
    from safetensors.torch import save

    seed_everything(seed)
    letters = load("letters", train=images, seed=seed)
    model = create_backbone("vit_micro", len(letters.classes), pretrained=False)
    out = Path(out)
    options = {"checkpoint": out.with_suffix(".checkpoint"), "progress": progress}
    history = fit(model, letters.train, recipe, seed=seed, val=letters.val, **options)
    half = {name: tensor.half().contiguous().cpu() for name, tensor in model.state_dict().items()}
    model.load_state_dict(half)  # measure what ships
    measured = evaluate(model, letters.test)
    write_atomic(save(half), out)
    device = pick_device()
    log = {
        "command": "python -m lorakit.experiments.pretrain",
        "images": images,
        **{name: value for name, value in asdict(recipe).items() if value is not None},
        "seed": seed,
        "test_accuracy": measured["accuracy"],
        "test_loss": measured["loss"],
        "seconds": sum(row["seconds"] for row in history),
        "device": device_name(device),
        "peak_memory_mb": peak_memory_mb(device),
        "versions": versions(),
        "history": history,
    }
    write_atomic(json.dumps(log, indent=1) + "\n", out.with_suffix(".json"))
    options["checkpoint"].unlink()
    return log


if __name__ == "__main__":
    torch.set_num_threads(2)
    log = pretrain()
    print(f"accuracy on held-out letters: {log['test_accuracy']:.1%}, written to {WEIGHTS}")
